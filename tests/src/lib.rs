//! Tests of the whole system, through the gateway.

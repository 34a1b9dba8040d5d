//! The simulator as its callers see it: over HTTP, one test for each rule of the provider.

// Helpers outside of test functions say what they expect by unwrapping, too.
#![allow(clippy::unwrap_used)]

mod access;
mod cancelling;
mod confirming;
mod health;
mod idempotency;
mod remembering;
mod simulator;
mod transactions;
mod webhooks;

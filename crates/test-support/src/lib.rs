//! Stores, clock, services and builders for tests.

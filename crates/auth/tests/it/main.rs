//! The auth service on a real Postgres, spoken to through its contract; the queue service is played by the tests.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod accounts;
mod attempts;
mod logging_in;
mod operating;
mod refreshing;
mod signing_keys;
mod system;

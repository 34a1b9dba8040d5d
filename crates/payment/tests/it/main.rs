//! Payments against a real Postgres, the provider's stand-in, and a scripted booking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that is wrong about something fails"
)]

mod attempts;
mod booking;
mod breaker;
mod canceled_dates;
mod charging;
mod histories;
mod hot_account;
mod idempotency;
mod interruptions;
mod ledger;
mod ledger_model;
mod mishaps;
mod paying;
mod provider;
mod reconciling;
mod refund_interruptions;
mod refunding;
mod stopping;
mod tampering;
mod together;
mod undoing;
mod unknown;
mod wallet;
mod webhooks;
mod world;

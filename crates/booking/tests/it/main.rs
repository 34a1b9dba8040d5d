//! Booking against real Postgres, Redis and RabbitMQ; only queue is played.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod canceling_a_date;
mod cancelling;
mod closing;
mod constraints;
mod expiry;
mod holding;
mod idempotency;
mod machine;
mod opening;
mod operating;
mod outbox;
mod paying;
mod queue_peer;
mod races;
mod reading;
mod world;

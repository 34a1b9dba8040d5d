//! The concert service against real Postgres and Redis, with queue and booking played by scripted peers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by unwrapping"
)]

mod caching;
mod canceling;
mod closing;
mod creating;
mod organisers;
mod peers;
mod process;
mod resuming;
mod rows;
mod searching;
mod seeding;
mod venues;
mod visiting;
mod world;

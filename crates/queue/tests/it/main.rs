//! The queue service against a real Postgres and a Redis of each test's own. Time is stepped and ticks are called, never
//! waited for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects by unwrapping"
)]

mod beacons;
mod capacity;
mod checking;
mod crashes;
mod draws;
mod leaving;
mod lobby;
mod model;
mod modes;
mod numbers;
mod redis_loss;
mod rows;
mod serving;
mod stats;
mod turns;
mod waits;
mod world;

//! Stores, clock and peers for tests. Everything real: each test gets a database of its own, a Redis of its own where
//! it asks for one, and names of its own on a shared RabbitMQ.
//!
//! `cargo xtask test` starts the servers once and says where they are (`FRONTROW_TEST_POSTGRES_URL`,
//! `FRONTROW_TEST_AMQP_URL`); a plain `cargo test` starts private ones for each test binary.
//!
//! A helper that fails panics: in a test that is the answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test helper that fails fails its test"
)]

mod database;
mod events;
mod eventually;
mod fault_proxy;
mod peer;
mod redis_server;
mod servers;

use std::collections::BTreeMap;

pub use database::TestDatabase;
pub use events::{Events, SentEvent};
pub use eventually::eventually;
pub use fault_proxy::FaultProxy;
pub use peer::serve_grpc;
pub use redis_server::TestRedis;
pub use servers::{amqp_url, postgres_url};

/// A name that nobody else uses, for queues and databases on shared servers.
#[must_use]
pub fn unique_name(stem: &str) -> String {
    format!("{stem}_{}", uuid::Uuid::now_v7().simple())
}

/// An environment for `service_kit::config::load_from`.
#[must_use]
pub fn environment<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

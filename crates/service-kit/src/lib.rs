//! What every Frontrow service does alike, once: configuration, telemetry, health, gRPC in and out, stores'
//! connections, start and drain.
//!
//! No business rule stands here, and nothing here knows a service by name.

pub mod admin;
pub mod amqp;
pub mod batch;
pub mod cli;
pub mod config;
pub mod database;
pub mod grpc;
pub mod health;
pub mod host;
pub mod keyring;
pub mod problem;
pub mod redis;
pub mod rounds;
pub mod tasks;
pub mod telemetry;

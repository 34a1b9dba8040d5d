//! Reservations, seat states and payment tokens.
//!
//! Booking owns who holds and who owns which seat. It knows no layouts, no money beyond prices and totals, and nothing
//! of how payments are made. Postgres decides; Redis only makes refusals fast, RabbitMQ only makes expiry prompt.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod messaging;
pub mod startup;
pub mod store;

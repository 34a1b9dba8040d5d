//! Wallets, payments and refunds.
//!
//! Owns the points ledger, the saga that pays a reservation, and the only calls to the payment provider. Deliberately
//! lacks: prices and seats (booking's), who is logged in (the gateway's), and any lock on money outside Postgres.

pub mod app;
pub mod booking;
pub mod config;
pub mod domain;
mod grpc;
pub mod provider;
pub mod startup;
pub mod store;

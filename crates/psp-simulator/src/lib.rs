//! A stand-in for the payment provider, speaking its real HTTP API.
//!
//! Owns: captures and cancellations of pretended card payments, the list of both, webhooks, what a test payment key means,
//! and the provider's rules of authentication, idempotency and errors. The code that calls it is the code that calls the
//! real provider.
//!
//! What each test payment key does stands in docs/provider.md.
//!
//! Deliberately lacks: the buyer's payment window (a test key counts as authenticated for the order and amount of its
//! first confirmation), payment methods other than cards, settlements, and every part of the system it is used to test: it
//! stands outside, as the provider does.
//!
//! Memory: every payment and every answer given under an `Idempotency-Key` is kept, under 2 KiB for the two together.
//! A journal gives them back after a restart, captures that are still to come included; to begin anew, start with another
//! journal. Webhooks that wait are forgotten: they are hints.

mod api;
mod auth;
mod behaviour;
pub mod config;
mod connection;
mod errors;
pub mod healthcheck;
mod idempotency;
mod journal;
mod ledger;
mod payments;
pub mod startup;
mod transactions;
mod webhooks;
mod wire;

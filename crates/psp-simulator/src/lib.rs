//! A stand-in for the payment provider, speaking its real HTTP API.
//!
//! Owns: captures and cancellations of pretended card payments, what a test payment key means, and the provider's
//! rules of authentication, idempotency and errors. The code that calls it is the code that calls the real provider.
//!
//! | Payment key | What confirming it does |
//! |---|---|
//! | `test_ok_*` | captures |
//! | `test_declined_*` | 403 `REJECT_CARD_PAYMENT`, nothing captured |
//! | `test_slow_*` | captures, answers after `SIMULATOR_SLOW_SECONDS` (10) |
//! | `test_lost_*` | captures, never answers; the connection drops after `SIMULATOR_LOST_SECONDS` (120) |
//! | `test_unavailable_*` | 400 `PROVIDER_ERROR` twice, then captures |
//! | any other | 404 `NOT_FOUND_PAYMENT_SESSION` |
//!
//! Deliberately lacks: the buyer's payment window (a test key counts as authenticated for the order and amount of its
//! first confirmation), webhooks, payment methods other than cards, settlements, the 100 won minimum for cards, and
//! every part of the system it is used to test: it stands outside, as the provider does.
//!
//! Memory: every payment and every answer given under an `Idempotency-Key` is kept, under 2 KiB for the two together.
//! A journal gives them back after a restart; to begin anew, start with another journal.

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
mod wire;

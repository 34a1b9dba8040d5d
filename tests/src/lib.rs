//! The harness of the end-to-end tests: a whole system of real processes on real servers, and the people who use it.
//!
//! [`World::shared`] is for tests that only add concerts and users of their own; a test that stops a server, changes a
//! setting or steps the clock starts a world of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test helper that fails fails its test"
)]

mod answer;
mod crowd;
mod document;
pub mod invariants;
mod otlp;
mod people;
mod provider;
mod sale;
mod world;

pub use answer::Answer;
pub use crowd::{Crowd, Tries};
pub use otlp::{Collector, SeenSpan};
pub use people::{Buyer, Organiser, cancellation_path, payment, text};
pub use provider::{captured, captures, payment_key};
pub use sale::{Sale, SaleOptions, plan_of};
pub use world::{Server, Services, World, WorldOptions};

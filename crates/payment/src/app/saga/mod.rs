//! Sagas: how payments, charges and refunds come to their ends, whatever is interrupted.
//!
//! Each step records what it is about to do, does it, and records what came of it, demanding the state and version that it
//! started from. A step that is interrupted anywhere is done again by whoever takes the saga up; every call it makes can
//! be repeated: booking answers a repeat alike, the provider's calls carry an Idempotency-Key. What differs from kind to
//! kind is its steps and its table; leases, waits and the taking up are the [`driver`]'s, for all of them.

mod cancel;
mod capture;
mod driver;
mod payment;
pub mod points;
mod refund;

pub(super) use cancel::Returned;
pub use capture::Capturing;
pub(super) use capture::{Outcome, Wanted};
pub(super) use driver::record;
pub use driver::{Driven, Followed, Next, Position, Saga, SagaError};

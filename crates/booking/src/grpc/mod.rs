//! gRPC in and out: prost types stop here, and every error becomes a problem once.

mod convert;
mod outcomes;
mod problem;
pub(crate) mod queue;
mod service;

pub use queue::Queue;
pub use service::BookingGrpc;

//! The contract's messages to the use cases and back, and every failure to its answer.

mod errors;
mod lines;
mod service;

pub use lines::QueueLines;
pub use service::Service;

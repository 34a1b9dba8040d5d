//! The contract's messages to the use cases and back, and every refusal to its answer.

mod convert;
mod errors;
mod service;

pub use service::Service;

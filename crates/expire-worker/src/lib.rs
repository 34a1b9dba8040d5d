//! Consumes expiry messages and has booking expire what is due.
//!
//! The worker owns nothing and decides nothing: a message is a prompt to look, booking's own clock and rows say what has
//! lapsed, and booking looks by itself where no message comes.

pub mod config;
mod consumer;
mod prompt;
pub mod startup;

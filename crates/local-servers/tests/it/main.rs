//! Real servers and real processes, and what describes them elsewhere, in one binary.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod deployment;
mod private_servers;
mod system;

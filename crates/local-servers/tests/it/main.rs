//! Real servers and real processes, in one binary.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod private_servers;
mod system;

//! What runs beside the requests: the relays of both outboxes, and the sweep. Each is a loop around one public step,
//! which holds no rule of its own.

pub mod expiry_relay;
pub mod rounds;
pub(crate) mod trace;

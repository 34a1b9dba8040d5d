//! What runs beside the requests: the relays of both outboxes, the sweep, and the giving up of canceled dates' holds. Each is a loop around one public step,
//! which holds no rule of its own.

pub mod expiry_relay;
pub mod rounds;
pub(crate) mod trace;

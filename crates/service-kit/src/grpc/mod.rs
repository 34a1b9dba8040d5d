//! gRPC in ([`server`]) and out ([`client`]), with deadlines, traces and metrics on every call; calls that carry several
//! requests.

mod batch;
pub mod client;
pub mod server;

pub use batch::{Batcher, error_of_one, several, status_of_one};

/// `/frontrow.booking.v1.BookingService/HoldSeats` as service and method.
fn split_path(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').split_once('/').unwrap_or((path, ""))
}

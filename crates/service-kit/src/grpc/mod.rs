//! gRPC in ([`server`]) and out ([`client`]), with deadlines, traces and metrics on every call.

pub mod client;
pub mod server;

/// `/frontrow.booking.v1.BookingService/HoldSeats` as service and method.
fn split_path(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').split_once('/').unwrap_or((path, ""))
}

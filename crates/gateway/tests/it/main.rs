//! The gateway over HTTP, with the services behind it played by scripts.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod bodies;
mod cancellations;
mod charges;
mod clients;
mod document;
mod gateway;
mod old_rooms;
mod operating;
mod outages;
mod payments;
mod problems;
mod queue;
mod queue_events;
mod routes;
mod seats;
mod tokens;
mod upstreams;
mod webhooks;

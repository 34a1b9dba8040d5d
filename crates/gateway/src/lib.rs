//! The public HTTP API. It reads requests, asks the services over gRPC and writes their answers as JSON.
//!
//! There is no business rule and no store here: what it remembers (signing keys, rooms, layouts) is a copy that another
//! service owns, and it may be lost at any moment.

pub mod baseline;
pub mod client_address;
pub mod config;
pub mod errors_page;
pub mod openapi;
pub mod startup;

mod draws;
mod extract;
mod keys;
mod layers;
mod layouts;
pub mod limits;
mod problem;
mod rooms;
mod routes;
mod state;
mod streams;
mod upstreams;
mod wire;

//! Waiting rooms, queue tokens and visits.
//!
//! It knows who stands where, who was called, and who is let in. It does not know seats or money: `booking` tells it
//! what became of a visit's hold. Redis keeps the line, Postgres what must be true of it (see [`store`]).

pub mod app;
pub mod beacon;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod startup;
pub mod store;

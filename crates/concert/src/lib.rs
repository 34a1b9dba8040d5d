//! Concerts, schedules, venues, seat layouts and prices.
//!
//! Owns what is performed, where and at what price. It has no seat states (`booking`) and no lines (`queue`): it puts
//! seats and rooms there once, asks for counts and states, and lets only a visit on its page see them.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod peers;
pub mod startup;
pub mod store;

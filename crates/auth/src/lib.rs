//! Users, roles, passwords, sessions and signing keys.
//!
//! It knows who somebody is and what they may do. It does not know concerts, lines or money; and it is not asked when
//! an access token is verified: whoever has the published keys does that alone.

pub mod app;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod secrets;
pub mod startup;
pub mod store;

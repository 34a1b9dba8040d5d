//! Private Postgres, Redis and RabbitMQ servers for a developer's machine and for tests, and the system's own services
//! on top of them.
//!
//! - [`Home`]: a folder with the data of one set of servers; remembers ports, secrets and every process started.
//! - [`PrivateServer`]: one server of our own, that a test may stop, kill, freeze and start again.
//! - [`Servers`]: all three, from wherever this machine has them.
//! - [`System`]: every service of the [`topology`], as processes on these servers.
//!
//! Everything listens on 127.0.0.1 alone, never on a standard port; nothing that somebody else runs is ever stopped.
//! Linux only: the identity of a process is read from `/proc`.

mod account;
mod acquire;
mod databases;
mod docker;
mod environment;
mod error;
mod guardian;
mod home;
pub mod http;
mod install;
mod kind;
mod ledger;
mod ports;
mod postgres;
mod proc;
mod process;
mod programs;
mod rabbitmq;
mod redis;
mod secrets;
mod server;
mod system;
pub mod topology;

pub use acquire::{Given, Offer, Progress, Servers, offer};
pub use databases::scratch_database;
pub use environment::{environment_file, environment_of};
pub use error::{Error, Result};
pub use home::Home;
pub use kind::Kind;
pub use ledger::running;
pub use programs::postgres_program;
pub use server::{Durability, PrivateServer, ask};
pub use system::{Endpoints, System, SystemOptions, check_free};

//! The gateway over HTTP, with the services behind it played by scripts.

mod bodies;
mod document;
mod gateway;
mod outages;
mod payments;
mod problems;
mod queue;
mod routes;
mod seats;
mod tokens;
mod upstreams;

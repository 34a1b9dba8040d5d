//! The whole system, through the gateway, on real servers and real processes: one file for each part of a purchase.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod authorisation;
mod bad_input;
mod canaries;
mod canceled_dates;
mod cancellations;
mod concerts;
mod expiry;
mod fair_opening;
mod grpc_input;
mod holds;
mod join_limits;
mod line;
mod line_events;
mod operating;
mod organisers;
mod payments;
mod polling;
mod purchase;
mod seats;
mod telemetry;
mod tokens;
mod wallet;
mod webhooks;

//! The way of an expiry message, which booking and expire-worker share.

/// What the delayed queue is for; part of its name. Its messages are [`crate::events::HoldExpiryDue`].
pub const PURPOSE: &str = "hold-expiry";

//! Consumes expiry messages and has booking expire what is due.

//! What concerts, venues and dates are, and their rules. Nothing here waits, and nothing knows a store or a message.

pub mod audit;
pub mod concert;
pub mod layout;
pub mod lifecycle;
pub mod page;
pub mod plan;
pub mod refund_policy;
pub mod text;
pub mod waiting_room;

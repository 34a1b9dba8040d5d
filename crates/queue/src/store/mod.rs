//! The only SQL and the only Redis commands.
//!
//! [`VisitStore`] is the truth: who is on a page, which numbers were reserved and called. [`Line`] is fast and may be
//! empty at any moment; what it decides holds only once Postgres has it.

mod line;
mod visits;

pub use line::{Block, Claim, ClaimWindows, Claimed, Counts, Filler, Join, Line, LineError, Plan};
pub use visits::{Admission, Ended, Filling, MIGRATOR, StoreError, Transition, VisitStore};

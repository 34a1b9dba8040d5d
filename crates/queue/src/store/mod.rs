//! The only SQL and the only Redis commands.
//!
//! [`VisitStore`] is the truth: who is on a page, which numbers were reserved and called. [`DrawStore`] is the truth of
//! who gathered before an opening, and of their draw. [`Line`] is fast and may be
//! empty at any moment; what it decides holds only once Postgres has it.

mod answers;
mod draws;
mod line;
mod lobby;
mod numbers;
mod rooms;
mod stats;
mod user_slot;
mod visits;

pub use answers::{Block, Claim, ClaimWindows, Claimed, Counts, Filler, Join, LineError, Plan};
pub use draws::{DrawStore, Gone};
pub use line::Line;
pub use lobby::{Left, LobbyPlace};
pub use numbers::{Filling, HighWater};
pub use rooms::DrawSecrets;
pub use stats::VisitCounts;
pub use visits::{Admission, Ended, MIGRATOR, StoreError, Transition, VisitStore};

//! Accounts and sessions: what is a valid account, and what becomes of a session. Nothing here waits or stores.

mod account;
mod attempts;
mod session;

pub use account::{
    Email, InvalidEmail, InvalidKey, InvalidName, InvalidPassword, NewPassword, PersonName, SignUpKey, User,
};
pub use attempts::{Allowance, AttemptKey, AttemptLimits, Origin};
pub use session::{EndReason, Event, RETRIES_PER_TRADE, Refused, SessionId, SessionState, Step, decide};

//! What becomes of a session when one of its refresh tokens is shown.
//!
//! A session counts the generations of its refresh tokens. Trading a token of the newest generation begins the next
//! one. A token of the generation before may be traded once more within a short grace, as its answer may have been
//! lost on the way: that yields a sibling of the token that was lost. Whoever trades a sibling first goes on; every
//! later use of an older token shows that two parties hold tokens of one session, and ends it for both.

use std::fmt;

use uuid::Uuid;

/// One login of one user. It is also the family of its refresh tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new id.
    #[allow(clippy::new_without_default, reason = "two calls give two different ids")]
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that the store carries.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The bare UUID, for the store.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0)
    }
}

/// How often one trade may be retried within the grace.
pub const RETRIES_PER_TRADE: i32 = 5;

/// How a session stands, by the store's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Its tokens may be traded.
    Live {
        /// The newest generation of tokens, from 0.
        generation: i32,
        /// Retries of the trade that began this generation.
        retries: i32,
        /// Whether that trade was so short ago that it may be retried.
        in_grace: bool,
    },
    /// It was ended.
    Ended,
    /// Its time is over.
    Lapsed,
}

/// What is asked with a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// New tokens for the one that is shown.
    Trade {
        /// Of the token that is shown.
        generation: i32,
    },
    /// The end of the session. Any of its tokens may ask for it.
    LogOut,
}

/// What to do with the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begin the next generation.
    Advance,
    /// Give one more token of the newest generation.
    Repeat,
    /// End it.
    End(EndReason),
    /// Nothing: it is over already.
    Stay,
}

/// Why a session was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its user asked for it.
    LoggedOut,
    /// A token was used a second time.
    TokenReused,
    /// The login that made it failed after all.
    LoginFailed,
}

impl EndReason {
    /// The word as it stands in SQL and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "LOGGED_OUT",
            Self::TokenReused => "TOKEN_REUSED",
            Self::LoginFailed => "LOGIN_FAILED",
        }
    }
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The session was ended.
    Ended,
    /// The session's time is over.
    Lapsed,
    /// The trade was retried [`RETRIES_PER_TRADE`] times.
    TooManyRetries,
}

/// What `event` does to a session in `state`.
///
/// # Errors
/// It does nothing.
pub fn decide(state: SessionState, event: Event) -> Result<Step, Refused> {
    match (state, event) {
        (SessionState::Ended | SessionState::Lapsed, Event::LogOut) => Ok(Step::Stay),
        (SessionState::Live { .. }, Event::LogOut) => Ok(Step::End(EndReason::LoggedOut)),
        (SessionState::Ended, Event::Trade { .. }) => Err(Refused::Ended),
        (SessionState::Lapsed, Event::Trade { .. }) => Err(Refused::Lapsed),
        (
            SessionState::Live {
                generation,
                retries,
                in_grace,
            },
            Event::Trade { generation: shown },
        ) => {
            if shown == generation {
                Ok(Step::Advance)
            } else if shown == generation - 1 && in_grace {
                if retries < RETRIES_PER_TRADE {
                    Ok(Step::Repeat)
                } else {
                    Err(Refused::TooManyRetries)
                }
            } else {
                Ok(Step::End(EndReason::TokenReused))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event_has_its_answer() {
        let live = |retries, in_grace| SessionState::Live {
            generation: 3,
            retries,
            in_grace,
        };
        let trade = |generation| Event::Trade { generation };
        let reused = Ok(Step::End(EndReason::TokenReused));
        let logged_out = Ok(Step::End(EndReason::LoggedOut));
        let table = [
            (live(0, true), trade(3), Ok(Step::Advance)),
            (live(0, false), trade(3), Ok(Step::Advance)),
            (live(RETRIES_PER_TRADE, true), trade(3), Ok(Step::Advance)),
            (live(RETRIES_PER_TRADE, false), trade(3), Ok(Step::Advance)),
            (live(0, true), trade(2), Ok(Step::Repeat)),
            (live(RETRIES_PER_TRADE - 1, true), trade(2), Ok(Step::Repeat)),
            (
                live(RETRIES_PER_TRADE, true),
                trade(2),
                Err(Refused::TooManyRetries),
            ),
            (live(0, false), trade(2), reused),
            (live(RETRIES_PER_TRADE, false), trade(2), reused),
            (live(0, true), trade(1), reused),
            (live(0, false), trade(1), reused),
            (live(0, true), trade(0), reused),
            // No such token was ever given.
            (live(0, true), trade(4), reused),
            (live(0, true), Event::LogOut, logged_out),
            (live(0, false), Event::LogOut, logged_out),
            (SessionState::Ended, trade(3), Err(Refused::Ended)),
            (SessionState::Ended, Event::LogOut, Ok(Step::Stay)),
            (SessionState::Lapsed, trade(3), Err(Refused::Lapsed)),
            (SessionState::Lapsed, Event::LogOut, Ok(Step::Stay)),
        ];
        for (state, event, answer) in table {
            assert_eq!(decide(state, event), answer, "{state:?} x {event:?}");
        }
    }
}

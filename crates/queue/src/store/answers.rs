//! What the line is asked and answers, in words of our own.

use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::QueueNumber;

/// The line did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Redis is away or too slow: come again. Whether the command had an effect is not known.
    #[error("redis is away")]
    Unavailable(#[source] redis::RedisError),
    /// A fault of ours.
    #[error("redis refused a command")]
    Bug(#[source] redis::RedisError),
}

impl From<redis::RedisError> for LineError {
    fn from(error: redis::RedisError) -> Self {
        use redis::{ErrorKind, ServerErrorKind};
        let away = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || error.is_connection_refusal()
            || matches!(
                error.kind(),
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                        | ServerErrorKind::TryAgain
                        | ServerErrorKind::ClusterDown
                        | ServerErrorKind::MasterDown
                        | ServerErrorKind::ReadOnly
                )
            );
        if away {
            Self::Unavailable(error)
        } else {
            Self::Bug(error)
        }
    }
}

/// What came of joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The user has this number already.
    Had(QueueNumber),
    /// A new number.
    Given {
        /// The number.
        number: QueueNumber,
        /// The serving number when it was given.
        serving: QueueNumber,
        /// The block that it is of.
        block: Block,
    },
    /// No number is left: a block must be reserved.
    Empty(Block),
    /// The user has none, and the room takes nobody in.
    Closed,
}

/// Who fills a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filler {
    /// Nobody: it is filled.
    Nobody,
    /// Who asked, within [`Line::FILLING_RIGHT`].
    Us,
    /// Somebody else, right now.
    SomebodyElse,
}

/// The numbers that can be given without asking Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The epoch that they were reserved under.
    pub epoch: i64,
    /// The last of them.
    pub last: QueueNumber,
}

/// A place that was taken for a called number, until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The epoch that counted the place.
    pub epoch: i64,
    /// The capacity that left room for it.
    pub capacity: u32,
    /// The visit must be committed before, or not at all.
    pub valid_until: OffsetDateTime,
    /// Another number that the user held: it came to them while Redis had forgotten this one.
    pub other_number: Option<QueueNumber>,
}

/// What came of claiming a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A place was taken.
    Claimed(Claimed),
    /// Another request of this number has taken the place just now.
    Claiming,
    /// The number is not called yet.
    Early,
    /// The number is called but all places are taken; it stays first.
    Full,
    /// The turn was missed, by this claim or before; the number is noted as come late.
    Late {
        /// Nobody had found before that the window was over.
        missed_now: bool,
    },
    /// The turn was missed, and the time to come late is over.
    Gone {
        /// Nobody had found before that the window was over.
        missed_now: bool,
    },
}

/// What one look at a room found and proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The epoch of the room's filling.
    pub epoch: i64,
    /// The serving number as it stands in Redis.
    pub serving: QueueNumber,
    /// The serving number as it should become.
    pub to: QueueNumber,
    /// The last number given.
    pub issued: QueueNumber,
    /// Places taken on the page, claims included.
    pub pages: u32,
    /// Called and expected.
    pub called: u32,
    /// Visits admitted under this epoch.
    pub admitted: u64,
    /// Calls that nobody answered, lapsed by this look.
    pub lapsed: u64,
    /// Turns that were ever missed in this room.
    pub lapsed_in_all: u64,
    /// Late comers called by this look.
    pub late: u64,
    /// Claims of which no end was heard: number and end of validity, in milliseconds.
    pub overdue: Vec<(QueueNumber, i64)>,
}

/// A room's figures for those who look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The last number given.
    pub issued: QueueNumber,
    /// Places taken on the page.
    pub pages: u32,
    /// Called and expected.
    pub called: u32,
    /// Turns that were missed.
    pub lapsed: u64,
}

/// The instants that a claim is judged by. All but `valid_until` are of the room's clock.
#[derive(Debug, Clone, Copy)]
pub struct ClaimWindows {
    /// How long a called number's place is kept.
    pub claim: Duration,
    /// Until when the claim's visit may be committed.
    pub valid_until: OffsetDateTime,
    /// Until when who missed the turn may come late; absent where that was long ago.
    pub late_until: Option<OffsetDateTime>,
}

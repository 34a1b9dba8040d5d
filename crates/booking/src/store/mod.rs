//! All of booking's SQL, and its only Redis commands ([`SeatLocks`]).
//!
//! Every transition is one guarded `UPDATE`; the guard repeats the rule of `domain`. No network call but those to
//! Postgres is made while a transaction is open, and every transaction locks in the order that the migration states.

mod begin_payment;
mod cancellations;
mod confirm;
mod expiry_outbox;
mod holds;
mod paid;
mod reservations;
mod schedules;
mod seat_locks;
mod seat_states;
mod seats_back;
mod transitions;
mod visit_outbox;

use std::sync::Arc;

use service_kit::database::{self, BatchError, Batcher, Failure};
use sqlx::PgPool;
use vocabulary::ReservationId;

pub use expiry_outbox::DueMessage;
pub use holds::{HoldOutcome, NewHold};
pub use paid::{PaidReservation, ScheduleCancellation};
pub use reservations::Loaded;
pub use schedules::Opened;
pub use seat_locks::{LockOutcome, LockOwner, SeatLocks};
pub use seat_states::SeatStates;
pub use seats_back::Freed;
pub use transitions::Expired;
pub use visit_outbox::{Notice, NoticeId, VisitNotice};

/// The schema.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Booking's Postgres. Clones share the pool and the batches.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    readings: Batcher<ReservationId, Result<Option<Loaded>, StoreError>>,
    beginnings: Batcher<begin_payment::Beginning, Option<begin_payment::Begun>>,
    confirmations: Batcher<confirm::Confirmation, Option<confirm::Confirmed>>,
}

impl Store {
    /// A store on this pool.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            readings: reservations::readings(pool.clone()),
            beginnings: begin_payment::beginnings(pool.clone()),
            confirmations: confirm::confirmations(pool.clone()),
            pool,
        }
    }
}

/// The store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Postgres is away, has no connection to spare, or was too slow: come again.
    #[error("the database is away")]
    Unavailable(#[source] BatchError),
    /// A fault of ours.
    #[error("the database refused a statement of ours")]
    Bug(#[source] BatchError),
    /// A row that none of our statements writes.
    #[error("a row cannot be read: {0}")]
    Row(&'static str),
}

impl StoreError {
    /// Whether coming again can help.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<BatchError> for StoreError {
    fn from(error: BatchError) -> Self {
        match database::classify(&error) {
            // The lock order leaves no deadlock; should two transactions meet all the same, coming again is right.
            Failure::Unavailable | Failure::Conflict => Self::Unavailable(error),
            Failure::Bug => Self::Bug(error),
        }
    }
}

/// A whole number that a constraint keeps within the type's range.
fn unsigned<T, U>(number: T, what: &'static str) -> Result<U, StoreError>
where
    U: TryFrom<T>,
{
    U::try_from(number).map_err(|_| StoreError::Row(what))
}

//! The only SQL of this service.

mod charges;
mod hints;
mod ledger;
mod payments;
mod reconcile;
mod refunds;

use std::sync::Arc;

use service_kit::database::{BatchError, Batcher, Failure, classify};
use sqlx::PgPool;
use time::OffsetDateTime;

pub use charges::ChargeInserted;
pub use ledger::{Entry, GrantOutcome, Wallet};
pub use payments::{Inserted, Kept, RequestKey};
pub use reconcile::{CardMove, ReconcileLock, Success, UnderWay};
pub use refunds::RefundInserted;

/// The schema.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The wallet holds fewer points.
    #[error("the wallet holds fewer points")]
    InsufficientPoints,
    /// The saga moved on, or is in other hands.
    #[error("the saga is in other hands")]
    Superseded,
    /// Away, or no connection to spare: come again.
    #[error("the database is not available")]
    Unavailable(#[source] BatchError),
    /// A fault of ours.
    #[error("the database refused a statement")]
    Bug(#[source] BatchError),
    /// A row that this program cannot have written.
    #[error("{row} has a {column} that cannot be read")]
    Unreadable {
        /// Which.
        row: uuid::Uuid,
        /// Where.
        column: &'static str,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<BatchError> for StoreError {
    fn from(error: BatchError) -> Self {
        if let sqlx::Error::Database(database) = error.as_ref()
            && database.constraint() == Some("wallets_balance_is_not_negative")
        {
            return Self::InsufficientPoints;
        }
        match classify(&error) {
            // Two transactions met: whoever comes again finds the way free.
            Failure::Unavailable | Failure::Conflict => Self::Unavailable(error),
            Failure::Bug => Self::Bug(error),
        }
    }
}

/// Payments and the ledger in Postgres.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    beginnings: Batcher<payments::Beginning, Option<OffsetDateTime>>,
    transitions: Batcher<payments::Transition, payments::Made>,
}

impl Store {
    /// On connections of `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            beginnings: payments::beginnings(pool.clone()),
            transitions: payments::transitions(pool.clone()),
            pool,
        }
    }
}

/// What a guarded statement says of whoever demanded the state and version that it started from.
fn superseded_unless(done: bool) -> Result<(), StoreError> {
    if done { Ok(()) } else { Err(StoreError::Superseded) }
}

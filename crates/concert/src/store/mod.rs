//! The only SQL and the only Redis commands of this service.
//!
//! Postgres is the truth. Redis ([`cache`]) may be flushed, stopped or out of date without a wrong answer, and what
//! never changes is kept in memory ([`layouts`]).

mod audit;
pub mod cache;
mod catalogue;
mod concerts;
mod endings;
mod idempotency;
pub mod layouts;
mod schedules;
mod venues;

pub use concerts::{NewConcert, OwnedConcert, UnfinishedConcert};
pub use idempotency::{Creation, IdempotencyKey, KEY_MAX_CHARS, Once, Route};
pub use layouts::OnSale;
pub use schedules::{NewSchedule, NotCreated, SaleTerms, ScheduleRef};
pub use venues::{NewVenue, VenueTerms};

use std::time::Duration;

use service_kit::database::{Failure, classify};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;

/// The schema of this service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The database is away or busy: come again.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A fault of ours.
    #[error("the database refused a statement")]
    Bug(#[source] sqlx::Error),
    /// What is stored cannot be read.
    #[error("a stored value cannot be read")]
    Unreadable(#[source] Unreadable),
}

/// A stored value that no version of this service wrote.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A plan.
    #[error("a seating plan")]
    Plan(#[from] serde_json::Error),
    /// A grade.
    #[error(transparent)]
    Grade(#[from] vocabulary::UnknownWord),
    /// A price or a currency.
    #[error(transparent)]
    Money(#[from] vocabulary::MoneyError),
    /// Anything else; named.
    #[error("{0}")]
    Other(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match classify(&error) {
            Failure::Unavailable | Failure::Conflict => Self::Unavailable(error),
            Failure::Bug => Self::Bug(error),
        }
    }
}

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Unreadable::from(error).into()
    }
}

impl From<vocabulary::UnknownWord> for StoreError {
    fn from(error: vocabulary::UnknownWord) -> Self {
        Unreadable::from(error).into()
    }
}

impl From<vocabulary::MoneyError> for StoreError {
    fn from(error: vocabulary::MoneyError) -> Self {
        Unreadable::from(error).into()
    }
}

/// The service's Postgres database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Over connections of `pool`.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The time by which deadlines are decided.
    ///
    /// # Errors
    /// The database failed.
    pub async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT frontrow_now() AS "now!""#)
            .fetch_one(&self.pool)
            .await?)
    }
}

/// What somebody who asks for a lease gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease<T> {
    /// The work is the asker's until the lease ends.
    Taken(T),
    /// Somebody else is at it.
    Busy,
    /// There is nothing left to do.
    Finished,
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}

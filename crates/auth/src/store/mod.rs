//! The only SQL. Every change of a row that others may change too is one guarded statement.

mod attempts;
mod sessions;
mod signing_keys;
mod users;

use std::time::Duration;

use service_kit::database::{Failure, classify};
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub use attempts::{Attempted, Take};
pub use sessions::HeldSession;
pub use users::{Account, NewAccount};

/// The schema of this service.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An account with this e-mail exists.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The database is away or overloaded: come again.
    #[error("the database is away")]
    Unavailable(#[source] sqlx::Error),
    /// A fault of ours.
    #[error("the database refused a statement")]
    Bug(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        if constraint == Some("users_email_is_unique") {
            return Self::EmailTaken;
        }
        match classify(&error) {
            Failure::Unavailable | Failure::Conflict => Self::Unavailable(error),
            Failure::Bug => Self::Bug(error),
        }
    }
}

/// Everything that this service keeps.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Kept behind these connections.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

/// What a row says that it cannot say: the constraints were circumvented.
fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Bug(sqlx::Error::Decode(Box::new(error)))
}

/// A span for `make_interval(secs => ..)`.
fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

//! What a request with an idempotency key made: claimed in the transaction that makes it.

use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;
use vocabulary::UserId;

use service_kit::problem::FieldError;

use super::{Store, StoreError};
use crate::domain::text;

/// The longest key, in characters.
pub const KEY_MAX_CHARS: usize = 255;

/// A key that a caller made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// `None` when there is none.
    ///
    /// # Errors
    /// It is too long or no line.
    pub fn parse(text: &str) -> Result<Option<Self>, FieldError> {
        let key = text::optional_line("idempotencyKey", text, KEY_MAX_CHARS)?;
        Ok((!key.is_empty()).then_some(Self(key)))
    }
}

/// What makes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A venue.
    CreateVenue,
    /// A concert.
    CreateConcert,
    /// A date.
    CreateSchedule,
}

impl Route {
    const fn as_str(self) -> &'static str {
        match self {
            Self::CreateVenue => "CreateVenue",
            Self::CreateConcert => "CreateConcert",
            Self::CreateSchedule => "CreateSchedule",
        }
    }
}

/// A request that is to have one effect.
#[derive(Debug, Clone)]
pub struct Once {
    user_id: UserId,
    route: Route,
    key: IdempotencyKey,
    request_hash: [u8; 32],
}

impl Once {
    /// `parts` are what the request says, in a fixed order.
    #[must_use]
    pub fn new<'a>(
        user_id: UserId,
        route: Route,
        key: IdempotencyKey,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Lengths keep neighbours apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self {
            user_id,
            route,
            key,
            request_hash: hash.finalize().into(),
        }
    }
}

/// What came of a request to make something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation<Id> {
    /// It was made now.
    Now,
    /// A request with the same key made it before.
    Before(Id),
}

impl Store {
    /// What the same request made before.
    ///
    /// # Errors
    /// The key was used for another request, or the database failed.
    pub async fn made_before(&self, once: &Once) -> Result<Option<Uuid>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        made_before(&mut connection, once).await
    }

    /// What any request with this key made before, whatever it said.
    ///
    /// # Errors
    /// The database failed.
    pub async fn made_under(
        &self,
        user_id: UserId,
        route: Route,
        key: &IdempotencyKey,
    ) -> Result<Option<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT resource_id FROM idempotency_keys WHERE user_id = $1 AND route = $2 AND key = $3",
            user_id.as_uuid(),
            route.as_str(),
            key.0,
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}

/// Takes the key for `resource_id`, or answers what it made before. A request with the same key that is still in its
/// transaction is waited for.
pub(super) async fn claim(
    connection: &mut PgConnection,
    once: Option<&Once>,
    resource_id: Uuid,
) -> Result<Creation<Uuid>, StoreError> {
    let Some(once) = once else {
        return Ok(Creation::Now);
    };
    let claimed = sqlx::query!(
        "INSERT INTO idempotency_keys (user_id, route, key, request_hash, resource_id) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT idempotency_keys_have_one_effect DO NOTHING",
        once.user_id.as_uuid(),
        once.route.as_str(),
        once.key.0,
        &once.request_hash[..],
        resource_id,
    )
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Creation::Now);
    }
    made_before(connection, once)
        .await?
        .map(Creation::Before)
        .ok_or(StoreError::Unreadable(super::Unreadable::Other(
            "an idempotency key that was taken and is gone",
        )))
}

async fn made_before(connection: &mut PgConnection, once: &Once) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!(
        "SELECT request_hash, resource_id FROM idempotency_keys WHERE user_id = $1 AND route = $2 AND key = $3",
        once.user_id.as_uuid(),
        once.route.as_str(),
        once.key.0,
    )
    .fetch_optional(connection)
    .await?;
    match row {
        None => Ok(None),
        Some(row) if row.request_hash == once.request_hash => Ok(Some(row.resource_id)),
        Some(_) => Err(StoreError::KeyReused),
    }
}

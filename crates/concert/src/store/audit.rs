//! What organisers did: written in the transaction of the act, never changed.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;
use vocabulary::UserId;

use super::{Store, StoreError};
use crate::domain::audit::{Act, AuditPage, AuditQuery, Entry};

impl Store {
    /// Notes an act of another service before that service is asked for it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note(
        &self,
        organiser_id: UserId,
        act: Act,
        target_id: Uuid,
        details: Value,
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        note(&mut connection, organiser_id, act, target_id, details).await
    }

    /// Acts of this organiser, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit_log(&self, organiser_id: UserId, query: AuditQuery) -> Result<AuditPage, StoreError> {
        // One more than asked for tells whether there is a next page.
        let mut entries = sqlx::query_as!(
            Entry,
            "SELECT entry_id, act, target_id, at, details FROM audit_log
             WHERE organiser_id = $1 AND entry_id < $2 ORDER BY entry_id DESC LIMIT $3",
            organiser_id.as_uuid(),
            query.before,
            i64::from(query.limit) + 1,
        )
        .fetch_all(&self.pool)
        .await?;
        let more = entries.len() > query.limit as usize;
        entries.truncate(query.limit as usize);
        Ok(AuditPage { entries, more })
    }
}

pub(super) async fn note(
    connection: &mut PgConnection,
    organiser_id: UserId,
    act: Act,
    target_id: Uuid,
    details: Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_log (organiser_id, act, target_id, details) VALUES ($1, $2, $3, $4)",
        organiser_id.as_uuid(),
        act.as_str(),
        target_id,
        details,
    )
    .execute(connection)
    .await?;
    Ok(())
}

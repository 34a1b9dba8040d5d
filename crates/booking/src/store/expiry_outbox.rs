//! Messages that bring the end of a hold to mind, on their way to RabbitMQ.

use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::ReservationId;

use super::{Store, StoreError};

/// A publisher that has not confirmed within this time is taken to be gone.
const LEASE: Duration = Duration::from_secs(15);

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMessage {
    /// The hold.
    pub reservation_id: ReservationId,
    /// Its end.
    pub expires_at: OffsetDateTime,
    /// The trace that it belongs to, in the form of W3C's `traceparent`.
    pub trace_parent: Option<String>,
}

impl Store {
    /// Takes up at most `limit` messages that nobody publishes.
    pub async fn lease_due_messages(&self, limit: u32) -> Result<Vec<DueMessage>, StoreError> {
        let rows = sqlx::query!(
            "WITH free AS ( \
                 SELECT reservation_id FROM expiry_outbox WHERE leased_until <= frontrow_now() \
                 ORDER BY leased_until LIMIT $1 FOR UPDATE SKIP LOCKED \
             ) \
             UPDATE expiry_outbox AS row SET leased_until = frontrow_now() + make_interval(secs => $2) \
             FROM free WHERE row.reservation_id = free.reservation_id \
             RETURNING row.reservation_id, expires_at, trace_parent",
            i64::from(limit),
            LEASE.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| DueMessage {
                reservation_id: ReservationId::from_uuid(row.reservation_id),
                expires_at: row.expires_at,
                trace_parent: row.trace_parent,
            })
            .collect())
    }

    /// Forgets messages that the broker has confirmed.
    pub async fn remove_due_messages(&self, ids: &[ReservationId]) -> Result<(), StoreError> {
        let ids: Vec<_> = ids.iter().map(ReservationId::as_uuid).collect();
        sqlx::query!("DELETE FROM expiry_outbox WHERE reservation_id = ANY($1)", &ids)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Leaves messages that could not be published to the next try.
    pub async fn give_due_messages_back(&self, ids: &[ReservationId]) -> Result<(), StoreError> {
        let ids: Vec<_> = ids.iter().map(ReservationId::as_uuid).collect();
        sqlx::query!(
            "UPDATE expiry_outbox SET leased_until = frontrow_now() WHERE reservation_id = ANY($1)",
            &ids
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

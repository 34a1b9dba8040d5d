//! Puts seats back on sale whose holds were not paid in time.

use time::OffsetDateTime;

use super::{AppError, Booking};

/// What one batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredBatch {
    /// How many reservations expired.
    pub expired: u32,
    /// The earliest end still ahead.
    pub next_due_at: Option<OffsetDateTime>,
}

impl Booking {
    /// How many reservations the sweep expires in one transaction.
    pub const SWEEP_BATCH: u32 = 200;

    /// Expires at most `limit` reservations that are due, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn expire_due(&self, limit: u32) -> Result<ExpiredBatch, AppError> {
        let batch = self.store.expire_due(limit).await?;
        self.settle(&batch.freed).await;
        let expired = u32::try_from(batch.freed.len()).unwrap_or(u32::MAX);
        if expired > 0 {
            metrics::counter!("booking_expired_total").increment(expired.into());
            tracing::info!(expired, "unpaid holds are back on sale");
        }
        Ok(ExpiredBatch {
            expired,
            next_due_at: batch.next_due_at,
        })
    }

    /// One step of the sweep: expires all that is due, without anybody's prompt, forgets old idempotency keys, and marks
    /// canceled dates of which nothing is left to refund. Answers how many reservations expired.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sweep(&self) -> Result<u32, AppError> {
        let mut total = 0;
        loop {
            let expired = self.expire_due(Self::SWEEP_BATCH).await?.expired;
            total += expired;
            if expired < Self::SWEEP_BATCH {
                break;
            }
        }
        self.store.purge_idempotency(PURGE_BATCH).await?;
        self.store.note_refunds_begun(MARK_BATCH).await?;
        let (notices, messages) = self.store.outbox_backlog().await?;
        metrics::gauge!("booking_outbox_backlog", "outbox" => "visit").set(notices as f64);
        metrics::gauge!("booking_outbox_backlog", "outbox" => "expiry").set(messages as f64);
        Ok(total)
    }
}

const PURGE_BATCH: u32 = 1_000;
const MARK_BATCH: u32 = 1_000;

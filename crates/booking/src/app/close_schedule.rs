//! Ends the sale of a date.

use time::OffsetDateTime;
use vocabulary::ScheduleId;

use super::{AppError, Booking};

impl Booking {
    /// From the answer on no new hold of the date is made; what is held may still be paid. Answers when it was first
    /// closed.
    ///
    /// # Errors
    /// The date was never opened; or the store failed.
    pub async fn close_schedule(&self, id: ScheduleId) -> Result<OffsetDateTime, AppError> {
        let closed_at = self.store.close_schedule(id).await?;
        let closed_at = closed_at.ok_or(AppError::NotFound("schedule"))?;
        tracing::info!(schedule_id = %id, "a sale is closed");
        Ok(closed_at)
    }
}

//! Cancels a date, and says how far that has come.

use time::OffsetDateTime;
use vocabulary::ScheduleId;

use super::{AppError, Booking};
use crate::store::ScheduleCancellation;

impl Booking {
    /// From the answer on nothing of the date is held or paid any more, and what was paid is to be refunded in full. Its
    /// holds go in [`give_up_holds`](Self::give_up_holds). Answers when it was first canceled.
    ///
    /// # Errors
    /// The date was never opened; or the store failed.
    pub async fn cancel_schedule(&self, id: ScheduleId) -> Result<OffsetDateTime, AppError> {
        let canceled_at = self.store.cancel_schedule(id).await?;
        let canceled_at = canceled_at.ok_or(AppError::NotFound("schedule"))?;
        tracing::info!(schedule_id = %id, "a date is canceled");
        Ok(canceled_at)
    }

    /// How far the cancellation of a date has come.
    ///
    /// # Errors
    /// The date was not canceled; or the store failed.
    pub async fn schedule_cancellation(&self, id: ScheduleId) -> Result<ScheduleCancellation, AppError> {
        let cancellation = self.store.schedule_cancellation(id).await?;
        cancellation.ok_or(AppError::NotFound("cancellation"))
    }
}

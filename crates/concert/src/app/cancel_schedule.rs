//! Cancels a date.

use vocabulary::UserId;

use super::{App, AppError, LEASE};
use crate::domain::concert::Schedule;
use crate::peers::CancellationProgress;
use crate::store::ScheduleRef;

impl App {
    /// Cancels a date for good: noted here, then told to the booking service, then seen by everybody. From the answer on
    /// nobody holds a seat of it, and what was paid for it is on its way back. Where the booking service is away the date
    /// is canceled later by itself, and a repetition cancels it as soon as it can be.
    ///
    /// # Errors
    /// There is no such date of this organiser, or the store or the booking service failed.
    pub async fn cancel_schedule(
        &self,
        organiser_id: UserId,
        date: ScheduleRef,
    ) -> Result<Schedule, AppError> {
        if !self.store.ask_to_cancel(organiser_id, date, LEASE).await? {
            return Err(AppError::NotFound("schedule"));
        }
        self.finish_cancellation(date).await
    }

    /// How far the cancellation of a date has come. Whoever asks before the booking service was told has it told.
    ///
    /// # Errors
    /// There is no such date of this organiser, it was not canceled, or the store or the booking service failed.
    pub async fn schedule_cancellation(
        &self,
        organiser_id: UserId,
        date: ScheduleRef,
    ) -> Result<CancellationProgress, AppError> {
        let told = self.store.is_told_of_cancellation(organiser_id, date).await?;
        if !told.ok_or(AppError::NotFound("cancellation"))? {
            self.finish_cancellation(date).await?;
        }
        Ok(self.booking.schedule_cancellation(date.schedule_id).await?)
    }

    /// Canceling twice at once is harmless: the booking service keeps the first time.
    pub(super) async fn finish_cancellation(&self, date: ScheduleRef) -> Result<Schedule, AppError> {
        let canceled_at = self.booking.cancel_schedule(date.schedule_id).await?;
        let schedule = self.store.note_canceled(date.schedule_id, canceled_at).await?;
        self.cache.invalidate(date.concert_id).await;
        Ok(schedule)
    }
}

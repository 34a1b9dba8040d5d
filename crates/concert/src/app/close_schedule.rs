//! Ends the sale of a date.

use vocabulary::UserId;

use super::{App, AppError, LEASE};
use crate::domain::concert::Schedule;
use crate::store::ScheduleRef;

impl App {
    /// Ends the sale of a date: noted here, then told to the booking service, then seen by everybody. From the answer on
    /// no new hold is made; what is held may still be paid. Where the booking service is away the sale is closed later
    /// by itself, and a repetition closes it as soon as it can be.
    ///
    /// # Errors
    /// There is no such date of this organiser, or the store or the booking service failed.
    pub async fn close_schedule(
        &self,
        organiser_id: UserId,
        date: ScheduleRef,
    ) -> Result<Schedule, AppError> {
        if !self.store.ask_to_close(organiser_id, date, LEASE).await? {
            return Err(AppError::NotFound("schedule"));
        }
        self.finish_closing(date).await
    }

    /// Closing twice at once is harmless: the booking service keeps the first time.
    pub(super) async fn finish_closing(&self, date: ScheduleRef) -> Result<Schedule, AppError> {
        let closed_at = self.booking.close_schedule(date.schedule_id).await?;
        let schedule = self.store.note_closed(date.schedule_id, closed_at).await?;
        self.cache.invalidate(date.concert_id).await;
        Ok(schedule)
    }
}

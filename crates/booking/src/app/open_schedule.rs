//! Puts the seats of a date on sale.

use super::{AppError, Booking};
use crate::domain::ScheduleOpening;
use crate::store::Opened;

impl Booking {
    /// Puts a date on sale, once. Doing so again with the same content changes nothing.
    ///
    /// # Errors
    /// The date is on sale with another content; or the store failed.
    pub async fn open_schedule(&self, opening: &ScheduleOpening) -> Result<(), AppError> {
        match self.store.open_schedule(opening).await? {
            Opened::Now => {
                tracing::info!(
                    schedule_id = %opening.schedule_id(),
                    seats = opening.seats().len(),
                    "a schedule is on sale"
                );
                Ok(())
            }
            Opened::Before => Ok(()),
            Opened::Differently => Err(AppError::OpenedDifferently),
        }
    }
}

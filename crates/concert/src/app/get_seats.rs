//! Status of every seat of a date, for a visit on its page.

use vocabulary::ScheduleId;

use super::{App, AppError};
use crate::peers::{SeatStates, Visitor};

/// Seat states with the layout that their order belongs to.
#[derive(Debug, PartialEq, Eq)]
pub struct Seats {
    /// As the booking service tells them.
    pub states: SeatStates,
    /// Names the layout.
    pub layout_version: String,
}

impl App {
    /// The seats of a date. That the date exists is public, so it is told before the visit is looked at.
    ///
    /// # Errors
    /// There is no such date, the visit is not on its page, or a peer is away.
    pub async fn get_seats(&self, schedule_id: ScheduleId, visitor: &Visitor) -> Result<Seats, AppError> {
        let date = self.layouts.on_sale(schedule_id).await?;
        let date = date.ok_or(AppError::NotFound("schedule"))?;
        self.queue.check_visit(date.concert_id, visitor).await?;
        Ok(Seats {
            states: self.booking.seat_states(schedule_id).await?,
            layout_version: date.layout_version.clone(),
        })
    }
}

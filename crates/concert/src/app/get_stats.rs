//! Live counts of a concert, for its organiser.

use vocabulary::{ConcertId, ScheduleId, UserId};

use super::{App, AppError};
use crate::domain::lifecycle::ConcertState;
use crate::peers::Room;

/// A concert's line and seats at this moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Stats {
    /// The waiting room.
    pub room: Room,
    /// Each date on sale, in the order of their beginning.
    pub schedules: Vec<ScheduleStats>,
}

/// Seats of a date by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleStats {
    /// The date.
    pub schedule_id: ScheduleId,
    /// Seats on sale.
    pub available: u32,
    /// Seats held, not paid.
    pub pending: u32,
    /// Seats sold.
    pub occupied: u32,
}

impl App {
    /// # Errors
    /// There is no such concert of this organiser, or the store or a peer failed.
    pub async fn get_stats(&self, organiser_id: UserId, concert_id: ConcertId) -> Result<Stats, AppError> {
        let concert = self
            .store
            .owned_concert(organiser_id, concert_id)
            .await?
            .filter(|concert| concert.state == ConcertState::Listed)
            .ok_or(AppError::NotFound("concert"))?;
        let (room, counts) = tokio::try_join!(
            self.queue.room(concert_id),
            self.booking.count_seats(concert.schedules.iter().copied()),
        )?;
        let schedules = concert.schedules.iter().filter_map(|schedule_id| {
            let grades = counts.get(schedule_id)?;
            Some(ScheduleStats {
                schedule_id: *schedule_id,
                available: grades.iter().map(|grade| grade.available).sum(),
                pending: grades.iter().map(|grade| grade.pending).sum(),
                occupied: grades.iter().map(|grade| grade.occupied).sum(),
            })
        });
        Ok(Stats {
            room,
            schedules: schedules.collect(),
        })
    }
}

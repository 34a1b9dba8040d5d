//! How every seat of a date stands.

use vocabulary::{ScheduleId, SeatStatus};

use super::{AppError, Booking};

/// The seats of a date at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatMap {
    /// Grows with every committed change; equal versions mean equal maps.
    pub version: u64,
    /// In the order of the index.
    pub seats: Vec<SeatStatus>,
}

impl Booking {
    /// How every seat of a date stands now.
    ///
    /// # Errors
    /// The date was never opened; or the store failed.
    pub async fn seat_states(&self, schedule_id: ScheduleId) -> Result<SeatMap, AppError> {
        let schedule = self.schedules.get(schedule_id).await?;
        let states = self.store.seat_states(schedule_id).await?;
        let mut seats = vec![SeatStatus::Available; schedule.seat_count()];
        for (index, status) in states.taken {
            if let Some(seat) = seats.get_mut(index.0 as usize) {
                *seat = status;
            }
        }
        Ok(SeatMap {
            version: states.version,
            seats,
        })
    }
}

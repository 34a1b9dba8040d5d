//! Seats left, by grade.

use vocabulary::{Amount, Grade, ScheduleId};

use super::{AppError, Booking};

/// The seats of a date, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleCounts {
    /// The date.
    pub schedule_id: ScheduleId,
    /// Its grades, the dearest first.
    pub grades: Vec<GradeCounts>,
}

/// The seats of one grade, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GradeCounts {
    /// The grade.
    pub grade: Grade,
    /// What a seat of it costs.
    pub price: Amount,
    /// All of them.
    pub total: u32,
    /// Held, not paid yet.
    pub pending: u32,
    /// Sold.
    pub occupied: u32,
}

impl GradeCounts {
    /// On sale.
    #[must_use]
    pub const fn available(&self) -> u32 {
        self.total.saturating_sub(self.pending + self.occupied)
    }
}

impl Booking {
    /// Counts the seats of dates; those that were never opened are left out.
    ///
    /// # Errors
    /// The store failed.
    pub async fn count_seats(&self, schedule_ids: &[ScheduleId]) -> Result<Vec<ScheduleCounts>, AppError> {
        let taken = self.store.count_taken(schedule_ids).await?;
        let mut counts = Vec::with_capacity(schedule_ids.len());
        for &schedule_id in schedule_ids {
            let schedule = match self.schedules.get(schedule_id).await {
                Ok(schedule) => schedule,
                Err(AppError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let grades = schedule.grades().iter().map(|(grade, price, total)| {
                let key = (schedule_id, grade.clone(), *price);
                let (pending, occupied) = taken.get(&key).copied().unwrap_or_default();
                GradeCounts {
                    grade: grade.clone(),
                    price: *price,
                    total: *total,
                    pending,
                    occupied,
                }
            });
            counts.push(ScheduleCounts {
                schedule_id,
                grades: grades.collect(),
            });
        }
        Ok(counts)
    }
}

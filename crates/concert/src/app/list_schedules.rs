//! Dates with seats left, for a visit on its page.

use vocabulary::ConcertId;

use super::{App, AppError};
use crate::domain::concert::{GradeSeats, SeatsLeft};
use crate::peers::Visitor;

impl App {
    /// The dates of a concert with what is left of each grade. That the concert exists is public, so it is told before
    /// the visit is looked at.
    ///
    /// # Errors
    /// There is no such concert, the visit is not on its page, or a peer is away.
    pub async fn list_schedules(
        &self,
        concert_id: ConcertId,
        visitor: &Visitor,
    ) -> Result<Vec<SeatsLeft>, AppError> {
        let concert = self.get_concert(concert_id).await?;
        self.queue.check_visit(concert_id, visitor).await?;
        let ids = concert.schedules.iter().map(|schedule| schedule.schedule_id);
        let mut counts = self.booking.count_seats(ids).await?;
        let mut dates = Vec::with_capacity(concert.schedules.len());
        for schedule in &concert.schedules {
            let Some(counted) = counts.remove(&schedule.schedule_id) else {
                tracing::error!(schedule_id = %schedule.schedule_id, "a date on sale is not known to booking");
                continue;
            };
            let grades = concert.prices.iter().filter_map(|price| {
                let counts = counted
                    .iter()
                    .find(|counts| counts.grade == price.grade.as_str())?;
                Some(GradeSeats {
                    price: price.clone(),
                    total: counts.total,
                    available: counts.available,
                })
            });
            dates.push(SeatsLeft {
                schedule: *schedule,
                grades: grades.collect(),
            });
        }
        Ok(dates)
    }
}

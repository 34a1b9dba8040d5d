//! What a visit's hold did: it was made, it was paid, it lapsed or was given up.

use vocabulary::VisitId;

use super::{AppError, Queue};
use crate::domain::Event;
use crate::store::Transition;

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitOutcome {
    /// The hold was paid.
    Completed,
    /// The hold lapsed or was given up.
    Expired,
}

impl Queue {
    /// The visit made a hold: it pays now, and its place is free. Told too late it changes nothing.
    ///
    /// # Errors
    /// No such visit; Postgres is away.
    pub async fn end_page(&self, visit: VisitId) -> Result<(), AppError> {
        match self.visits.end_page(visit).await? {
            Transition::Moved(moved) => {
                self.tell_line(self.line.leave_page(moved.concert_id, moved.number))
                    .await;
                self.waker.wake(moved.concert_id);
                metrics::counter!("queue_pages_left_total").increment(1);
                Ok(())
            }
            Transition::TooLate => Ok(()),
            Transition::Unknown => Err(AppError::VisitNotFound),
        }
    }

    /// The visit's hold ended, and the visit with it. Told too late it changes nothing.
    ///
    /// # Errors
    /// No such visit; Postgres is away.
    pub async fn end_visit(&self, visit: VisitId, outcome: VisitOutcome) -> Result<(), AppError> {
        let event = match outcome {
            VisitOutcome::Completed => Event::Paid,
            VisitOutcome::Expired => Event::HoldEnded,
        };
        match self.visits.end_visit(visit, event).await? {
            Transition::Moved(ended) => {
                self.tell_line(self.line.forget(ended.concert_id, ended.user_id, ended.number))
                    .await;
                self.waker.wake(ended.concert_id);
                metrics::counter!("queue_visits_ended_total").increment(1);
                Ok(())
            }
            Transition::TooLate => Ok(()),
            Transition::Unknown => Err(AppError::VisitNotFound),
        }
    }
}

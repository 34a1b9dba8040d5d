//! What a visit's hold did: it was made, it was paid, it lapsed or was given up.

use futures::future::join_all;
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

impl VisitOutcome {
    /// What happened to the visit.
    const fn event(self) -> Event {
        match self {
            Self::Completed => Event::Paid,
            Self::Expired => Event::HoldEnded,
        }
    }
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

    /// The holds of these visits ended, and the visits with them. Those that are unknown or over stay so.
    ///
    /// # Errors
    /// Postgres is away.
    pub async fn end_visits(&self, visits: &[(VisitId, VisitOutcome)]) -> Result<(), AppError> {
        let events: Vec<_> = visits
            .iter()
            .map(|(visit, outcome)| (*visit, outcome.event()))
            .collect();
        let ended = self.visits.end_visits(&events).await?;
        join_all(ended.iter().map(|ended| async {
            self.tell_line(self.line.forget(ended.concert_id, ended.user_id, ended.number))
                .await;
            self.waker.wake(ended.concert_id);
        }))
        .await;
        metrics::counter!("queue_visits_ended_total").increment(ended.len() as u64);
        Ok(())
    }
}

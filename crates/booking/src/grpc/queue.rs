//! The queue service, as booking sees it.

use std::fmt;

use contracts::QueueClient;
pub(crate) use contracts::queue::VisitOutcome;
use contracts::queue::{CheckVisitRequest, EndPageRequest, EndVisitsRequest, VisitPurpose, VisitToEnd};
use service_kit::problem::Problem;
use vocabulary::{ConcertId, ProblemCode, QueueNumber, UserId, VisitId};

/// A visit in phase PAGE.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    /// Its id.
    pub visit_id: VisitId,
    /// The place in line that it was admitted from.
    pub number: QueueNumber,
}

/// Judges visits and hears what became of them.
#[derive(Clone)]
pub struct Queue {
    client: QueueClient,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    /// The queue service behind this client.
    #[must_use]
    pub const fn new(client: QueueClient) -> Self {
        Self { client }
    }

    /// The visit of a token, if it is on its page now; queue keeps the page open until the hold's own deadline.
    pub(crate) async fn check_visit(
        &self,
        queue_token: &str,
        user_id: UserId,
        concert_id: ConcertId,
    ) -> Result<Visit, Problem> {
        let request = CheckVisitRequest {
            queue_token: queue_token.to_owned(),
            user_id: user_id.to_string(),
            concert_id: concert_id.to_string(),
            purpose: VisitPurpose::Hold.into(),
        };
        let answer = self.client.clone().check_visit(request).await?.into_inner();
        let visit_id = answer.visit_id.parse().map_err(|_| {
            tracing::error!("queue answered a visit without an id");
            Problem::of(ProblemCode::Internal)
        })?;
        Ok(Visit {
            visit_id,
            number: QueueNumber(answer.number),
        })
    }

    /// Tells that a visit made its hold. Telling it again, or too late, changes nothing.
    pub(crate) async fn end_page(&self, visit: VisitId) -> Result<(), Problem> {
        let request = EndPageRequest {
            visit_id: visit.to_string(),
        };
        match self.client.clone().end_page(request).await.map_err(Problem::from) {
            // A visit that queue does not know has nothing left to end.
            Err(problem) if problem.code == ProblemCode::NotFound => Ok(()),
            told => told.map(|_| ()),
        }
    }

    /// Tells what became of holds, of as many as one call carries. Telling it again, or too late, changes nothing.
    pub(crate) async fn end_visits(&self, visits: Vec<(VisitId, VisitOutcome)>) -> Result<(), Problem> {
        let visits = visits.into_iter().map(|(visit, outcome)| VisitToEnd {
            visit_id: visit.to_string(),
            outcome: outcome.into(),
        });
        let request = EndVisitsRequest {
            visits: visits.collect(),
        };
        self.client.clone().end_visits(request).await?;
        Ok(())
    }
}

//! The queue service, as booking sees it.

use std::fmt;

use contracts::QueueClient;
use contracts::queue::{CheckVisitRequest, EndPageRequest, EndVisitRequest, VisitOutcome, VisitPurpose};
use service_kit::problem::Problem;
use vocabulary::{ConcertId, ProblemCode, QueueNumber, UserId, VisitId};

use crate::store::{Notice, VisitNotice};

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

    /// Tells what became of a visit. Telling it again, or too late, changes nothing.
    pub(crate) async fn tell(&self, notice: &VisitNotice) -> Result<(), Problem> {
        let visit_id = notice.visit_id.to_string();
        let mut client = self.client.clone();
        let told = match notice.notice {
            Notice::PageEnded => client.end_page(EndPageRequest { visit_id }).await.map(|_| ()),
            Notice::Completed => end_visit(&mut client, visit_id, VisitOutcome::Completed).await,
            Notice::Expired => end_visit(&mut client, visit_id, VisitOutcome::Expired).await,
        };
        match told.map_err(Problem::from) {
            // A visit that queue does not know has nothing left to end.
            Err(problem) if problem.code == ProblemCode::NotFound => Ok(()),
            told => told,
        }
    }
}

async fn end_visit(
    client: &mut QueueClient,
    visit_id: String,
    outcome: VisitOutcome,
) -> Result<(), tonic::Status> {
    let request = EndVisitRequest {
        visit_id,
        outcome: outcome.into(),
    };
    client.end_visit(request).await.map(|_| ())
}

//! The lines of the queue service.

use contracts::QueueClient;
use contracts::queue::{JoinRequest, Ticket};
use service_kit::problem::Problem;
use vocabulary::{ConcertId, ProblemCode, UserId};

use crate::app::Lines;

/// The queue service as a login sees it.
#[derive(Debug, Clone)]
pub struct QueueLines {
    client: QueueClient,
}

impl QueueLines {
    /// Behind this client.
    #[must_use]
    pub const fn new(client: QueueClient) -> Self {
        Self { client }
    }
}

impl Lines for QueueLines {
    type Ticket = Ticket;

    async fn join(&self, concert_id: ConcertId, user_id: UserId) -> Result<Ticket, Problem> {
        let request = JoinRequest {
            concert_id: concert_id.to_string(),
            user_id: user_id.to_string(),
        };
        let joined = self.client.clone().join(request).await?.into_inner();
        joined.ticket.ok_or_else(|| {
            tracing::error!("the queue service answered a join without a ticket");
            Problem::of(ProblemCode::Internal)
        })
    }
}

//! Queue, played by the test: visits are admitted at will, and what booking tells is written down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::queue as proto;
use contracts::queue::queue_service_server::{QueueService, QueueServiceServer};
use service_kit::problem::Problem;
use tokio_stream::Empty;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use vocabulary::{ConcertId, ProblemCode, QueueNumber, UserId, VisitId};

/// Somebody on their page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) user_id: UserId,
    pub(crate) visit_id: VisitId,
    pub(crate) number: QueueNumber,
    pub(crate) token: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    PageEnded,
    Completed,
    Expired,
}

#[derive(Debug, Default)]
struct State {
    visits: HashMap<String, (Visitor, ConcertId)>,
    refusals: HashMap<String, ProblemCode>,
    told: HashMap<VisitId, Vec<Told>>,
    deaf: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct QueuePeer {
    state: Arc<Mutex<State>>,
}

impl QueuePeer {
    pub(crate) async fn serve(&self) -> String {
        test_support::serve_grpc(Routes::new(QueueServiceServer::new(self.clone()))).await
    }

    /// Lets a user in.
    pub(crate) fn admit(&self, user_id: UserId, concert_id: ConcertId) -> Visitor {
        let mut state = self.state();
        let visitor = Visitor {
            user_id,
            visit_id: VisitId::new(),
            number: QueueNumber(state.visits.len() as u64 + 1),
            token: format!("token-{}", state.visits.len()),
        };
        state
            .visits
            .insert(visitor.token.clone(), (visitor.clone(), concert_id));
        visitor
    }

    /// From now on refuses this token.
    pub(crate) fn refuse(&self, token: &str, code: ProblemCode) {
        self.state().refusals.insert(token.to_owned(), code);
    }

    /// Whether it refuses to hear what became of visits.
    pub(crate) fn set_deaf(&self, deaf: bool) {
        self.state().deaf = deaf;
    }

    pub(crate) fn told(&self, visit_id: VisitId) -> Vec<Told> {
        self.state().told.get(&visit_id).cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn hear(&self, visit_id: &str, what: Told) -> Result<(), Status> {
        let mut state = self.state();
        if state.deaf {
            return Err(Problem::of(ProblemCode::Unavailable).into());
        }
        let told = state.told.entry(visit_id.parse().unwrap()).or_default();
        if !told.contains(&what) {
            told.push(what);
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl QueueService for QueuePeer {
    type WatchRoomsStream = Empty<Result<proto::WatchRoomsResponse, Status>>;
    type ListLeavesStream = Empty<Result<proto::ListLeavesResponse, Status>>;

    async fn check_visit(
        &self,
        request: Request<proto::CheckVisitRequest>,
    ) -> Result<Response<proto::CheckVisitResponse>, Status> {
        let request = request.into_inner();
        let state = self.state();
        let refuse = |code| Err(Problem::of(code).into());
        if let Some(code) = state.refusals.get(&request.queue_token) {
            return refuse(*code);
        }
        let Some((visitor, concert_id)) = state.visits.get(&request.queue_token) else {
            return refuse(ProblemCode::QueueTokenInvalid);
        };
        assert_eq!(request.purpose(), proto::VisitPurpose::Hold);
        if visitor.user_id.to_string() != request.user_id {
            return refuse(ProblemCode::QueueTokenForeign);
        }
        if concert_id.to_string() != request.concert_id {
            return refuse(ProblemCode::NotAdmitted);
        }
        Ok(Response::new(proto::CheckVisitResponse {
            visit_id: visitor.visit_id.to_string(),
            expires_at: None,
            number: visitor.number.0,
        }))
    }

    async fn end_page(
        &self,
        request: Request<proto::EndPageRequest>,
    ) -> Result<Response<proto::EndPageResponse>, Status> {
        self.hear(&request.into_inner().visit_id, Told::PageEnded)?;
        Ok(Response::new(proto::EndPageResponse {}))
    }

    async fn end_visits(
        &self,
        request: Request<proto::EndVisitsRequest>,
    ) -> Result<Response<proto::EndVisitsResponse>, Status> {
        for visit in request.into_inner().visits {
            let what = match visit.outcome() {
                proto::VisitOutcome::Completed => Told::Completed,
                proto::VisitOutcome::Expired => Told::Expired,
                proto::VisitOutcome::Unspecified => return Err(Status::invalid_argument("outcome")),
            };
            self.hear(&visit.visit_id, what)?;
        }
        Ok(Response::new(proto::EndVisitsResponse {}))
    }

    async fn put_room(
        &self,
        _: Request<proto::PutRoomRequest>,
    ) -> Result<Response<proto::PutRoomResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn get_room(
        &self,
        _: Request<proto::GetRoomRequest>,
    ) -> Result<Response<proto::GetRoomResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn get_room_stats(
        &self,
        _: Request<proto::GetRoomStatsRequest>,
    ) -> Result<Response<proto::GetRoomStatsResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn watch_rooms(
        &self,
        _: Request<proto::WatchRoomsRequest>,
    ) -> Result<Response<Self::WatchRoomsStream>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn join(&self, _: Request<proto::JoinRequest>) -> Result<Response<proto::JoinResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn get_token(
        &self,
        _: Request<proto::GetTokenRequest>,
    ) -> Result<Response<proto::GetTokenResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn leave(&self, _: Request<proto::LeaveRequest>) -> Result<Response<proto::LeaveResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn get_proof(
        &self,
        _: Request<proto::GetProofRequest>,
    ) -> Result<Response<proto::GetProofResponse>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }

    async fn list_leaves(
        &self,
        _: Request<proto::ListLeavesRequest>,
    ) -> Result<Response<Self::ListLeavesStream>, Status> {
        Err(Status::unimplemented("booking never calls this"))
    }
}

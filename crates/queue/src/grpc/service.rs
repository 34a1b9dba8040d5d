//! `frontrow.queue.v1.QueueService`.

use std::sync::Arc;

use contracts::queue::queue_service_server::QueueService;
use contracts::queue::{
    CheckVisitRequest, CheckVisitResponse, EndPageRequest, EndPageResponse, EndVisitsRequest,
    EndVisitsResponse, GetProofRequest, GetProofResponse, GetRoomRequest, GetRoomResponse,
    GetRoomStatsRequest, GetRoomStatsResponse, GetTokenRequest, GetTokenResponse, JoinRequest, JoinResponse,
    LeaveRequest, LeaveResponse, ListLeavesRequest, ListLeavesResponse, PutRoomRequest, PutRoomResponse,
    WatchRoomsRequest, WatchRoomsResponse,
};
use contracts::{parse_id, timestamp};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use service_kit::grpc::several;
use service_kit::problem::Problem;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert;
use crate::app::{Queue, Snapshot};

/// The use cases behind the contract.
#[derive(Debug)]
pub struct Service {
    queue: Arc<Queue>,
    stop: CancellationToken,
}

impl Service {
    /// Serves these use cases; streams end at `stop`.
    #[must_use]
    pub const fn new(queue: Arc<Queue>, stop: CancellationToken) -> Self {
        Self { queue, stop }
    }
}

#[tonic::async_trait]
impl QueueService for Service {
    async fn put_room(&self, request: Request<PutRoomRequest>) -> Result<Response<PutRoomResponse>, Status> {
        let PutRoomRequest { concert_id, settings } = request.into_inner();
        let concert = parse_id("concertId", &concert_id)?;
        let settings = convert::settings(settings)?;
        let room = self
            .queue
            .put_room(concert, settings)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(PutRoomResponse {
            room: Some(convert::room(&room)),
        }))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<GetRoomResponse>, Status> {
        let concert = parse_id("concertId", &request.get_ref().concert_id)?;
        let room = self.queue.get_room(concert).await.map_err(Problem::from)?;
        Ok(Response::new(GetRoomResponse {
            room: Some(convert::room(&room)),
        }))
    }

    async fn get_room_stats(
        &self,
        request: Request<GetRoomStatsRequest>,
    ) -> Result<Response<GetRoomStatsResponse>, Status> {
        let concert = parse_id("concertId", &request.get_ref().concert_id)?;
        let stats = self.queue.room_stats(concert).await.map_err(Problem::from)?;
        Ok(Response::new(convert::stats(&stats)))
    }

    type WatchRoomsStream = BoxStream<'static, Result<WatchRoomsResponse, Status>>;

    async fn watch_rooms(
        &self,
        _request: Request<WatchRoomsRequest>,
    ) -> Result<Response<Self::WatchRoomsStream>, Status> {
        let messages = changes(self.queue.watch_rooms()).map(Ok);
        let stopped = self.stop.clone().cancelled_owned();
        Ok(Response::new(messages.take_until(stopped).boxed()))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let JoinRequest { concert_id, user_id } = request.into_inner();
        let (concert, user) = (parse_id("concertId", &concert_id)?, parse_id("userId", &user_id)?);
        let ticket = self.queue.join(concert, user).await.map_err(Problem::from)?;
        Ok(Response::new(JoinResponse {
            ticket: Some(convert::ticket(ticket)),
        }))
    }

    async fn get_token(
        &self,
        request: Request<GetTokenRequest>,
    ) -> Result<Response<GetTokenResponse>, Status> {
        let view = self
            .queue
            .get_token(&request.get_ref().queue_token)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(GetTokenResponse {
            state: Some(convert::token_state(view)),
        }))
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        self.queue
            .leave(&request.get_ref().queue_token)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(LeaveResponse {}))
    }

    async fn get_proof(
        &self,
        request: Request<GetProofRequest>,
    ) -> Result<Response<GetProofResponse>, Status> {
        let proof = self
            .queue
            .proof(&request.get_ref().queue_token)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(convert::proof(proof)))
    }

    type ListLeavesStream = BoxStream<'static, Result<ListLeavesResponse, Status>>;

    async fn list_leaves(
        &self,
        request: Request<ListLeavesRequest>,
    ) -> Result<Response<Self::ListLeavesStream>, Status> {
        let concert = parse_id("concertId", &request.get_ref().concert_id)?;
        let pages = self.queue.list_leaves(concert).await.map_err(Problem::from)?;
        let messages = pages.map(|page| match page {
            Ok(leaves) => Ok(ListLeavesResponse {
                commitments: leaves.iter().flat_map(|leaf| leaf.0).collect(),
            }),
            Err(error) => Err(Problem::from(error).into()),
        });
        let stopped = self.stop.clone().cancelled_owned();
        Ok(Response::new(messages.take_until(stopped).boxed()))
    }

    async fn check_visit(
        &self,
        request: Request<CheckVisitRequest>,
    ) -> Result<Response<CheckVisitResponse>, Status> {
        let request = request.into_inner();
        let purpose = convert::purpose(request.purpose())?;
        let (user, concert) = (
            parse_id("userId", &request.user_id)?,
            parse_id("concertId", &request.concert_id)?,
        );
        let visit = self
            .queue
            .check_visit(&request.queue_token, user, concert, purpose)
            .await;
        let visit = visit.map_err(Problem::from)?;
        Ok(Response::new(CheckVisitResponse {
            visit_id: visit.visit_id.to_string(),
            expires_at: Some(timestamp(visit.expires_at)),
            number: visit.number.0,
        }))
    }

    async fn end_page(&self, request: Request<EndPageRequest>) -> Result<Response<EndPageResponse>, Status> {
        let visit = parse_id("visitId", &request.get_ref().visit_id)?;
        self.queue.end_page(visit).await.map_err(Problem::from)?;
        Ok(Response::new(EndPageResponse {}))
    }

    async fn end_visits(
        &self,
        request: Request<EndVisitsRequest>,
    ) -> Result<Response<EndVisitsResponse>, Status> {
        let visits = several("visits", request.into_inner().visits)?;
        let visits = visits.iter().enumerate().map(|(position, visit)| {
            Ok((
                parse_id(&format!("visits[{position}].visitId"), &visit.visit_id)?,
                convert::outcome(&format!("visits[{position}].outcome"), visit.outcome())?,
            ))
        });
        let visits = visits.collect::<Result<Vec<_>, Problem>>()?;
        self.queue.end_visits(&visits).await.map_err(Problem::from)?;
        Ok(Response::new(EndVisitsResponse {}))
    }
}

/// A message a tick: every room, then the rooms that changed; a message without rooms is a sign of life.
fn changes(rooms: watch::Receiver<Arc<Snapshot>>) -> impl futures::Stream<Item = WatchRoomsResponse> + Send {
    let mut rooms = rooms;
    if rooms.borrow().taken {
        rooms.mark_changed();
    }
    stream::unfold((rooms, Arc::<Snapshot>::default()), async |(mut rooms, sent)| {
        rooms.changed().await.ok()?;
        let snapshot = Arc::clone(&rooms.borrow_and_update());
        let changed = snapshot.rooms.iter().filter(|(concert, view)| {
            sent.rooms
                .get(concert)
                .is_none_or(|earlier| view.differs_from(earlier))
        });
        let message = WatchRoomsResponse {
            rooms: changed.map(|(_, view)| convert::room(view)).collect(),
        };
        Some((message, (rooms, snapshot)))
    })
}

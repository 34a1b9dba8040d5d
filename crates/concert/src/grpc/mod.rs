//! The gRPC surface: generated types to our own and back, and errors to problems, once.

mod convert;

use contracts::concert::concert_service_server::ConcertService;
use contracts::{concert as pb, parse_id};
use secrecy::SecretString;
use service_kit::problem::{FieldError, Problem};
use tonic::{Request, Response, Status};
use vocabulary::ProblemCode;

use crate::app::{App, AppError, ConcertForm, CreateConcert, CreateSchedule, CreateVenue, UpdateWaitingRoom};
use crate::domain::audit::AuditQuery;
use crate::domain::page::Search;
use crate::peers::Visitor;
use crate::store::{ScheduleRef, StoreError};

/// Serves the use cases.
#[derive(Debug, Clone)]
pub struct ConcertGrpc {
    app: App,
}

impl ConcertGrpc {
    /// Serves these use cases.
    #[must_use]
    pub const fn new(app: App) -> Self {
        Self { app }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ConcertService for ConcertGrpc {
    async fn search_concerts(
        &self,
        request: Request<pb::SearchConcertsRequest>,
    ) -> Answer<pb::SearchConcertsResponse> {
        let request = request.into_inner();
        let search = Search::new(&request.query, &request.cursor, request.limit).map_err(refused)?;
        let page = self.app.search_concerts(&search).await.map_err(problem)?;
        Ok(Response::new(page.into()))
    }

    async fn get_concert(&self, request: Request<pb::GetConcertRequest>) -> Answer<pb::GetConcertResponse> {
        let concert_id = parse_id("concertId", &request.into_inner().concert_id)?;
        let concert = self.app.get_concert(concert_id).await.map_err(problem)?;
        Ok(Response::new(pb::GetConcertResponse {
            concert: Some(concert.into()),
        }))
    }

    async fn list_schedules(
        &self,
        request: Request<pb::ListSchedulesRequest>,
    ) -> Answer<pb::ListSchedulesResponse> {
        let request = request.into_inner();
        let concert_id = parse_id("concertId", &request.concert_id)?;
        let visitor = visitor(&request.user_id, request.queue_token)?;
        let dates = self
            .app
            .list_schedules(concert_id, &visitor)
            .await
            .map_err(problem)?;
        Ok(Response::new(pb::ListSchedulesResponse {
            schedules: dates.into_iter().map(Into::into).collect(),
        }))
    }

    async fn get_layout(&self, request: Request<pb::GetLayoutRequest>) -> Answer<pb::GetLayoutResponse> {
        let schedule_id = parse_id("scheduleId", &request.into_inner().schedule_id)?;
        let layout = self.app.get_layout(schedule_id).await.map_err(problem)?;
        Ok(Response::new(pb::GetLayoutResponse {
            layout: Some((&layout).into()),
        }))
    }

    async fn get_seats(&self, request: Request<pb::GetSeatsRequest>) -> Answer<pb::GetSeatsResponse> {
        let request = request.into_inner();
        let schedule_id = parse_id("scheduleId", &request.schedule_id)?;
        let visitor = visitor(&request.user_id, request.queue_token)?;
        let seats = self.app.get_seats(schedule_id, &visitor).await.map_err(problem)?;
        Ok(Response::new(pb::GetSeatsResponse {
            version: seats.states.version,
            statuses: seats.states.statuses,
            layout_version: seats.layout_version,
        }))
    }

    async fn create_venue(
        &self,
        request: Request<pb::CreateVenueRequest>,
    ) -> Answer<pb::CreateVenueResponse> {
        let request = request.into_inner();
        let venue = CreateVenue::new(
            parse_id("organiserId", &request.organiser_id)?,
            &request.name,
            request.plan_json,
            &request.idempotency_key,
        );
        let made = self
            .app
            .create_venue(venue.map_err(refused)?)
            .await
            .map_err(problem)?;
        Ok(Response::new(pb::CreateVenueResponse {
            venue_id: made.venue_id.to_string(),
            seats: made.seats,
        }))
    }

    async fn create_concert(
        &self,
        request: Request<pb::CreateConcertRequest>,
    ) -> Answer<pb::CreateConcertResponse> {
        let request = request.into_inner();
        let prices = request
            .prices
            .into_iter()
            .map(|price| (price.grade, price.amount));
        let concert = CreateConcert::new(ConcertForm {
            organiser_id: parse_id("organiserId", &request.organiser_id)?,
            title: &request.title,
            venue_id: parse_id("venueId", &request.venue_id)?,
            currency: &request.currency,
            prices: prices.collect(),
            room: convert::waiting_room("waitingRoom", request.waiting_room),
            refund_policy: convert::refund_policy(request.refund_policy),
            key: &request.idempotency_key,
        });
        let concert_id = self
            .app
            .create_concert(concert.map_err(refused)?)
            .await
            .map_err(problem)?;
        Ok(Response::new(pb::CreateConcertResponse {
            concert_id: concert_id.to_string(),
        }))
    }

    async fn create_schedule(
        &self,
        request: Request<pb::CreateScheduleRequest>,
    ) -> Answer<pb::CreateScheduleResponse> {
        let request = request.into_inner();
        let schedule = CreateSchedule::new(
            parse_id("organiserId", &request.organiser_id)?,
            parse_id("concertId", &request.concert_id)?,
            convert::required_time("startsAt", request.starts_at.as_ref())?,
            &request.idempotency_key,
        );
        let schedule_id = self
            .app
            .create_schedule(schedule.map_err(refused)?)
            .await
            .map_err(problem)?;
        Ok(Response::new(pb::CreateScheduleResponse {
            schedule_id: schedule_id.to_string(),
        }))
    }

    async fn close_schedule(
        &self,
        request: Request<pb::CloseScheduleRequest>,
    ) -> Answer<pb::CloseScheduleResponse> {
        let request = request.into_inner();
        let organiser_id = parse_id("organiserId", &request.organiser_id)?;
        let date = date(&request.concert_id, &request.schedule_id)?;
        let schedule = self
            .app
            .close_schedule(organiser_id, date)
            .await
            .map_err(problem)?;
        Ok(Response::new(pb::CloseScheduleResponse {
            schedule: Some(schedule.into()),
        }))
    }

    async fn list_audit_log(
        &self,
        request: Request<pb::ListAuditLogRequest>,
    ) -> Answer<pb::ListAuditLogResponse> {
        let request = request.into_inner();
        let organiser_id = parse_id("organiserId", &request.organiser_id)?;
        let query = AuditQuery::new(&request.cursor, request.limit).map_err(refused)?;
        let page = self.app.audit_log(organiser_id, query).await.map_err(problem)?;
        Ok(Response::new(page.into()))
    }

    async fn update_waiting_room(
        &self,
        request: Request<pb::UpdateWaitingRoomRequest>,
    ) -> Answer<pb::UpdateWaitingRoomResponse> {
        let request = request.into_inner();
        let change = UpdateWaitingRoom {
            organiser_id: parse_id("organiserId", &request.organiser_id)?,
            concert_id: parse_id("concertId", &request.concert_id)?,
            room: convert::waiting_room("", request.waiting_room).map_err(refused)?,
        };
        let room = self.app.update_waiting_room(change).await.map_err(problem)?;
        Ok(Response::new(pb::UpdateWaitingRoomResponse {
            waiting_room: Some(room.into()),
        }))
    }

    async fn get_stats(&self, request: Request<pb::GetStatsRequest>) -> Answer<pb::GetStatsResponse> {
        let request = request.into_inner();
        let organiser_id = parse_id("organiserId", &request.organiser_id)?;
        let concert_id = parse_id("concertId", &request.concert_id)?;
        let stats = self
            .app
            .get_stats(organiser_id, concert_id)
            .await
            .map_err(problem)?;
        Ok(Response::new(stats.into()))
    }

    async fn cancel_schedule(
        &self,
        request: Request<pb::CancelScheduleRequest>,
    ) -> Answer<pb::CancelScheduleResponse> {
        let request = request.into_inner();
        let organiser_id = parse_id("organiserId", &request.organiser_id)?;
        let date = date(&request.concert_id, &request.schedule_id)?;
        let schedule = self
            .app
            .cancel_schedule(organiser_id, date)
            .await
            .map_err(problem)?;
        Ok(Response::new(pb::CancelScheduleResponse {
            schedule: Some(schedule.into()),
        }))
    }

    async fn get_schedule_cancellation(
        &self,
        request: Request<pb::GetScheduleCancellationRequest>,
    ) -> Answer<pb::GetScheduleCancellationResponse> {
        let request = request.into_inner();
        let organiser_id = parse_id("organiserId", &request.organiser_id)?;
        let date = date(&request.concert_id, &request.schedule_id)?;
        let progress = self
            .app
            .schedule_cancellation(organiser_id, date)
            .await
            .map_err(problem)?;
        Ok(Response::new(progress.into()))
    }
}

fn date(concert_id: &str, schedule_id: &str) -> Result<ScheduleRef, Problem> {
    Ok(ScheduleRef {
        schedule_id: parse_id("scheduleId", schedule_id)?,
        concert_id: parse_id("concertId", concert_id)?,
    })
}

fn visitor(user_id: &str, queue_token: String) -> Result<Visitor, Problem> {
    Ok(Visitor {
        user_id: parse_id("userId", user_id)?,
        queue_token: SecretString::from(queue_token),
    })
}

fn refused(faults: Vec<FieldError>) -> Status {
    Problem::fields(faults).into()
}

fn problem(error: AppError) -> Status {
    Problem::from(error).into()
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(what) => Self::new(ProblemCode::NotFound, format!("there is no such {what}")),
            AppError::Fields(faults) => Self::fields(faults),
            AppError::StillRunning => Self::of(ProblemCode::IdempotencyKeyInProgress),
            AppError::Peer(problem) => problem,
            AppError::Store(StoreError::KeyReused) => Self::of(ProblemCode::IdempotencyKeyReused),
            AppError::Store(StoreError::Unavailable(source)) => {
                tracing::warn!(
                    error = &source as &dyn std::error::Error,
                    "the database is unavailable"
                );
                Self::of(ProblemCode::Unavailable)
            }
            AppError::Store(StoreError::Bug(_) | StoreError::Unreadable(_)) | AppError::CutShort(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a fault of ours");
                Self::of(ProblemCode::Internal)
            }
        }
    }
}

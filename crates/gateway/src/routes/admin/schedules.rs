//! Dates: put on sale, closed, canceled.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::concert::{
    CancelScheduleRequest, CloseScheduleRequest, CreateScheduleRequest, GetScheduleCancellationRequest,
    GetScheduleCancellationResponse,
};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P, ScheduleId, UserId};

use crate::extract::{Body, IdempotencyKey, Organiser, PathId, PathIds, Rules};
use crate::openapi::{BODY, IDEMPOTENT, ORGANISER, problems};
use crate::problem::ApiProblem;
use crate::routes::concerts::Schedule;
use crate::state::App;
use crate::wire::{self, BrokenContract, CancellationStatus};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_schedule))
        .routes(routes!(close_schedule))
        .routes(routes!(cancel_schedule, get_schedule_cancellation))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewSchedule {
    #[serde(deserialize_with = "wire::read_time")]
    starts_at: OffsetDateTime,
}

impl Rules for NewSchedule {}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedSchedule {
    #[schema(format = Uuid)]
    schedule_id: String,
}

problems!(CreateScheduleProblems: BODY, ORGANISER, IDEMPOTENT, &[P::NotFound]);

/// Put a date on sale. Prices and layout are immutable from here.
#[utoipa::path(
    post, path = "/v1/admin/concerts/{concertId}/schedules", tag = "admin",
    params(("concertId" = uuid::Uuid, Path), IdempotencyKey), request_body = NewSchedule,
    responses((status = 201, body = CreatedSchedule, description = "The date, on sale."), CreateScheduleProblems),
    security(("bearer" = []))
)]
async fn create_schedule(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
    Organiser(organiser_id): Organiser,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(schedule): Body<NewSchedule>,
) -> Result<impl IntoResponse, ApiProblem> {
    let request = CreateScheduleRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
        starts_at: Some(contracts::timestamp(schedule.starts_at)),
        idempotency_key,
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .create_schedule(request)
        .await?
        .into_inner();
    let schedule = CreatedSchedule {
        schedule_id: answer.schedule_id,
    };
    Ok((http::StatusCode::CREATED, Json(schedule)))
}

problems!(EndScheduleProblems: ORGANISER, &[P::MalformedRequest, P::NotFound]);

/// End the sale of a date: from the answer on no new hold is made. What is held may still be paid. Repeating it changes
/// nothing, with or without a key.
#[utoipa::path(
    post, path = "/v1/admin/concerts/{concertId}/schedules/{scheduleId}/closing", tag = "admin",
    params(("concertId" = uuid::Uuid, Path), ("scheduleId" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 200, body = Schedule, description = "The date, closed."), EndScheduleProblems),
    security(("bearer" = []))
)]
async fn close_schedule(
    State(app): State<App>,
    PathIds(concert_id, schedule_id): PathIds<ConcertId, ScheduleId>,
    Organiser(organiser_id): Organiser,
    _: IdempotencyKey,
) -> Result<Json<Schedule>, ApiProblem> {
    let request = CloseScheduleRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
        schedule_id: schedule_id.to_string(),
    };
    let answer = app.clients.organiser.clone().close_schedule(request).await?;
    let schedule = wire::required("CloseScheduleResponse.schedule", answer.into_inner().schedule)?;
    Ok(Json(schedule.try_into()?))
}

/// A canceled date, and how far the refunds have come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleCancellation {
    #[schema(format = Uuid)]
    schedule_id: String,
    status: CancellationStatus,
    #[serde(with = "time::serde::rfc3339")]
    canceled_at: OffsetDateTime,
    /// Holds and payments under way that still have to end.
    unpaid_left: u32,
    /// Paid reservations whose money goes back.
    reservations: u32,
    /// Those whose money is back.
    refunded: u32,
    /// What goes back, in the currency's smallest unit.
    amount: i64,
    /// What is back.
    amount_refunded: i64,
    /// ISO 4217.
    currency: String,
}

impl ScheduleCancellation {
    fn read(
        schedule_id: ScheduleId,
        progress: GetScheduleCancellationResponse,
    ) -> Result<Self, BrokenContract> {
        let ended = progress.unpaid_left == 0 && progress.refunded == progress.reservations;
        Ok(Self {
            schedule_id: schedule_id.to_string(),
            status: if ended {
                CancellationStatus::Completed
            } else {
                CancellationStatus::Pending
            },
            canceled_at: wire::time(
                "GetScheduleCancellationResponse.canceled_at",
                progress.canceled_at,
            )?,
            unpaid_left: progress.unpaid_left,
            reservations: progress.reservations,
            refunded: progress.refunded,
            amount: progress.amount,
            amount_refunded: progress.amount_refunded,
            currency: progress.currency,
        })
    }
}

/// Cancel a date, for good: its sale ends, holds are given up, and everything that was paid for it goes back. Repeating it
/// changes nothing, with or without a key.
#[utoipa::path(
    post, path = "/v1/admin/concerts/{concertId}/schedules/{scheduleId}/cancellation", tag = "admin",
    params(("concertId" = uuid::Uuid, Path), ("scheduleId" = uuid::Uuid, Path), IdempotencyKey),
    responses(
        (status = 202, body = ScheduleCancellation, description = "The date is canceled; how far the refunds have come will be at `Location`.", headers(("Location" = String))),
        EndScheduleProblems
    ),
    security(("bearer" = []))
)]
async fn cancel_schedule(
    State(app): State<App>,
    PathIds(concert_id, schedule_id): PathIds<ConcertId, ScheduleId>,
    Organiser(organiser_id): Organiser,
    _: IdempotencyKey,
) -> Result<impl IntoResponse, ApiProblem> {
    let request = CancelScheduleRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
        schedule_id: schedule_id.to_string(),
    };
    app.clients.organiser.clone().cancel_schedule(request).await?;
    let progress = progress(&app, organiser_id, concert_id, schedule_id).await?;
    let location = format!("/v1/admin/concerts/{concert_id}/schedules/{schedule_id}/cancellation");
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(progress)))
}

problems!(CancellationProblems: ORGANISER, &[P::NotFound]);

/// How far the refunds of a canceled date have come.
#[utoipa::path(
    get, path = "/v1/admin/concerts/{concertId}/schedules/{scheduleId}/cancellation", tag = "admin",
    params(("concertId" = uuid::Uuid, Path), ("scheduleId" = uuid::Uuid, Path)),
    responses((status = 200, body = ScheduleCancellation, description = "How far they have come."), CancellationProblems),
    security(("bearer" = []))
)]
async fn get_schedule_cancellation(
    State(app): State<App>,
    PathIds(concert_id, schedule_id): PathIds<ConcertId, ScheduleId>,
    Organiser(organiser_id): Organiser,
) -> Result<Json<ScheduleCancellation>, ApiProblem> {
    progress(&app, organiser_id, concert_id, schedule_id)
        .await
        .map(Json)
}

async fn progress(
    app: &App,
    organiser_id: UserId,
    concert_id: ConcertId,
    schedule_id: ScheduleId,
) -> Result<ScheduleCancellation, ApiProblem> {
    let request = GetScheduleCancellationRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
        schedule_id: schedule_id.to_string(),
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .get_schedule_cancellation(request)
        .await?;
    Ok(ScheduleCancellation::read(schedule_id, answer.into_inner())?)
}

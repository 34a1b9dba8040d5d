//! What organisers do. Each sees only their own; the concert service says what that is.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::concert::{
    self, CloseScheduleRequest, CreateConcertRequest, CreateScheduleRequest, CreateVenueRequest,
    GetStatsRequest, ListAuditLogRequest, UpdateWaitingRoomRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P, ScheduleId, VenueId};

use super::concerts::Schedule;
use super::{Page, created};
use crate::extract::{Body, IdempotencyKey, MEBIBYTE, Organiser, PathId, PathIds, Query, Rules};
use crate::openapi::{BODY, IDEMPOTENT, ORGANISER, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract};

/// A plan of 100,000 seats fits.
const PLAN_BYTES: usize = 16 * MEBIBYTE;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_venue))
        .routes(routes!(create_concert))
        .routes(routes!(create_schedule))
        .routes(routes!(close_schedule))
        .routes(routes!(update_waiting_room))
        .routes(routes!(get_stats))
        .routes(routes!(list_audit_log))
}

#[derive(Deserialize, ToSchema)]
struct NewVenue {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// A plan in pretix's JSON format: zones, rows, and seats with guid, number, category and position.
    #[schema(value_type = Object)]
    plan: Box<RawValue>,
}

impl Rules for NewVenue {}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedVenue {
    #[schema(format = Uuid)]
    venue_id: String,
    /// Seats imported.
    seats: u32,
}

problems!(CreateProblems: BODY, ORGANISER, IDEMPOTENT);

/// Import a seating plan, of at most 16 MiB and 100,000 seats.
#[utoipa::path(
    post, path = "/v1/admin/venues", tag = "admin", params(IdempotencyKey), request_body = NewVenue,
    responses((status = 201, body = CreatedVenue, description = "The venue."), CreateProblems),
    security(("bearer" = []))
)]
async fn create_venue(
    State(app): State<App>,
    Organiser(organiser_id): Organiser,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(venue): Body<NewVenue, PLAN_BYTES>,
) -> Result<impl IntoResponse, ApiProblem> {
    let request = CreateVenueRequest {
        organiser_id: organiser_id.to_string(),
        name: venue.name,
        plan_json: Box::<str>::from(venue.plan).into_boxed_bytes().into_vec(),
        idempotency_key,
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .create_venue(request)
        .await?
        .into_inner();
    let venue = CreatedVenue {
        venue_id: answer.venue_id,
        seats: answer.seats,
    };
    Ok((http::StatusCode::CREATED, Json(venue)))
}

/// How a waiting room works.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingRoom {
    /// The most visitors on their page at any instant.
    #[schema(minimum = 1, maximum = 1_000_000)]
    capacity: u32,
    /// The most admissions per second.
    #[schema(minimum = 1, maximum = 100_000)]
    admit_per_second: u32,
    /// When it opens; absent = now.
    #[serde(
        default,
        deserialize_with = "wire::read_optional_time",
        serialize_with = "time::serde::rfc3339::option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    opens_at: Option<OffsetDateTime>,
}

impl WaitingRoom {
    fn message(&self) -> concert::WaitingRoom {
        concert::WaitingRoom {
            capacity: self.capacity,
            admit_per_second: self.admit_per_second,
            opens_at: self.opens_at.map(contracts::timestamp),
        }
    }
}

impl Rules for WaitingRoom {}

impl TryFrom<concert::WaitingRoom> for WaitingRoom {
    type Error = BrokenContract;

    fn try_from(room: concert::WaitingRoom) -> Result<Self, Self::Error> {
        Ok(Self {
            capacity: room.capacity,
            admit_per_second: room.admit_per_second,
            opens_at: wire::optional_time("WaitingRoom.opens_at", room.opens_at)?,
        })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewConcert {
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    #[schema(value_type = uuid::Uuid)]
    venue_id: VenueId,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    /// One price for every category of the venue's plan, in the currency's smallest unit.
    prices: BTreeMap<String, i64>,
    #[serde(deserialize_with = "wire::read_object")]
    waiting_room: WaitingRoom,
}

impl Rules for NewConcert {}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedConcert {
    #[schema(format = Uuid)]
    concert_id: String,
}

problems!(CreateConcertProblems: BODY, ORGANISER, IDEMPOTENT, &[P::NotFound]);

/// Make a concert with its prices and its waiting room.
#[utoipa::path(
    post, path = "/v1/admin/concerts", tag = "admin", params(IdempotencyKey), request_body = NewConcert,
    responses(
        (status = 201, body = CreatedConcert, description = "The concert.", headers(("Location" = String))),
        CreateConcertProblems
    ),
    security(("bearer" = []))
)]
async fn create_concert(
    State(app): State<App>,
    Organiser(organiser_id): Organiser,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(concert): Body<NewConcert>,
) -> Result<impl IntoResponse, ApiProblem> {
    let prices = concert
        .prices
        .into_iter()
        .map(|(grade, amount)| concert::Price { grade, amount });
    let request = CreateConcertRequest {
        organiser_id: organiser_id.to_string(),
        title: concert.title,
        venue_id: concert.venue_id.to_string(),
        currency: concert.currency,
        prices: prices.collect(),
        waiting_room: Some(concert.waiting_room.message()),
        idempotency_key,
        refund_policy: None,
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .create_concert(request)
        .await?
        .into_inner();
    let location = format!("/v1/concerts/{}", answer.concert_id);
    let concert = CreatedConcert {
        concert_id: answer.concert_id,
    };
    Ok(created(location, concert))
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

problems!(CloseScheduleProblems: ORGANISER, &[P::NotFound]);

/// End the sale of a date: from the answer on no new hold is made. What is held may still be paid. Repeating it changes
/// nothing.
#[utoipa::path(
    post, path = "/v1/admin/concerts/{concertId}/schedules/{scheduleId}/closing", tag = "admin",
    params(("concertId" = uuid::Uuid, Path), ("scheduleId" = uuid::Uuid, Path)),
    responses((status = 200, body = Schedule, description = "The date, closed."), CloseScheduleProblems),
    security(("bearer" = []))
)]
async fn close_schedule(
    State(app): State<App>,
    PathIds(concert_id, schedule_id): PathIds<ConcertId, ScheduleId>,
    Organiser(organiser_id): Organiser,
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

problems!(WaitingRoomProblems: BODY, ORGANISER, &[P::NotFound]);

/// Change a waiting room while people wait.
#[utoipa::path(
    put, path = "/v1/admin/concerts/{concertId}/waiting-room", tag = "admin",
    params(("concertId" = uuid::Uuid, Path)), request_body = WaitingRoom,
    responses((status = 200, body = WaitingRoom, description = "As it works from now on."), WaitingRoomProblems),
    security(("bearer" = []))
)]
async fn update_waiting_room(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
    Organiser(organiser_id): Organiser,
    Body(room): Body<WaitingRoom>,
) -> Result<Json<WaitingRoom>, ApiProblem> {
    let request = UpdateWaitingRoomRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
        waiting_room: Some(room.message()),
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .update_waiting_room(request)
        .await?
        .into_inner();
    let room = wire::required("UpdateWaitingRoomResponse.waiting_room", answer.waiting_room)?;
    Ok(Json(room.try_into()?))
}

/// Counts of one date's seats.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleStats {
    #[schema(format = Uuid)]
    schedule_id: String,
    available: u32,
    pending: u32,
    occupied: u32,
}

/// Live counts of a concert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stats {
    /// Numbers given and not called.
    waiting: u64,
    serving_number: u64,
    /// Visits on their page.
    inside: u32,
    schedules: Vec<ScheduleStats>,
}

problems!(StatsProblems: ORGANISER, &[P::NotFound]);

/// Live counts of a concert.
#[utoipa::path(
    get, path = "/v1/admin/concerts/{concertId}/stats", tag = "admin",
    params(("concertId" = uuid::Uuid, Path)),
    responses((status = 200, body = Stats, description = "The counts now."), StatsProblems),
    security(("bearer" = []))
)]
async fn get_stats(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
    Organiser(organiser_id): Organiser,
) -> Result<Json<Stats>, ApiProblem> {
    let request = GetStatsRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .get_stats(request)
        .await?
        .into_inner();
    let schedules = answer.schedules.into_iter().map(|schedule| ScheduleStats {
        schedule_id: schedule.schedule_id,
        available: schedule.available,
        pending: schedule.pending,
        occupied: schedule.occupied,
    });
    Ok(Json(Stats {
        waiting: answer.waiting,
        serving_number: answer.serving_number,
        inside: answer.inside,
        schedules: schedules.collect(),
    }))
}

/// What an organiser did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    /// `VENUE_CREATED`, `CONCERT_CREATED`, `SCHEDULE_CREATED`, `WAITING_ROOM_CHANGED`, `SCHEDULE_CLOSED`.
    act: String,
    /// What it was done to: a venue, a concert or a schedule.
    #[schema(format = Uuid)]
    target_id: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// What was asked for.
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

impl TryFrom<concert::AuditEntry> for AuditEntry {
    type Error = BrokenContract;

    fn try_from(entry: concert::AuditEntry) -> Result<Self, Self::Error> {
        Ok(Self {
            at: wire::time("AuditEntry.at", entry.at)?,
            details: serde_json::from_str(&entry.details_json)
                .map_err(|_| BrokenContract("AuditEntry.details_json"))?,
            act: entry.act,
            target_id: entry.target_id,
        })
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditLog {
    entries: Vec<AuditEntry>,
    /// Absent when there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

problems!(AuditLogProblems: ORGANISER, &[P::InvalidField]);

/// What you did as an organiser, newest first.
#[utoipa::path(
    get, path = "/v1/admin/audit-log", tag = "admin", params(Page),
    responses((status = 200, body = AuditLog, description = "Some of it."), AuditLogProblems),
    security(("bearer" = []))
)]
async fn list_audit_log(
    State(app): State<App>,
    Organiser(organiser_id): Organiser,
    Query(page): Query<Page>,
) -> Result<Json<AuditLog>, ApiProblem> {
    let request = ListAuditLogRequest {
        organiser_id: organiser_id.to_string(),
        cursor: page.cursor,
        limit: page.limit.unwrap_or_default(),
    };
    let answer = app.clients.organiser.clone().list_audit_log(request).await?;
    let answer = answer.into_inner();
    let entries = answer.entries.into_iter().map(AuditEntry::try_from);
    Ok(Json(AuditLog {
        entries: entries.collect::<Result<_, _>>()?,
        next_cursor: wire::non_empty(answer.next_cursor),
    }))
}

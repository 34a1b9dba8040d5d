//! Concerts: made with prices, a waiting room and a refund policy; the room is changed while people wait.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::concert::{self, CreateConcertRequest, UpdateWaitingRoomRequest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P, VenueId};

use crate::extract::{Body, IdempotencyKey, Organiser, PathId, Rules};
use crate::openapi::{BODY, IDEMPOTENT, ORGANISER, problems};
use crate::problem::ApiProblem;
use crate::routes::concerts::RefundTier;
use crate::routes::created;
use crate::state::App;
use crate::wire::{self, BrokenContract, RoomMode};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_concert))
        .routes(routes!(update_waiting_room))
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
    /// What it does once it has opened; absent = OPEN.
    #[serde(default, deserialize_with = "wire::read_optional_word")]
    mode: Option<RoomMode>,
}

impl WaitingRoom {
    fn message(&self) -> concert::WaitingRoom {
        concert::WaitingRoom {
            capacity: self.capacity,
            admit_per_second: self.admit_per_second,
            opens_at: self.opens_at.map(contracts::timestamp),
            mode: self.mode.unwrap_or_default().message().into(),
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
            mode: Some(RoomMode::read(room.mode)?),
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
    /// What goes back to whoever cancels a paid reservation, in at most 10 tiers of different times, a longer time never
    /// giving less; absent = everything until the beginning, empty = nothing can be canceled. It never changes.
    #[serde(default, deserialize_with = "wire::read_optional_objects")]
    #[schema(max_items = 10)]
    refund_policy: Option<Vec<RefundTier>>,
}

impl Rules for NewConcert {}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedConcert {
    #[schema(format = Uuid)]
    concert_id: String,
}

problems!(CreateConcertProblems: BODY, ORGANISER, IDEMPOTENT, &[P::NotFound]);

/// Make a concert with its prices, its waiting room and its refund policy.
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
    Body(asked): Body<NewConcert>,
) -> Result<impl IntoResponse, ApiProblem> {
    let prices = asked
        .prices
        .into_iter()
        .map(|(grade, amount)| concert::Price { grade, amount });
    let request = CreateConcertRequest {
        organiser_id: organiser_id.to_string(),
        title: asked.title,
        venue_id: asked.venue_id.to_string(),
        currency: asked.currency,
        prices: prices.collect(),
        waiting_room: Some(asked.waiting_room.message()),
        idempotency_key,
        refund_policy: asked.refund_policy.map(|tiers| concert::RefundPolicy {
            tiers: tiers.into_iter().map(Into::into).collect(),
        }),
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

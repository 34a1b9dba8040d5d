//! Halls with their seating plans.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::concert::CreateVenueRequest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Body, IdempotencyKey, MEBIBYTE, Organiser, Rules};
use crate::openapi::{BODY, IDEMPOTENT, ORGANISER, problems};
use crate::problem::ApiProblem;
use crate::state::App;

/// A plan of 100,000 seats fits.
const PLAN_BYTES: usize = 16 * MEBIBYTE;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_venue))
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

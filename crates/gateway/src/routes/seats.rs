//! Seat maps: the layout, which never changes, and the statuses, which change all the time.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::concert::GetSeatsRequest;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ProblemCode as P, ScheduleId};

use crate::extract::{PathId, Query, Rules, Visitor};
use crate::layouts::LayoutSeat;
use crate::openapi::{VISIT, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::BrokenContract;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_layout))
        .routes(routes!(get_seats))
}

/// The seats of a date, without their statuses.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `layouts` writes")]
struct Layout {
    /// Changes whenever anything in the layout does.
    version: String,
    /// ISO 4217.
    currency: String,
    /// Of the plan's canvas; 0 when the plan names none.
    width: f64,
    /// Of the plan's canvas; 0 when the plan names none.
    height: f64,
    /// In the order of `index`.
    seats: Vec<LayoutSeat>,
}

problems!(LayoutProblems: &[P::NotFound]);

/// The layout of a date. It never changes.
#[utoipa::path(
    get, path = "/v1/schedules/{scheduleId}/layout", tag = "seats",
    params(("scheduleId" = uuid::Uuid, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Layout, description = "The layout.", headers(("ETag" = String))),
        (status = 304, description = "As before."),
        LayoutProblems
    )
)]
async fn get_layout(
    State(app): State<App>,
    PathId(schedule_id): PathId<ScheduleId>,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let layout = app.layouts.of(schedule_id).await?;
    let caching = [
        (ETAG, format!("W/\"{}\"", layout.version())),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    if is_known(&headers, layout.version()) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, json(layout.json())).into_response())
}

/// What a buyer sees of a seat.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes what `layouts` writes")]
enum SeatStatus {
    /// On sale.
    Available,
    /// Held by a reservation that is not paid yet.
    Pending,
    /// Sold.
    Occupied,
}

#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what `layouts` writes")]
struct Seat {
    #[serde(flatten)]
    seat: LayoutSeat,
    status: SeatStatus,
}

/// Every seat with its status.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what `layouts` writes")]
struct Seats {
    /// Grows with every change; equal versions mean equal answers.
    version: u64,
    layout_version: String,
    /// In the order of `index`.
    seats: Vec<Seat>,
}

/// The statuses alone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CompactSeats {
    /// Grows with every change; equal versions mean equal answers.
    version: u64,
    /// The layout whose `index` counts the letters.
    layout_version: String,
    /// One letter a seat: `A` AVAILABLE, `P` PENDING, `O` OCCUPIED.
    #[schema(pattern = "^[APO]*$")]
    statuses: String,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the two forms")]
enum AnyFormOfSeats {
    Full(Seats),
    Compact(CompactSeats),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Every seat in full.
    #[default]
    Full,
    /// One letter a seat.
    Compact,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SeatsQuery {
    /// How seats are written; absent = `full`.
    #[param(inline, required = false)]
    #[serde(default)]
    form: Form,
}

impl Rules for SeatsQuery {}

problems!(SeatsProblems: VISIT, &[P::NotFound, P::InvalidField]);

/// The seats of a date with their statuses, for those who were let in.
#[utoipa::path(
    get, path = "/v1/schedules/{scheduleId}/seats", tag = "seats",
    params(("scheduleId" = uuid::Uuid, Path), SeatsQuery, ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = AnyFormOfSeats, description = "The seats now.", headers(("ETag" = String))),
        (status = 304, description = "As before."),
        SeatsProblems
    ),
    security(("bearer" = [], "queueToken" = []))
)]
async fn get_seats(
    State(app): State<App>,
    PathId(schedule_id): PathId<ScheduleId>,
    Query(SeatsQuery { form }): Query<SeatsQuery>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let request = GetSeatsRequest {
        schedule_id: schedule_id.to_string(),
        user_id: visitor.user_id.to_string(),
        queue_token: visitor.queue_token,
    };
    let states = app.clients.concert.clone().get_seats(request).await?.into_inner();
    let version = states.version.to_string();
    // Asked again each time, because the visit may be over; never kept for anybody else.
    let caching = [
        (ETAG, format!("W/\"{version}\"")),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    if is_known(&headers, &version) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    match form {
        Form::Full => {
            let layout = app
                .layouts
                .of_version(schedule_id, &states.layout_version)
                .await?;
            let seats = layout.seats_json(states.version, &states.statuses)?;
            Ok((caching, json(seats)).into_response())
        }
        Form::Compact => {
            let statuses = String::from_utf8(states.statuses)
                .map_err(|_| BrokenContract("GetSeatsResponse.statuses"))?;
            let seats = CompactSeats {
                version: states.version,
                layout_version: states.layout_version,
                statuses,
            };
            Ok((caching, Json(seats)).into_response())
        }
    }
}

fn json(bytes: Vec<u8>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], bytes)
}

/// Whether the caller has this version already (RFC 9110, section 13.1.2: the comparison is weak).
fn is_known(headers: &HeaderMap, version: &str) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).iter();
    tags.filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .map(str::trim)
        .any(|tag| {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || opaque.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(version)
        })
}

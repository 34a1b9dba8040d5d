//! Waiting rooms. Those whose turn is far away are answered from memory; only `queue` can say that a turn has come.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::queue::{self, GetRoomRequest, GetTokenRequest, JoinRequest, LeaveRequest};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use queue_token::Claims;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P};

use super::fairness::{Fairness, Receipt};
use crate::client_address::ClientAddress;
use crate::draws::Place;
use crate::extract::{Bearer, IdempotencyKey, PathId, QueueTokenHeader};
use crate::openapi::{BEARER, QUEUE_TOKEN, problems};
use crate::problem::ApiProblem;
use crate::rooms::Room;
use crate::state::App;
use crate::wire::{self, BrokenContract, Phase, RoomState, TokenStatus};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(join_queue))
        .routes(routes!(get_standing, leave_queue))
        .routes(routes!(get_room))
}

/// How a queue token stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Standing {
    status: TokenStatus,
    /// While PROCESSING, and LOBBY while WAITING for the draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phase: Option<Phase>,
    /// The place in line, from 1; it never changes. Absent in the lobby.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    number: Option<u64>,
    /// 1 for the next to be called; 0 once called. Absent in the lobby.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    position: Option<u64>,
    /// People in front. Absent in the lobby.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ahead: Option<u64>,
    /// Seconds until the turn comes, as the last minute went; absent when nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    eta_seconds: Option<u32>,
    /// When to ask again, in milliseconds.
    poll_after_ms: u32,
    /// When the page ends, in phase PAGE.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    expires_at: Option<OffsetDateTime>,
    /// Called, and did not come in time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    turn_missed: bool,
}

impl TryFrom<queue::TokenState> for Standing {
    type Error = BrokenContract;

    fn try_from(state: queue::TokenState) -> Result<Self, Self::Error> {
        let has_phase = state.phase != queue::Phase::Unspecified as i32;
        // A place that was given up in the lobby never had a number either.
        let numbered = state.number > 0;
        Ok(Self {
            status: TokenStatus::read(state.status)?,
            phase: has_phase.then(|| Phase::read(state.phase)).transpose()?,
            number: numbered.then_some(state.number),
            position: numbered.then_some(state.position),
            ahead: numbered.then_some(state.ahead),
            eta_seconds: state.eta_seconds,
            poll_after_ms: state.poll_after_ms,
            expires_at: wire::optional_time("TokenState.expires_at", state.expires_at)?,
            turn_missed: state.turn_missed,
        })
    }
}

impl Standing {
    /// The standing of one who was not called yet; `None` for all others.
    fn before_its_turn(claims: &Claims, room: &Room) -> Option<Self> {
        let number = match room.place(claims.number.0)? {
            Place::Number(number) => number,
            Place::Lobby => return Some(Self::in_lobby(room)),
        };
        let position = number
            .checked_sub(room.serving_number)
            .filter(|position| *position > 0)?;
        let pace = room.pace();
        Some(Self {
            status: TokenStatus::Waiting,
            phase: None,
            number: Some(number),
            position: Some(position),
            ahead: Some(position - 1),
            eta_seconds: pace.eta_seconds(position),
            poll_after_ms: pace.poll_after_ms(position, rand::random()),
            expires_at: None,
            turn_missed: false,
        })
    }

    /// The standing of one whose number is not drawn yet.
    fn in_lobby(room: &Room) -> Self {
        Self {
            status: TokenStatus::Waiting,
            phase: Some(Phase::Lobby),
            number: None,
            position: None,
            ahead: None,
            eta_seconds: None,
            poll_after_ms: room.lobby_poll_after_ms(rand::random()),
            expires_at: None,
            turn_missed: false,
        }
    }
}

/// A queue token with its standing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ticket {
    /// For the header `Queue-Token`; a JWT bound to concert, user and number.
    queue_token: String,
    #[serde(flatten)]
    standing: Standing,
    /// Proves a place in the lobby, for those who came before the opening.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    receipt: Option<Receipt>,
}

impl TryFrom<queue::Ticket> for Ticket {
    type Error = BrokenContract;

    fn try_from(ticket: queue::Ticket) -> Result<Self, Self::Error> {
        Ok(Self {
            queue_token: ticket.queue_token,
            standing: wire::required("Ticket.state", ticket.state)?.try_into()?,
            receipt: ticket.receipt.map(Receipt::try_from).transpose()?,
        })
    }
}

problems!(JoinProblems: BEARER, &[P::MalformedRequest, P::NotFound, P::RoomClosed, P::TooManyRequests]);

/// Take a place in a concert's line. Asking again gives the same place, with or without a key.
#[utoipa::path(
    post, path = "/v1/concerts/{concertId}/queue-tokens", tag = "queue",
    params(("concertId" = uuid::Uuid, Path), IdempotencyKey),
    responses(
        (status = 201, body = Ticket, description = "A new place."),
        (status = 200, body = Ticket, description = "The place that this user has already."),
        JoinProblems
    ),
    security(("bearer" = []))
)]
async fn join_queue(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
    Bearer(identity): Bearer,
    ClientAddress(client): ClientAddress,
    _: IdempotencyKey,
) -> Result<impl IntoResponse, ApiProblem> {
    app.join_limits.by_user(identity.user_id)?;
    app.join_limits.by_address(client)?;
    let request = JoinRequest {
        concert_id: concert_id.to_string(),
        user_id: identity.user_id.to_string(),
    };
    let answer = app.clients.queue.clone().join(request).await?.into_inner();
    let ticket = wire::required("JoinResponse.ticket", answer.ticket)?;
    let status = if ticket.joined_now {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(Ticket::try_from(ticket)?)))
}

problems!(StandingProblems: QUEUE_TOKEN);

/// How a queue token stands. Claims the turn when it has come: the page time runs from that answer.
///
/// Before its turn a place that was given up may still read WAITING.
#[utoipa::path(
    get, path = "/v1/queue", tag = "queue",
    responses((status = 200, body = Standing, description = "How it stands now."), StandingProblems),
    security(("queueToken" = []))
)]
async fn get_standing(State(app): State<App>, queue: QueueTokenHeader) -> Result<Json<Standing>, ApiProblem> {
    let room = app.rooms.fresh(queue.claims.concert_id);
    let remembered = room.and_then(|room| Standing::before_its_turn(&queue.claims, &room));
    let answered_by = if remembered.is_some() { "memory" } else { "queue" };
    metrics::counter!("gateway_queue_polls_total", "answered_by" => answered_by).increment(1);
    if let Some(standing) = remembered {
        return Ok(Json(standing));
    }
    let request = GetTokenRequest {
        queue_token: queue.token,
    };
    let answer = app.clients.queue.clone().get_token(request).await?.into_inner();
    let state = wire::required("GetTokenResponse.state", answer.state)?;
    Ok(Json(state.try_into()?))
}

problems!(LeaveProblems: QUEUE_TOKEN);

/// Give a place up. A page is over at once; its place in the room is free.
#[utoipa::path(
    delete, path = "/v1/queue", tag = "queue",
    responses((status = 204, description = "The place is given up."), LeaveProblems),
    security(("queueToken" = []))
)]
async fn leave_queue(State(app): State<App>, queue: QueueTokenHeader) -> Result<StatusCode, ApiProblem> {
    let request = LeaveRequest {
        queue_token: queue.token,
    };
    app.clients.queue.clone().leave(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A waiting room as everybody may see it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PublicRoom {
    #[schema(value_type = uuid::Uuid)]
    concert_id: ConcertId,
    state: RoomState,
    /// Every number up to this one has been called; it never goes back.
    serving_number: u64,
    /// The last number given.
    last_number: u64,
    /// Numbers given and not called; while people gather, how many do.
    waiting: u64,
    /// Visits on their page.
    inside: u32,
    /// The most visits on their page at any instant.
    capacity: u32,
    /// The most admissions per second.
    admit_per_second: u32,
    /// Admissions per second over the last minute.
    admitted_per_second: f64,
    /// Seconds that a called number has to claim its turn.
    claim_seconds: u32,
    /// When it opens; absent = it has always been open.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    opens_at: Option<OffsetDateTime>,
    /// What is published of its draw, for a room that has or had a lobby.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fairness: Option<Fairness>,
}

impl From<&Room> for PublicRoom {
    fn from(room: &Room) -> Self {
        Self {
            concert_id: room.concert_id,
            state: room.state,
            serving_number: room.serving_number,
            last_number: room.last_number,
            waiting: room.waiting,
            inside: room.inside,
            capacity: room.capacity,
            admit_per_second: room.admit_per_second,
            admitted_per_second: f64::from(room.admitted_per_second_milli) / 1_000.0,
            claim_seconds: room.claim_seconds,
            opens_at: room.opens_at,
            fairness: room.draw.as_ref().map(|draw| Fairness::from(&draw.record)),
        }
    }
}

problems!(RoomProblems: &[P::NotFound]);

/// A concert's waiting room as everybody may see it.
#[utoipa::path(
    get, path = "/v1/concerts/{concertId}/queue", tag = "queue",
    params(("concertId" = uuid::Uuid, Path)),
    responses((status = 200, body = PublicRoom, description = "The room now; may be one second old."), RoomProblems)
)]
async fn get_room(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
) -> Result<impl IntoResponse, ApiProblem> {
    let room = match app.rooms.fresh(concert_id) {
        Some(room) => PublicRoom::from(&*room),
        None => {
            let request = GetRoomRequest {
                concert_id: concert_id.to_string(),
            };
            let answer = app.clients.queue.clone().get_room(request).await?.into_inner();
            let room = Room::try_from(wire::required("GetRoomResponse.room", answer.room)?)?;
            PublicRoom::from(&room)
        }
    };
    Ok(([(CACHE_CONTROL, "public, max-age=1")], Json(room)))
}

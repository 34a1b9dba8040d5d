//! Waiting rooms. Those whose turn is far away are answered from memory; only `queue` can say that a turn has come.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::queue::{self, GetRoomRequest, JoinRequest, LeaveRequest};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use time::OffsetDateTime;
use tonic::Request;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P};

use super::fairness::{Fairness, Receipt};
use super::standing::{ASK_WHILE_OLD, Standing, standing_of};
use crate::client_address::ClientAddress;
use crate::extract::{Bearer, IdempotencyKey, PathId, QueueTokenHeader};
use crate::openapi::{BEARER, QUEUE_TOKEN, problems};
use crate::problem::ApiProblem;
use crate::rooms::{Remembered, Room, Rooms};
use crate::state::{App, Gateway};
use crate::wire::{self, BrokenContract, RoomState};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(join_queue))
        .routes(routes!(get_standing, leave_queue))
        .routes(routes!(get_room))
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

impl Ticket {
    /// Lets memory know how far the line has come.
    pub(super) fn note_in(&self, rooms: &Rooms, concert_id: ConcertId) {
        self.standing.note_in(rooms, concert_id);
    }
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
    let ticket = Ticket::try_from(ticket)?;
    ticket.note_in(&app.rooms, concert_id);
    Ok((status, Json(ticket)))
}

problems!(StandingProblems: QUEUE_TOKEN);

/// How a queue token stands. Claims the turn when it has come: the page time runs from that answer.
///
/// Before its turn a place that was given up may still read WAITING. `stateAgeMs` says that the line could not be followed for
/// so long: the position may be better by now.
#[utoipa::path(
    get, path = "/v1/queue", tag = "queue",
    responses((status = 200, body = Standing, description = "How it stands now."), StandingProblems),
    security(("queueToken" = []))
)]
async fn get_standing(State(app): State<App>, queue: QueueTokenHeader) -> Result<Json<Standing>, ApiProblem> {
    let (standing, by) = standing_of(&app, &queue).await?;
    metrics::counter!("gateway_queue_polls_total", "answered_by" => by.as_str()).increment(1);
    Ok(Json(standing))
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
    /// How old all of this is, in milliseconds; absent when it is not worth telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    state_age_ms: Option<u64>,
}

impl From<&Remembered> for PublicRoom {
    fn from(remembered: &Remembered) -> Self {
        Self {
            state_age_ms: remembered.age_told_ms(),
            serving_number: remembered.serving,
            last_number: remembered.last_number(),
            waiting: remembered.waiting(),
            ..Self::from(&*remembered.room)
        }
    }
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
            admitted_per_second: f64::from(room.admitted.mean_milli) / 1_000.0,
            claim_seconds: room.claim_seconds,
            opens_at: room.opens_at,
            fairness: room.draw.as_ref().map(|draw| Fairness::from(&draw.record)),
            state_age_ms: None,
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
    let room = match app.rooms.get(concert_id) {
        None => PublicRoom::from(&ask_for_room(&app, concert_id, None).await?),
        Some(remembered) if remembered.is_fresh() => PublicRoom::from(&remembered),
        Some(remembered) => ask_or_remember(&app, concert_id, &remembered).await?,
    };
    Ok(([(CACHE_CONTROL, "public, max-age=1")], Json(room)))
}

/// For an old state: what `queue` says, or the old state where it says nothing.
async fn ask_or_remember(
    app: &Gateway,
    concert_id: ConcertId,
    remembered: &Remembered,
) -> Result<PublicRoom, ApiProblem> {
    let Some(_leave) = app.rooms.ask_while_old() else {
        return Ok(remembered.into());
    };
    match ask_for_room(app, concert_id, Some(ASK_WHILE_OLD)).await {
        Err(refusal) if refusal.is_of_ours() => Ok(remembered.into()),
        answered => Ok(PublicRoom::from(&answered?)),
    }
}

async fn ask_for_room(
    app: &Gateway,
    concert_id: ConcertId,
    deadline: Option<Duration>,
) -> Result<Room, ApiProblem> {
    let mut request = Request::new(GetRoomRequest {
        concert_id: concert_id.to_string(),
    });
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    let answer = app.clients.queue.clone().get_room(request).await?.into_inner();
    let room = Room::try_from(wire::required("GetRoomResponse.room", answer.room)?)?;
    // Promise 12: a stream that comes back may begin with what is older than this.
    app.rooms.note_serving(concert_id, room.serving_number);
    Ok(room)
}

//! How a queue token stands: from memory while its turn is far away, else from `queue`.

use std::time::Duration;

use contracts::queue::{self, GetTokenRequest};
use queue_token::Claims;
use queue_token::pace::Eta;
use serde::Serialize;
use time::OffsetDateTime;
use tonic::Request;
use utoipa::ToSchema;
use vocabulary::ConcertId;

use crate::draws::Place;
use crate::extract::QueueTokenHeader;
use crate::problem::ApiProblem;
use crate::rooms::{Remembered, Room, Rooms};
use crate::state::Gateway;
use crate::wire::{self, BrokenContract, Phase, TokenStatus};

/// Where memory can answer as well, `queue` gets so long.
pub(super) const ASK_WHILE_OLD: Duration = Duration::from_secs(1);

/// How a queue token stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Standing {
    pub(super) status: TokenStatus,
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
    pub(super) position: Option<u64>,
    /// People in front. Absent in the lobby.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ahead: Option<u64>,
    /// Seconds until the turn comes, as the last minute went; absent when nothing was measured, and while the room is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    eta_seconds: Option<u32>,
    /// The same, as the fastest part of the last minute went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    eta_from_seconds: Option<u32>,
    /// The same, as its slowest part went; absent where that let nobody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    eta_to_seconds: Option<u32>,
    /// When to ask again, in milliseconds.
    pub(super) poll_after_ms: u32,
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
    /// The room is paused: nobody is let in for now, and nobody misses a turn.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub(super) paused: bool,
    /// How old the state of the room is that this follows from, in milliseconds; absent when it is not worth telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    state_age_ms: Option<u64>,
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
            eta_from_seconds: state.eta_from_seconds,
            eta_to_seconds: state.eta_to_seconds,
            poll_after_ms: state.poll_after_ms,
            expires_at: wire::optional_time("TokenState.expires_at", state.expires_at)?,
            turn_missed: state.turn_missed,
            paused: state.paused,
            state_age_ms: None,
        })
    }
}

/// What is new in a standing after another of the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Nothing,
    /// Estimates, and how old they are.
    Estimate,
    /// The line moved, or cannot be followed any more.
    Position,
    /// What the bearer may do.
    Status,
}

impl Standing {
    /// The standing of one who was not called yet, as the room was last heard of; `None` for all others.
    pub(super) fn before_its_turn(claims: &Claims, remembered: &Remembered) -> Option<Self> {
        let room = &*remembered.room;
        let standing = match room.place(claims.number.0)? {
            Place::Lobby => Self::in_lobby(room),
            Place::Number(number) => {
                let position = number.checked_sub(remembered.serving);
                Self::in_line(room, number, position.filter(|position| *position > 0)?)
            }
        };
        Some(Self {
            state_age_ms: remembered.age_told_ms(),
            ..standing
        })
    }

    fn in_line(room: &Room, number: u64, position: u64) -> Self {
        let pace = room.pace();
        let eta = pace.eta(position);
        Self {
            number: Some(number),
            position: Some(position),
            ahead: Some(position - 1),
            eta_seconds: eta.map(|eta| eta.expected_seconds),
            eta_from_seconds: eta.map(|eta| eta.from_seconds),
            eta_to_seconds: eta.and_then(|eta: Eta| eta.to_seconds),
            ..Self::waiting(room, pace.poll_after_ms(position, rand::random()))
        }
    }

    /// The standing of one whose number is not drawn yet.
    fn in_lobby(room: &Room) -> Self {
        Self {
            phase: Some(Phase::Lobby),
            ..Self::waiting(room, room.lobby_poll_after_ms(rand::random()))
        }
    }

    fn waiting(room: &Room, poll_after_ms: u32) -> Self {
        Self {
            status: TokenStatus::Waiting,
            phase: None,
            number: None,
            position: None,
            ahead: None,
            eta_seconds: None,
            eta_from_seconds: None,
            eta_to_seconds: None,
            poll_after_ms,
            expires_at: None,
            turn_missed: false,
            paused: room.is_paused(),
            state_age_ms: None,
        }
    }

    /// When to ask again.
    pub(super) fn poll_after(&self) -> Duration {
        Duration::from_millis(self.poll_after_ms.into())
    }

    /// Lets memory know how far the line has come, as an answer of `queue` shows. A place that was given up shows nothing.
    pub(super) fn note_in(&self, rooms: &Rooms, concert_id: ConcertId) {
        if let (false, Some(number), Some(position)) = (self.is_over(), self.number, self.position) {
            rooms.note_serving(concert_id, number.saturating_sub(position));
        }
    }

    /// Nothing comes after it.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.status, TokenStatus::Completed | TokenStatus::Expired)
    }

    /// What is new since `earlier`.
    pub(super) fn news_since(&self, earlier: &Self) -> News {
        let status = |of: &Self| {
            let called = of.position == Some(0);
            (
                of.status,
                of.phase,
                of.expires_at,
                of.turn_missed,
                of.paused,
                called,
            )
        };
        let position = |of: &Self| (of.position, of.state_age_ms.is_some());
        let estimate = |of: &Self| {
            let eta = (of.eta_seconds, of.eta_from_seconds, of.eta_to_seconds);
            (eta, of.state_age_ms)
        };
        if status(self) != status(earlier) {
            News::Status
        } else if position(self) != position(earlier) {
            News::Position
        } else if estimate(self) != estimate(earlier) {
            News::Estimate
        } else {
            News::Nothing
        }
    }
}

/// Who said how a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnsweredBy {
    Memory,
    /// The stream of rooms is broken.
    OldMemory,
    Queue,
}

impl AnsweredBy {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::OldMemory => "old-memory",
            Self::Queue => "queue",
        }
    }
}

/// How a queue token stands. Claims the turn when it has come.
pub(super) async fn standing_of(
    app: &Gateway,
    place: &QueueTokenHeader,
) -> Result<(Standing, AnsweredBy), ApiProblem> {
    let remembered = app.rooms.get(place.claims.concert_id);
    let known = remembered.and_then(|room| Some((Standing::before_its_turn(&place.claims, &room)?, room)));
    let Some((waiting, room)) = known else {
        return Ok((Box::pin(ask(app, place, None)).await?, AnsweredBy::Queue));
    };
    if room.is_fresh() {
        return Ok((waiting, AnsweredBy::Memory));
    }
    if room.may_be_outdated(waiting.position)
        && let Some(_leave) = app.rooms.ask_while_old()
    {
        match Box::pin(ask(app, place, Some(ASK_WHILE_OLD))).await {
            Err(refusal) if refusal.is_of_ours() => {}
            answered => return Ok((answered?, AnsweredBy::Queue)),
        }
    }
    Ok((waiting, AnsweredBy::OldMemory))
}

/// Boxed by those who call it: most polls are answered from memory, and the state of a call is large to carry along.
async fn ask(
    app: &Gateway,
    place: &QueueTokenHeader,
    deadline: Option<Duration>,
) -> Result<Standing, ApiProblem> {
    let mut request = Request::new(GetTokenRequest {
        queue_token: place.token.clone(),
    });
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    let answer = app.clients.queue.clone().get_token(request).await?.into_inner();
    let standing = Standing::try_from(wire::required("GetTokenResponse.state", answer.state)?)?;
    standing.note_in(&app.rooms, place.claims.concert_id);
    Ok(standing)
}

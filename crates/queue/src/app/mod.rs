//! What the service does, one file per use case.
//!
//! The rule of all of them: Redis proposes, Postgres decides. A place on the page counts in Redis before the visit is
//! committed and until its end is, so Redis never counts fewer than there are.

mod admit;
mod check_visit;
mod end_visit;
mod error;
mod fill;
mod get_token;
mod join;
mod leave;
mod reconcile;
mod rooms;
mod waker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use queue_token::{Claims, QueueTokens};
use time::OffsetDateTime;
use tokio::sync::watch;
use vocabulary::{ConcertId, QueueNumber, VisitId};

pub use check_visit::{OpenVisit, VisitPurpose};
pub use end_visit::VisitOutcome;
pub use error::AppError;
pub use join::Ticket;
pub use rooms::{RoomView, Snapshot};

use crate::domain::{AdmissionMeter, Place, Room, Timings, TokenState};
use crate::store::{Line, LineError, VisitStore};
use waker::Waker;

/// How a queue token stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    /// Its state.
    pub state: TokenState,
    /// The place in line.
    pub number: QueueNumber,
    /// 1 for the next to be called; 0 once called.
    pub position: u64,
    /// Estimated seconds until the turn comes.
    pub eta_seconds: Option<u32>,
    /// When to ask again, in milliseconds.
    pub poll_after_ms: u32,
    /// When the page ends; in state [`TokenState::Page`] alone.
    pub expires_at: Option<OffsetDateTime>,
    /// The visit, once there is one.
    pub visit_id: Option<VisitId>,
}

/// Settings of the service itself.
#[derive(Debug, Clone, Copy)]
pub struct QueueOptions {
    /// The spans that hold for every room.
    pub timings: Timings,
    /// Numbers reserved in Postgres at a time.
    pub number_block: u32,
}

/// The use cases, with what they need.
#[derive(Debug)]
pub struct Queue {
    visits: VisitStore,
    line: Line,
    tokens: QueueTokens,
    options: QueueOptions,
    waker: Waker,
    snapshot: watch::Sender<Arc<Snapshot>>,
    meters: Mutex<BTreeMap<ConcertId, AdmissionMeter>>,
}

impl Queue {
    /// The use cases over these stores.
    #[must_use]
    pub fn new(visits: VisitStore, line: Line, tokens: QueueTokens, options: QueueOptions) -> Self {
        Self {
            visits,
            line,
            tokens,
            options,
            waker: Waker::default(),
            snapshot: watch::Sender::default(),
            meters: Mutex::default(),
        }
    }

    fn verify(&self, token: &str) -> Result<Claims, AppError> {
        self.tokens.verify(token).map_err(|_| AppError::TokenInvalid)
    }

    /// The place that a token is for.
    async fn place_of(&self, claims: &Claims) -> Result<Place, AppError> {
        let place = self.visits.look_up(claims.concert_id, claims.number).await?;
        let place = place.ok_or(AppError::RoomNotFound)?;
        // A key that outlived its database signed for another line.
        if place
            .visit
            .as_ref()
            .is_some_and(|visit| visit.user_id != claims.user_id)
        {
            return Err(AppError::TokenInvalid);
        }
        Ok(place)
    }

    /// Runs a command of the line; a room that is not filled is filled first.
    async fn on_line<T, F>(
        &self,
        concert: ConcertId,
        command: impl Fn() -> F + Send + Sync,
    ) -> Result<T, AppError>
    where
        F: Future<Output = Result<Option<T>, LineError>> + Send,
    {
        if let Some(answer) = command().await? {
            return Ok(answer);
        }
        self.fill(concert, None).await?;
        command().await?.ok_or(AppError::Unsettled)
    }

    /// Tells Redis what Postgres has committed. What gets lost here is found by the next comparison of the two.
    async fn tell_line(&self, what: impl Future<Output = Result<(), LineError>> + Send) {
        if let Err(error) = what.await {
            metrics::counter!("queue_line_untold_total").increment(1);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the line could not be told"
            );
        }
    }

    /// How a token in `state` is answered.
    fn view(&self, room: &Room, number: QueueNumber, state: TokenState, position: u64) -> TokenView {
        const PROCESSING_POLL_MS: f64 = 2_000.0;
        const ENDED_POLL_MS: u32 = 30_000;
        let jitter: f64 = rand::random();
        let (eta_seconds, poll_after_ms) = match state {
            TokenState::Waiting | TokenState::TurnMissed => {
                let pace = self.pace(room);
                (pace.eta_seconds(position), pace.poll_after_ms(position, jitter))
            }
            TokenState::Page | TokenState::Payment => {
                (None, (PROCESSING_POLL_MS * (0.8 + jitter * 0.2)) as u32)
            }
            TokenState::Completed | TokenState::Expired => (None, ENDED_POLL_MS),
        };
        TokenView {
            state,
            number,
            position,
            eta_seconds,
            poll_after_ms,
            expires_at: None,
            visit_id: None,
        }
    }

    /// How a token with a visit, or whose place was given up, is answered.
    fn view_of_visit(&self, place: &Place, number: QueueNumber, state: TokenState) -> TokenView {
        let visit = place.visit.as_ref();
        TokenView {
            expires_at: visit
                .filter(|_| state == TokenState::Page)
                .and_then(|visit| visit.page_ends_at),
            // A place that was given up before its turn was no visit.
            visit_id: visit
                .filter(|visit| visit.page_ends_at.is_some())
                .map(|visit| visit.visit_id),
            ..self.view(&place.room, number, state, 0)
        }
    }
}

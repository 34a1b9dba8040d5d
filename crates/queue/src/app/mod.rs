//! What the service does, one file per use case.
//!
//! The rule of all of them: Redis proposes, Postgres decides. A place on the page counts in Redis before the visit is
//! committed and until its end is, so Redis never counts fewer than there are.

mod admit;
mod check_visit;
mod draw;
mod end_visit;
mod error;
mod fill;
mod gather;
mod get_token;
mod join;
mod known;
mod leave;
mod proof;
mod reconcile;
mod rooms;
mod stats;
mod waker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fair_draw::{Chunks, Permutation, ReceiptKey};
use queue_token::pace::{Eta, lobby_poll_after_ms};
use queue_token::{Claims, InvalidToken, QueueTokens};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, watch};
use vocabulary::{ConcertId, QueueNumber, VisitId};

pub use check_visit::{OpenVisit, VisitPurpose};
pub use end_visit::VisitOutcome;
pub use error::AppError;
pub use join::Ticket;
pub use proof::Proof;
pub use rooms::{RoomView, Snapshot};
pub use stats::RoomStats;

use crate::beacon::Beacon;
use crate::domain::{
    AdmissionMeter, Draw, Place, Room, RoomState, Stage, Timings, TokenState, index_of, millis,
};
use crate::store::{DrawStore, Line, LineError, VisitStore};
use gather::Batches;
use known::Known;
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
    /// When the turn may come.
    pub eta: Option<Eta>,
    /// When to ask again, in milliseconds.
    pub poll_after_ms: u32,
    /// When the page ends; in state [`TokenState::Page`] alone.
    pub expires_at: Option<OffsetDateTime>,
    /// The visit, once there is one.
    pub visit_id: Option<VisitId>,
    /// The room is paused: one who waits is not let in for now, and misses no turn.
    pub paused: bool,
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
    draws: DrawStore,
    line: Line,
    tokens: QueueTokens,
    beacon: Option<Beacon>,
    options: QueueOptions,
    batches: Batches,
    receipt_keys: Known<ReceiptKey>,
    orders: Known<Permutation>,
    trees: Known<Chunks>,
    listings: Semaphore,
    countings: Semaphore,
    waker: Waker,
    snapshot: watch::Sender<Arc<Snapshot>>,
    meters: Mutex<BTreeMap<ConcertId, AdmissionMeter>>,
}

impl Queue {
    /// The use cases over these stores.
    #[must_use]
    pub fn new(
        visits: VisitStore,
        draws: DrawStore,
        line: Line,
        tokens: QueueTokens,
        beacon: Option<Beacon>,
        options: QueueOptions,
    ) -> Self {
        Self {
            visits,
            draws,
            line,
            tokens,
            beacon,
            options,
            batches: Batches::default(),
            receipt_keys: Known::default(),
            orders: Known::default(),
            trees: Known::default(),
            listings: Semaphore::new(proof::LISTINGS_AT_ONCE),
            countings: Semaphore::new(stats::COUNTS_AT_ONCE),
            waker: Waker::default(),
            snapshot: watch::Sender::default(),
            meters: Mutex::default(),
        }
    }

    fn verify(&self, token: &str) -> Result<Claims, AppError> {
        Ok(self.tokens.verify(token)?)
    }

    /// The place in line of one whose token carries `arrival`. `None`: it is in the lobby, and not drawn yet.
    async fn number_of(
        &self,
        concert: ConcertId,
        arrival: QueueNumber,
    ) -> Result<Option<QueueNumber>, AppError> {
        let seen = self
            .snapshot
            .borrow()
            .rooms
            .get(&concert)
            .map(|view| view.room.clone());
        let room = match seen.filter(Room::is_settled) {
            Some(room) => room,
            None => self.visits.room(concert).await?.ok_or(AppError::RoomNotFound)?,
        };
        if room.stage == Stage::Lobby {
            return Ok(None);
        }
        if arrival > room.drawn_to {
            return Ok(Some(arrival));
        }
        let order = match self.orders.get(concert) {
            Some(order) => order,
            None => match self.draws.draw(concert).await?.as_ref().and_then(order_of) {
                Some(order) => self.orders.keep(concert, order),
                None => return Ok(None),
            },
        };
        // Number 0, which nobody was given, is nobody's place.
        let number = index_of(arrival).and_then(|index| order.number_of(index));
        Ok(Some(QueueNumber(number.unwrap_or(u64::MAX))))
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
            return Err(InvalidToken::Forged.into());
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
        let waits = matches!(state, TokenState::Waiting | TokenState::TurnMissed);
        let paused = waits && room.state() == RoomState::Paused;
        let (eta, poll_after_ms) = match state {
            TokenState::Waiting | TokenState::TurnMissed => {
                let pace = self.pace(room);
                (pace.eta(position), pace.poll_after_ms(position, jitter))
            }
            TokenState::Page | TokenState::Payment => {
                (None, (PROCESSING_POLL_MS * (0.8 + jitter * 0.2)) as u32)
            }
            TokenState::Gathering => (None, self.lobby_poll(room, jitter)),
            TokenState::Completed | TokenState::Expired => (None, ENDED_POLL_MS),
        };
        TokenView {
            state,
            number,
            position,
            eta,
            poll_after_ms,
            expires_at: None,
            visit_id: None,
            paused,
        }
    }

    fn lobby_poll(&self, room: &Room, jitter: f64) -> u32 {
        let opens_at = room.settings.opens_at().unwrap_or(room.now);
        let until_ms = u64::try_from(millis(opens_at) - millis(room.now)).unwrap_or(0);
        let snapshot = self.snapshot.borrow();
        let draw = snapshot
            .rooms
            .get(&room.concert_id)
            .and_then(|view| view.draw.as_ref());
        let people = draw.map_or(0, |draw| draw.count);
        lobby_poll_after_ms(until_ms, people, self.claim_seconds(), jitter)
    }

    fn claim_seconds(&self) -> u32 {
        u32::try_from(self.options.timings.claim.as_secs()).unwrap_or(u32::MAX)
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

/// The order that a draw gives, once it is drawn.
fn order_of(draw: &Draw) -> Option<Permutation> {
    Permutation::new(&draw.revealed.as_ref()?.seed, draw.count)
}

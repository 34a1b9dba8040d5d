//! The waiting rooms as `queue` streams them: polls of those whose turn is far away are answered from here.
//!
//! It claims nothing and calls nobody. Where the stream is broken, what was heard last is still there, with its age.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use contracts::QueueClient;
use contracts::queue::{self, WatchRoomsRequest};
use queue_token::pace::{self, AdmissionRates, Pace};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use vocabulary::ConcertId;

use crate::draws::{Draw, Place};
use crate::wire::{self, BrokenContract, RoomState};

/// `queue` is heard more often than this; whoever is answered from an older state is told its age.
const AGE_TOLD_FROM: Duration = Duration::from_millis(500);
/// An older state says nothing of those who could have been called since.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Whoever could have been called since asks `queue`; so many at once, as a `queue` that hangs would hold them all.
const ASKS_WHILE_OLD: usize = 64;
/// A stream that is silent for so long is taken for dead.
const SILENCE: Duration = Duration::from_secs(5);
const RECONNECT_MS: std::ops::RangeInclusive<u64> = 50..=250;

/// A waiting room as everybody may see it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub concert_id: ConcertId,
    pub state: RoomState,
    pub serving_number: u64,
    pub last_number: u64,
    pub waiting: u64,
    pub inside: u32,
    pub capacity: u32,
    pub admit_per_second: u32,
    pub admitted: AdmissionRates,
    pub claim_seconds: u32,
    pub opens_at: Option<OffsetDateTime>,
    /// Of a room that has, or had, a lobby.
    pub draw: Option<Draw>,
}

impl Room {
    /// Where the one whose token has this number stands; `None` for a number that nobody was given.
    pub(crate) fn place(&self, arrival: u64) -> Option<Place> {
        match &self.draw {
            Some(draw) => draw.place(arrival),
            None => Some(Place::Number(arrival)),
        }
    }

    /// When one in the lobby asks again. This process' own clock is good enough for a hint.
    pub(crate) fn lobby_poll_after_ms(&self, jitter: f64) -> u32 {
        let until = self.opens_at.map(|opens_at| opens_at - OffsetDateTime::now_utc());
        let until_ms = until.map_or(0, time::Duration::whole_milliseconds);
        let people = self.draw.as_ref().map_or(0, |draw| draw.count);
        let until_ms = u64::try_from(until_ms.max(0)).unwrap_or(u64::MAX);
        pace::lobby_poll_after_ms(until_ms, people, self.claim_seconds, jitter)
    }

    /// How often those who wait here ask again.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            admit_per_second: self.admit_per_second,
            rates: self.admitted,
            claim_seconds: self.claim_seconds,
            halted: !matches!(self.state, RoomState::Open | RoomState::Draining),
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state == RoomState::Paused
    }

    /// Whether those who wait may stand otherwise than they did in `earlier`.
    fn moved_since(&self, earlier: &Self) -> bool {
        let drawn = |room: &Self| room.draw.as_ref().map(|draw| draw.record.state);
        self.serving_number != earlier.serving_number
            || self.state != earlier.state
            || drawn(self) != drawn(earlier)
    }
}

impl TryFrom<queue::Room> for Room {
    type Error = BrokenContract;

    fn try_from(room: queue::Room) -> Result<Self, Self::Error> {
        Self::read(room, None)
    }
}

impl Room {
    /// Reads a room; what never changes, or never goes back, is taken over from what was known before.
    fn read(room: queue::Room, earlier: Option<&Self>) -> Result<Self, BrokenContract> {
        let settings = wire::required("Room.settings", room.settings)?;
        Ok(Self {
            concert_id: room
                .concert_id
                .parse()
                .map_err(|_| BrokenContract("Room.concert_id"))?,
            state: RoomState::read(room.state)?,
            // Another replica of queue may have looked a little earlier.
            serving_number: earlier
                .map_or(0, |earlier| earlier.serving_number)
                .max(room.serving_number),
            last_number: room.last_number,
            waiting: room.waiting,
            inside: room.inside,
            capacity: settings.capacity,
            admit_per_second: settings.admit_per_second,
            admitted: AdmissionRates {
                mean_milli: room.admitted_per_second_milli,
                slowest_milli: room.admitted_per_second_low_milli,
                fastest_milli: room.admitted_per_second_high_milli,
            },
            claim_seconds: room.claim_seconds,
            draw: room
                .fairness
                .as_ref()
                .map(|fairness| Draw::read(fairness, earlier.and_then(|earlier| earlier.draw.as_ref())))
                .transpose()?,
            opens_at: wire::optional_time("Room.settings.opens_at", settings.opens_at)?,
        })
    }
}

/// A room as it was last heard of.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    pub room: Arc<Room>,
    /// How long ago `queue` was heard last.
    pub age: Duration,
    /// Every number up to this one has been called, as far as was heard here.
    pub serving: u64,
}

impl Remembered {
    /// Whether it says how everybody stands.
    pub(crate) fn is_fresh(&self) -> bool {
        self.age < FRESH_FOR
    }

    /// What is told of its age: nothing of a young one.
    pub(crate) fn age_told_ms(&self) -> Option<u64> {
        let told = self.age > AGE_TOLD_FROM;
        told.then(|| u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX))
    }

    /// The last number given: whoever was called had one, also where the room was heard of before that.
    pub(crate) fn last_number(&self) -> u64 {
        self.room.last_number.max(self.serving)
    }

    /// Numbers given and not called; while people gather, how many do.
    pub(crate) fn waiting(&self) -> u64 {
        if self.serving == self.room.serving_number {
            self.room.waiting
        } else {
            self.last_number() - self.serving
        }
    }

    /// Whether the one who waited at `position`, or in the lobby, could have been called since, or drawn.
    pub(crate) fn may_be_outdated(&self, position: Option<u64>) -> bool {
        let Some(position) = position else {
            let opened = self
                .room
                .opens_at
                .is_none_or(|at| at <= OffsetDateTime::now_utc());
            return !self.is_fresh() && opened;
        };
        let called = f64::from(self.room.admit_per_second) * (self.age.as_secs_f64() + 1.0);
        !self.is_fresh() && position <= (called as u64).max(1)
    }
}

/// The rooms of all concerts.
#[derive(Debug)]
pub(crate) struct Rooms {
    heard: ArcSwap<Heard>,
    asks: Semaphore,
}

#[derive(Debug, Clone)]
struct Heard {
    rooms: Arc<HashMap<ConcertId, Known>>,
    at: Instant,
}

#[derive(Debug, Clone)]
struct Known {
    room: Arc<Room>,
    /// Told when those who wait may stand otherwise.
    moved: Arc<watch::Sender<()>>,
    /// The serving number that an answer of `queue` showed: it may be newer than the room.
    shown: Arc<AtomicU64>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self {
            heard: ArcSwap::from_pointee(Heard {
                rooms: Arc::default(),
                at: Instant::now(),
            }),
            asks: Semaphore::new(ASKS_WHILE_OLD),
        }
    }

    /// A room as it was last heard of; `None` for one that never was.
    pub(crate) fn get(&self, concert_id: ConcertId) -> Option<Remembered> {
        let heard = self.heard.load();
        let known = heard.rooms.get(&concert_id)?;
        Some(Remembered {
            room: Arc::clone(&known.room),
            age: heard.at.elapsed(),
            serving: known.room.serving_number.max(known.shown.load(Ordering::Relaxed)),
        })
    }

    /// Notes that an answer of `queue` showed this serving number: a position told once does not grow by the next poll, which
    /// memory answers.
    pub(crate) fn note_serving(&self, concert_id: ConcertId, serving: u64) {
        if let Some(known) = self.heard.load().rooms.get(&concert_id) {
            known.shown.fetch_max(serving, Ordering::Relaxed);
        }
    }

    /// Changes whenever those who wait in a room may stand otherwise; `None` for one that was never heard of.
    pub(crate) fn moves(&self, concert_id: ConcertId) -> Option<watch::Receiver<()>> {
        let heard = self.heard.load();
        Some(heard.rooms.get(&concert_id)?.moved.subscribe())
    }

    /// Leave to ask `queue` what an old state cannot say; `None` when enough others wait for it.
    pub(crate) fn ask_while_old(&self) -> Option<SemaphorePermit<'_>> {
        self.asks.try_acquire().ok()
    }

    /// Follows the rooms until `stop`, over as many streams as it takes.
    pub(crate) async fn follow(&self, queue: QueueClient, stop: CancellationToken) {
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.follow_one_stream(queue.clone()) => ended,
            };
            metrics::counter!("gateway_room_streams_ended_total").increment(1);
            tracing::warn!(
                error = &ended as &dyn std::error::Error,
                "the stream of rooms ended"
            );
            let wait = Duration::from_millis(rand::random_range(RECONNECT_MS));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn follow_one_stream(&self, mut queue: QueueClient) -> StreamEnd {
        let mut stream = match queue.watch_rooms(WatchRoomsRequest {}).await {
            Ok(response) => response.into_inner(),
            Err(status) => return status.into(),
        };
        loop {
            match tokio::time::timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(message))) => self.hear(message.rooms),
                Ok(Ok(None)) => return StreamEnd::Closed,
                Ok(Err(status)) => return status.into(),
                Err(_) => return StreamEnd::Silent,
            }
        }
    }

    fn hear(&self, changed: Vec<queue::Room>) {
        let heard = self.heard.load();
        let mut rooms = Arc::clone(&heard.rooms);
        let mut to_tell = Vec::new();
        if !changed.is_empty() {
            let rooms = Arc::make_mut(&mut rooms);
            for room in changed {
                let earlier = room
                    .concert_id
                    .parse()
                    .ok()
                    .and_then(|id| rooms.get(&id))
                    .cloned();
                match Room::read(room, earlier.as_ref().map(|earlier| &*earlier.room)) {
                    Ok(room) => {
                        let has_moved = earlier
                            .as_ref()
                            .is_some_and(|earlier| room.moved_since(&earlier.room));
                        let (moved, shown) = earlier
                            .map(|earlier| (earlier.moved, earlier.shown))
                            .unwrap_or_default();
                        let known = Known {
                            room: Arc::new(room),
                            moved,
                            shown,
                        };
                        if has_moved {
                            to_tell.push(Arc::clone(&known.moved));
                        }
                        rooms.insert(known.room.concert_id, known);
                    }
                    Err(error) => tracing::error!(%error, "a room is passed over"),
                }
            }
        }
        self.heard.store(Arc::new(Heard {
            rooms,
            at: Instant::now(),
        }));
        // Those who are told look at what is there by now.
        for moved in to_tell {
            moved.send_replace(());
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StreamEnd {
    #[error("queue closed the stream")]
    Closed,
    #[error("nothing was heard for {SILENCE:?}")]
    Silent,
    #[error("queue failed")]
    Failed(#[from] Box<tonic::Status>),
}

impl From<tonic::Status> for StreamEnd {
    fn from(status: tonic::Status) -> Self {
        Self::Failed(Box::new(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(age_ms: u64, admit_per_second: u32) -> Remembered {
        let room = Room {
            concert_id: ConcertId::new(),
            state: RoomState::Open,
            serving_number: 0,
            last_number: 100,
            waiting: 100,
            inside: 0,
            capacity: 10,
            admit_per_second,
            admitted: AdmissionRates::default(),
            claim_seconds: 30,
            opens_at: None,
            draw: None,
        };
        Remembered {
            room: Arc::new(room),
            age: Duration::from_millis(age_ms),
            serving: 0,
        }
    }

    #[test]
    fn the_age_of_a_state_is_told_from_half_a_second_on() {
        assert_eq!(remembered(500, 1).age_told_ms(), None);
        assert_eq!(remembered(501, 1).age_told_ms(), Some(501));
    }

    #[test]
    fn a_newer_serving_number_leaves_the_counts_in_step() {
        let counts = |serving| {
            let remembered = Remembered {
                serving,
                ..remembered(0, 10)
            };
            (remembered.last_number(), remembered.waiting())
        };
        assert_eq!(counts(0), (100, 100));
        assert_eq!(counts(40), (100, 60));
        assert_eq!(counts(101), (101, 0), "called since the room was heard of");
    }

    #[test]
    fn only_those_who_could_have_been_called_since_are_in_doubt() {
        let furthest = |age_ms, admit_per_second| {
            let remembered = remembered(age_ms, admit_per_second);
            (1..=1_000)
                .take_while(|at| remembered.may_be_outdated(Some(*at)))
                .count()
        };
        assert_eq!(furthest(999, 100), 0, "it says how everybody stands");
        assert_eq!(furthest(1_000, 10), 20);
        assert_eq!(furthest(30_000, 10), 310);
        // In the slowest room the next one is.
        assert_eq!((furthest(1_000, 0), furthest(60_000, 0)), (1, 1));
    }

    #[test]
    fn a_lobby_is_in_doubt_once_it_should_have_opened() {
        let at = |opens_in| {
            let mut lobby = remembered(2_000, 10);
            Arc::make_mut(&mut lobby.room).opens_at = Some(OffsetDateTime::now_utc() + opens_in);
            lobby.may_be_outdated(None)
        };
        assert!(!at(time::Duration::MINUTE));
        assert!(at(-time::Duration::SECOND));
    }

    fn streamed(concert_id: ConcertId, serving_number: u64, inside: u32) -> queue::Room {
        queue::Room {
            concert_id: concert_id.to_string(),
            state: queue::RoomState::Open as i32,
            serving_number,
            inside,
            settings: Some(queue::RoomSettings::default()),
            ..queue::Room::default()
        }
    }

    #[tokio::test]
    async fn promise_12_the_serving_number_of_a_room_never_goes_back_whoever_tells_it() {
        let (rooms, id) = (Rooms::new(), ConcertId::new());
        for (told, known) in [(5, 5), (9, 9), (7, 9), (10, 10)] {
            rooms.hear(vec![streamed(id, told, 0)]);
            assert_eq!(rooms.get(id).unwrap().room.serving_number, known);
        }
    }

    #[tokio::test]
    async fn what_queue_has_answered_is_not_taken_back_by_an_older_room() {
        let (rooms, id) = (Rooms::new(), ConcertId::new());
        rooms.note_serving(id, 7);
        assert!(rooms.get(id).is_none(), "an answer alone is no room");
        rooms.hear(vec![streamed(id, 5, 0)]);
        for (shown, told, known) in [(8, 6, 8), (3, 7, 8), (8, 9, 9)] {
            rooms.note_serving(id, shown);
            rooms.hear(vec![streamed(id, told, 0)]);
            assert_eq!(rooms.get(id).unwrap().serving, known);
        }
    }

    #[tokio::test]
    async fn those_who_watch_a_room_are_told_when_they_may_stand_otherwise_and_only_then() {
        let (rooms, one, other) = (Rooms::new(), ConcertId::new(), ConcertId::new());
        assert!(rooms.moves(one).is_none());
        rooms.hear(vec![streamed(one, 5, 0), streamed(other, 5, 0)]);
        let mut moves = rooms.moves(one).unwrap();
        assert!(!moves.has_changed().unwrap());

        rooms.hear(vec![streamed(one, 5, 3), streamed(other, 6, 0)]);
        rooms.hear(Vec::new());
        assert!(!moves.has_changed().unwrap(), "nobody moved in this room");
        rooms.hear(vec![streamed(one, 6, 3)]);
        moves.changed().await.unwrap();
        let paused = queue::Room {
            state: queue::RoomState::Paused as i32,
            ..streamed(one, 6, 3)
        };
        rooms.hear(vec![paused]);
        assert!(moves.has_changed().unwrap());
    }
}

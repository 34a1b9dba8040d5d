//! The waiting rooms as `queue` streams them: polls of those whose turn is far away are answered from here.
//!
//! It claims nothing and calls nobody. A state older than a second answers nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use contracts::QueueClient;
use contracts::queue::{self, WatchRoomsRequest};
use queue_token::pace::{self, Pace};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use vocabulary::ConcertId;

use crate::draws::{Draw, Place};
use crate::wire::{self, BrokenContract, RoomState};

/// An older state is not answered from.
const FRESH_FOR: Duration = Duration::from_secs(1);
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
    pub admitted_per_second_milli: u32,
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
    pub(crate) const fn pace(&self) -> Pace {
        Pace {
            admit_per_second: self.admit_per_second,
            admitted_per_second_milli: self.admitted_per_second_milli,
            claim_seconds: self.claim_seconds,
        }
    }
}

impl TryFrom<queue::Room> for Room {
    type Error = BrokenContract;

    fn try_from(room: queue::Room) -> Result<Self, Self::Error> {
        Self::read(room, None)
    }
}

impl Room {
    /// Reads a room; what never changes is taken over from what was known before.
    fn read(room: queue::Room, earlier: Option<&Self>) -> Result<Self, BrokenContract> {
        let settings = wire::required("Room.settings", room.settings)?;
        Ok(Self {
            concert_id: room
                .concert_id
                .parse()
                .map_err(|_| BrokenContract("Room.concert_id"))?,
            state: RoomState::read(room.state)?,
            serving_number: room.serving_number,
            last_number: room.last_number,
            waiting: room.waiting,
            inside: room.inside,
            capacity: settings.capacity,
            admit_per_second: settings.admit_per_second,
            admitted_per_second_milli: room.admitted_per_second_milli,
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

/// The rooms of all concerts.
#[derive(Debug)]
pub(crate) struct Rooms {
    heard: ArcSwap<Heard>,
}

#[derive(Debug, Clone)]
struct Heard {
    rooms: Arc<HashMap<ConcertId, Arc<Room>>>,
    at: Option<Instant>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self {
            heard: ArcSwap::from_pointee(Heard {
                rooms: Arc::default(),
                at: None,
            }),
        }
    }

    /// A room, if its state is of the last second.
    pub(crate) fn fresh(&self, concert_id: ConcertId) -> Option<Arc<Room>> {
        let heard = self.heard.load();
        let fresh = heard.at.is_some_and(|at| at.elapsed() < FRESH_FOR);
        fresh.then(|| heard.rooms.get(&concert_id).cloned())?
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
        if !changed.is_empty() {
            let rooms = Arc::make_mut(&mut rooms);
            for room in changed {
                let earlier = room.concert_id.parse().ok().and_then(|id| rooms.get(&id));
                match Room::read(room, earlier.map(Arc::as_ref)) {
                    Ok(room) => {
                        rooms.insert(room.concert_id, Arc::new(room));
                    }
                    Err(error) => tracing::error!(%error, "a room is passed over"),
                }
            }
        }
        self.heard.store(Arc::new(Heard {
            rooms,
            at: Some(Instant::now()),
        }));
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

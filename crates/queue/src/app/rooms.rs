//! Rooms as everybody may see them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use queue_token::pace::AdmissionRates;
use time::OffsetDateTime;
use tokio::sync::watch;
use vocabulary::{ConcertId, QueueNumber};

use super::{AppError, Queue};
use crate::beacon::Beacon;
use crate::domain::{Draw, Room, RoomSettings, RoomState, SettingsError, millis};
use crate::store::{Counts, DrawSecrets, LineError, Plan};

/// A room as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// The room; its serving number is committed.
    pub room: Room,
    /// The draw of a room that has, or had, a lobby.
    pub draw: Option<Arc<Draw>>,
    /// Whether it calls.
    pub state: RoomState,
    /// The last number given.
    pub last_number: QueueNumber,
    /// Visits in phase PAGE.
    pub inside: u32,
    /// Called and expected.
    pub called: u32,
    /// How fast it let people in over the last minute.
    pub admitted: AdmissionRates,
    /// Seconds that a called number has to claim its turn.
    pub claim_seconds: u32,
}

impl RoomView {
    /// Whether a place is left that nobody has taken or is called to.
    #[must_use]
    pub const fn has_places(&self) -> bool {
        self.inside.saturating_add(self.called) < self.room.places()
    }

    /// Whether this shows anything else than `earlier` did.
    #[must_use]
    pub fn differs_from(&self, earlier: &Self) -> bool {
        let undated = |view: &Self| Self {
            room: Room {
                now: OffsetDateTime::UNIX_EPOCH,
                clock: OffsetDateTime::UNIX_EPOCH,
                lapsed: 0,
                ..view.room.clone()
            },
            ..view.clone()
        };
        undated(self) != undated(earlier)
    }
}

/// Every room, as the last tick saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// False before the first tick.
    pub taken: bool,
    /// The rooms.
    pub rooms: BTreeMap<ConcertId, RoomView>,
}

impl Queue {
    /// Makes a room or changes its settings; that takes effect at once.
    ///
    /// # Errors
    /// Settings out of bounds; Postgres is away.
    pub async fn put_room(
        &self,
        concert: ConcertId,
        settings: Result<RoomSettings, Vec<SettingsError>>,
    ) -> Result<RoomView, AppError> {
        let secrets = DrawSecrets {
            secret: rand::random(),
            receipt: random_bytes(),
        };
        let settings = settings.map_err(AppError::Settings)?;
        let beacon = self.beacon.as_ref().map(Beacon::chain);
        let room = self.visits.put_room(concert, &settings, &secrets, beacon).await?;
        self.waker.wake(concert);
        self.view_room(room).await
    }

    /// A room as everybody may see it. Without Redis it shows what Postgres knows.
    ///
    /// # Errors
    /// No such room; Postgres is away.
    pub async fn get_room(&self, concert: ConcertId) -> Result<RoomView, AppError> {
        let room = self.visits.room(concert).await?.ok_or(AppError::RoomNotFound)?;
        self.view_room(room).await
    }

    /// The rooms of now and of every tick after.
    #[must_use]
    pub fn watch_rooms(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    async fn view_room(&self, room: Room) -> Result<RoomView, AppError> {
        let counts = self.counts(&room).await?;
        self.view_counted(room, counts).await
    }

    /// A room's counts. Without Redis they are what Postgres knows.
    pub(super) async fn counts(&self, room: &Room) -> Result<Counts, AppError> {
        let counts = match self.line.counts(room.concert_id).await {
            Ok(Some(counts)) => counts,
            Ok(None) | Err(LineError::Unavailable(_)) => Counts {
                issued: room.issued_to,
                pages: u32::try_from(self.visits.count_pages(room.concert_id).await?).unwrap_or(u32::MAX),
                called: 0,
                lapsed: room.lapsed,
            },
            Err(bug) => return Err(bug.into()),
        };
        Ok(counts)
    }

    pub(super) async fn view_counted(&self, room: Room, counts: Counts) -> Result<RoomView, AppError> {
        let measured = self
            .snapshot
            .borrow()
            .rooms
            .get(&room.concert_id)
            .map(|view| view.admitted);
        let draw = self.draws.draw(room.concert_id).await?.map(Arc::new);
        Ok(self.room_view(room, draw, counts, measured.unwrap_or_default()))
    }

    pub(super) fn room_view(
        &self,
        room: Room,
        draw: Option<Arc<Draw>>,
        counts: Counts,
        admitted: AdmissionRates,
    ) -> RoomView {
        // In the lobby nobody has a number, but everybody waits.
        let gathered = draw.as_ref().map_or(0, |draw| draw.count);
        RoomView {
            state: room.state(),
            last_number: counts.issued.max(room.serving).max(QueueNumber(gathered)),
            draw,
            inside: counts.pages,
            called: counts.called,
            admitted,
            claim_seconds: self.claim_seconds(),
            room,
        }
    }

    /// How fast a room lets people in. What was measured before nobody was called is forgotten.
    pub(super) fn measure(&self, room: &Room, plan: &Plan) -> AdmissionRates {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.entry(room.concert_id).or_default();
        if !room.state().calls() {
            meter.begin_anew();
            return AdmissionRates::default();
        }
        meter.note(plan.epoch, millis(room.now), plan.admitted)
    }
}

/// 64 bytes of the process' own generator, which is cryptographic and seeded by the system.
fn random_bytes() -> [u8; 64] {
    let mut bytes = [0; 64];
    rand::fill(&mut bytes);
    bytes
}

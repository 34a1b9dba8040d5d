//! A room: what the organiser set, where its numbers stand, and the windows that hold for every room.

use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber};

/// The spans that hold for every room.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// How long a page lasts.
    pub page: Duration,
    /// How long a called number's place is kept.
    pub claim: Duration,
    /// How long after a missed turn one may still come.
    pub late: Duration,
}

/// How the organiser wants a room to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomSettings {
    capacity: u32,
    admit_per_second: u32,
    opens_at: Option<OffsetDateTime>,
    mode: RoomMode,
}

/// What the organiser lets a room do, once it has opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoomMode {
    /// People join and are called.
    #[default]
    Open,
    /// People join; nobody is called or let in, and nobody misses a turn meanwhile.
    Paused,
    /// Nobody joins anew; those who have a place keep it and are called.
    Draining,
}

/// Text that is no mode of a room.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a room's mode")]
pub struct UnknownMode(String);

impl FromStr for RoomMode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "OPEN" => Ok(Self::Open),
            "PAUSED" => Ok(Self::Paused),
            "DRAINING" => Ok(Self::Draining),
            _ => Err(UnknownMode(word.to_owned())),
        }
    }
}

impl RoomMode {
    /// The word that it is kept as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Paused => "PAUSED",
            Self::Draining => "DRAINING",
        }
    }

    /// The state of an opened room in this mode.
    #[must_use]
    pub const fn state(self) -> RoomState {
        match self {
            Self::Open => RoomState::Open,
            Self::Paused => RoomState::Paused,
            Self::Draining => RoomState::Draining,
        }
    }
}

/// A setting that breaks its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The capacity is out of range.
    #[error("must be 1 to {max}", max = RoomSettings::MAX_CAPACITY)]
    Capacity,
    /// The pace is out of range.
    #[error("must be 1 to {max}", max = RoomSettings::MAX_ADMIT_PER_SECOND)]
    AdmitPerSecond,
}

impl RoomSettings {
    /// The largest capacity.
    pub const MAX_CAPACITY: u32 = 1_000_000;
    /// The fastest pace.
    pub const MAX_ADMIT_PER_SECOND: u32 = 100_000;

    /// Settings within their bounds, in mode OPEN. No `opens_at` = open now.
    ///
    /// # Errors
    /// Every setting that is out of its bounds.
    pub fn new(
        capacity: u32,
        admit_per_second: u32,
        opens_at: Option<OffsetDateTime>,
    ) -> Result<Self, Vec<SettingsError>> {
        let mut errors = Vec::new();
        if !(1..=Self::MAX_CAPACITY).contains(&capacity) {
            errors.push(SettingsError::Capacity);
        }
        if !(1..=Self::MAX_ADMIT_PER_SECOND).contains(&admit_per_second) {
            errors.push(SettingsError::AdmitPerSecond);
        }
        let settings = Self {
            capacity,
            admit_per_second,
            opens_at,
            mode: RoomMode::Open,
        };
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    /// The same settings in another mode.
    #[must_use]
    pub const fn in_mode(self, mode: RoomMode) -> Self {
        Self { mode, ..self }
    }

    /// What the room does once it has opened.
    #[must_use]
    pub const fn mode(&self) -> RoomMode {
        self.mode
    }

    /// The most visits in phase PAGE at any instant.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The most admissions per second.
    #[must_use]
    pub const fn admit_per_second(&self) -> u32 {
        self.admit_per_second
    }

    /// When the room opens.
    #[must_use]
    pub const fn opens_at(&self) -> Option<OffsetDateTime> {
        self.opens_at
    }

    /// What the room does at `now`, as far as the settings tell.
    #[must_use]
    pub fn state_at(&self, now: OffsetDateTime) -> RoomState {
        match self.opens_at {
            Some(opens_at) if now < opens_at => RoomState::Scheduled,
            _ => self.mode.state(),
        }
    }
}

/// What a room does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomState {
    /// Not open yet, or not drawn yet: people join, nobody is called.
    Scheduled,
    /// People join and are called.
    Open,
    /// People join; nobody is called or let in.
    Paused,
    /// Nobody joins anew; those in line are called.
    Draining,
}

impl RoomState {
    /// Whether people are called.
    #[must_use]
    pub const fn calls(self) -> bool {
        matches!(self, Self::Open | Self::Draining)
    }
}

/// How far a room has come with its opening, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// People gather; no number is given.
    Lobby,
    /// The lobby is closed and its draw goes on; later comers are given numbers, nobody is called.
    Drawing,
    /// People join and are called.
    Line,
}

/// Text that is no stage of a room.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a room's stage")]
pub struct UnknownStage(String);

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "LOBBY" => Ok(Self::Lobby),
            "DRAWING" => Ok(Self::Drawing),
            "LINE" => Ok(Self::Line),
            _ => Err(UnknownStage(word.to_owned())),
        }
    }
}

/// The numbers after one up to and with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    /// The number before the first.
    pub after: QueueNumber,
    /// The last.
    pub to: QueueNumber,
}

/// A room as Postgres keeps it, at the instant it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Whose line it is.
    pub concert_id: ConcertId,
    /// What the organiser set.
    pub settings: RoomSettings,
    /// What it does.
    pub stage: Stage,
    /// Every number up to this one is drawn among those who gathered.
    pub drawn_to: QueueNumber,
    /// Every number up to this one was called.
    pub serving: QueueNumber,
    /// Every number up to this one was surely given.
    pub issued_to: QueueNumber,
    /// Every number up to this one may have been given.
    pub reserved_to: QueueNumber,
    /// Which filling of the line's store is valid.
    pub epoch: i64,
    /// How many turns were missed, as far as is kept.
    pub lapsed: u64,
    /// The room's own time at reading: behind the store's by as long as the room was paused, and standing still while it
    /// is. Turns are called and missed by it.
    pub clock: OffsetDateTime,
    /// The store's time of reading.
    pub now: OffsetDateTime,
}

impl Room {
    /// What the room does: nobody is called before its opening has come and those who gathered have their numbers.
    #[must_use]
    pub fn state(&self) -> RoomState {
        match self.stage {
            Stage::Lobby | Stage::Drawing => RoomState::Scheduled,
            Stage::Line => self.settings.state_at(self.now),
        }
    }

    /// Whether the lobby, if there is one, is to be closed.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.settings.state_at(self.now) != RoomState::Scheduled
    }

    /// Whether the room will have no lobby any more, so that a token's number means what it does now.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Line) && self.reserved_to.0 > 0
    }

    /// How many may be on the page: nobody is let in while the room is paused, before its opening as well.
    #[must_use]
    pub const fn places(&self) -> u32 {
        match self.settings.mode() {
            RoomMode::Paused => 0,
            RoomMode::Open | RoomMode::Draining => self.settings.capacity(),
        }
    }

    /// Whether somebody who has no place may take one.
    #[must_use]
    pub const fn takes_in(&self) -> bool {
        !matches!(self.settings.mode(), RoomMode::Draining)
    }

    /// 1 for the next to be called, 0 for who was called.
    #[must_use]
    pub const fn position(&self, number: QueueNumber) -> u64 {
        number.0.saturating_sub(self.serving.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn settings_out_of_bounds_are_all_named() {
        assert_eq!(
            RoomSettings::new(0, 100_001, None).unwrap_err(),
            [SettingsError::Capacity, SettingsError::AdmitPerSecond]
        );
        assert!(RoomSettings::new(1_000_000, 100_000, None).is_ok());
    }

    #[test]
    fn a_room_is_open_from_its_opening_on() {
        let opens_at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(60);
        let settings = RoomSettings::new(1, 1, Some(opens_at)).unwrap();
        assert_eq!(
            settings.state_at(opens_at - Duration::from_millis(1)),
            RoomState::Scheduled
        );
        assert_eq!(settings.state_at(opens_at), RoomState::Open);
        let open = RoomSettings::new(1, 1, None).unwrap();
        assert_eq!(open.state_at(OffsetDateTime::UNIX_EPOCH), RoomState::Open);
    }

    proptest! {
        #[test]
        fn a_position_is_at_least_one_while_waiting_and_never_grows(
            number in 1_u64..1 << 40, serving in 0_u64..1 << 40, advance in 0_u64..1 << 20,
        ) {
            let room = |serving| Room {
                concert_id: ConcertId::from_uuid(uuid::Uuid::nil()),
                settings: RoomSettings::new(1, 1, None).unwrap(),
                stage: Stage::Line,
                drawn_to: QueueNumber(0),
                serving: QueueNumber(serving),
                issued_to: QueueNumber(1 << 41),
                reserved_to: QueueNumber(1 << 41),
                epoch: 1,
                lapsed: 0,
                clock: OffsetDateTime::UNIX_EPOCH,
                now: OffsetDateTime::UNIX_EPOCH,
            };
            let before = room(serving).position(QueueNumber(number));
            let after = room(serving + advance).position(QueueNumber(number));
            prop_assert!(after <= before);
            prop_assert_eq!(before == 0, number <= serving);
        }
    }
}

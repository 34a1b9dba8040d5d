//! What the organiser set: how a room is to work, within its bounds.

use std::str::FromStr;

use time::OffsetDateTime;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    #[test]
    fn settings_out_of_bounds_are_all_named() {
        assert_eq!(
            RoomSettings::new(0, 100_001, None).unwrap_err(),
            [SettingsError::Capacity, SettingsError::AdmitPerSecond]
        );
        assert!(RoomSettings::new(1_000_000, 100_000, None).is_ok());
    }

    #[rstest]
    #[case(RoomState::Scheduled, false)]
    #[case(RoomState::Open, true)]
    #[case(RoomState::Paused, false)]
    #[case(RoomState::Draining, true)]
    fn people_are_called_in_an_open_and_in_a_draining_room(#[case] state: RoomState, #[case] calls: bool) {
        assert_eq!(state.calls(), calls);
    }

    #[test]
    fn every_mode_is_read_as_it_is_kept() {
        for mode in [RoomMode::Open, RoomMode::Paused, RoomMode::Draining] {
            assert_eq!(mode.as_str().parse::<RoomMode>().unwrap(), mode);
        }
        assert!("open".parse::<RoomMode>().is_err());
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
}

//! How an organiser wants a waiting room to work.

use std::str::FromStr;

use serde_json::{Value, json};
use service_kit::problem::FieldError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::text::fault;

/// The most visitors at once that can be asked for.
pub const MAX_CAPACITY: u32 = 1_000_000;
/// The most admissions per second that can be asked for.
pub const MAX_ADMIT_PER_SECOND: u32 = 100_000;

/// What a room is let do, once it has opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoomMode {
    /// People join and are called.
    #[default]
    Open,
    /// People join; nobody is called or let in.
    Paused,
    /// Nobody joins anew; those in line are called.
    Draining,
}

impl RoomMode {
    /// The word of the public API, which is kept as well.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Paused => "PAUSED",
            Self::Draining => "DRAINING",
        }
    }
}

/// Text that is no mode of a room.
#[derive(Debug, thiserror::Error)]
#[error("must be OPEN, PAUSED or DRAINING")]
pub struct UnknownMode;

impl FromStr for RoomMode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let mut modes = [Self::Open, Self::Paused, Self::Draining].into_iter();
        modes.find(|mode| mode.as_str() == word).ok_or(UnknownMode)
    }
}

/// Settings of a waiting room, within their bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingRoom {
    capacity: u32,
    admit_per_second: u32,
    opens_at: Option<OffsetDateTime>,
    mode: RoomMode,
}

impl WaitingRoom {
    /// The settings as the audit log keeps them.
    #[must_use]
    pub fn details(&self) -> Value {
        let opens_at = self.opens_at.and_then(|at| at.format(&Rfc3339).ok());
        json!({
            "capacity": self.capacity, "admitPerSecond": self.admit_per_second, "opensAt": opens_at,
            "mode": self.mode.as_str(),
        })
    }

    /// Settings in mode OPEN. `prefix` stands before the names of fields that are wrong.
    ///
    /// # Errors
    /// Every field that is out of bounds.
    pub fn new(
        prefix: &str,
        capacity: u32,
        admit_per_second: u32,
        opens_at: Option<OffsetDateTime>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            faults.push(fault(
                format!("{prefix}capacity"),
                format!("must be 1 to {MAX_CAPACITY}"),
            ));
        }
        if !(1..=MAX_ADMIT_PER_SECOND).contains(&admit_per_second) {
            faults.push(fault(
                format!("{prefix}admitPerSecond"),
                format!("must be 1 to {MAX_ADMIT_PER_SECOND}"),
            ));
        }
        // Beyond these years stores and calendars disagree.
        if opens_at.is_some_and(|at| !(1970..=9999).contains(&at.year())) {
            faults.push(fault(
                format!("{prefix}opensAt"),
                "must be between the years 1970 and 9999",
            ));
        }
        if faults.is_empty() {
            Ok(Self {
                capacity,
                admit_per_second,
                opens_at,
                mode: RoomMode::Open,
            })
        } else {
            Err(faults)
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

    /// The most visitors at once.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The most admissions per second.
    #[must_use]
    pub const fn admit_per_second(&self) -> u32 {
        self.admit_per_second
    }

    /// When it opens; `None` = now.
    #[must_use]
    pub const fn opens_at(&self) -> Option<OffsetDateTime> {
        self.opens_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_within_its_bounds_is_made() {
        assert!(WaitingRoom::new("", 1, 1, None).is_ok());
        assert!(WaitingRoom::new("", MAX_CAPACITY, MAX_ADMIT_PER_SECOND, None).is_ok());
    }

    #[test]
    fn every_mode_is_read_as_it_is_kept() {
        for mode in [RoomMode::Open, RoomMode::Paused, RoomMode::Draining] {
            assert_eq!(mode.as_str().parse::<RoomMode>().unwrap(), mode);
            let room = WaitingRoom::new("", 1, 1, None).unwrap().in_mode(mode);
            assert_eq!(room.details()["mode"], mode.as_str());
        }
        assert!("open".parse::<RoomMode>().is_err());
    }

    #[test]
    fn every_field_out_of_bounds_is_named() {
        let faults = WaitingRoom::new("waitingRoom.", 0, MAX_ADMIT_PER_SECOND + 1, None).unwrap_err();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["waitingRoom.capacity", "waitingRoom.admitPerSecond"]);
    }
}

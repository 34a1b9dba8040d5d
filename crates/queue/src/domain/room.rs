//! A room: where its numbers stand, what it does at present, and the windows that hold for every room.

use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber};

use super::settings::{RoomMode, RoomSettings, RoomState};

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

/// How far a room has come with its opening, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// People gather; no number is given.
    Lobby,
    /// The lobby is closed and its draw goes on; later comers are given numbers, nobody is called.
    Drawing,
    /// Numbers are given, and called as the settings say.
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
    use rstest::rstest;

    use super::*;

    fn room(stage: Stage, opens_in_seconds: i64, mode: RoomMode) -> Room {
        let opens_at = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(opens_in_seconds);
        Room {
            concert_id: ConcertId::from_uuid(uuid::Uuid::nil()),
            settings: RoomSettings::new(7, 1, Some(opens_at)).unwrap().in_mode(mode),
            stage,
            drawn_to: QueueNumber(0),
            serving: QueueNumber(0),
            issued_to: QueueNumber(0),
            reserved_to: QueueNumber(0),
            epoch: 1,
            lapsed: 0,
            clock: OffsetDateTime::UNIX_EPOCH,
            now: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// Every stage, before and after the opening, in every mode.
    #[rstest]
    #[case::gathers(Stage::Lobby, 1, [RoomState::Scheduled; 3])]
    #[case::is_to_be_closed(Stage::Lobby, 0, [RoomState::Scheduled; 3])]
    #[case::is_drawn_after_its_opening_was_moved(Stage::Drawing, 1, [RoomState::Scheduled; 3])]
    #[case::is_drawn(Stage::Drawing, 0, [RoomState::Scheduled; 3])]
    #[case::has_not_opened(Stage::Line, 1, [RoomState::Scheduled; 3])]
    #[case::has_opened(Stage::Line, 0, [RoomState::Open, RoomState::Paused, RoomState::Draining])]
    fn a_room_is_scheduled_until_it_opens_and_then_as_its_mode_says(
        #[case] stage: Stage,
        #[case] opens_in_seconds: i64,
        #[case] states: [RoomState; 3],
    ) {
        let modes = [RoomMode::Open, RoomMode::Paused, RoomMode::Draining];
        for (mode, state) in modes.into_iter().zip(states) {
            let room = room(stage, opens_in_seconds, mode);
            assert_eq!(room.state(), state, "{mode:?}");
            // Whatever the mode: a lobby is closed when its time has come.
            assert_eq!(room.is_due(), opens_in_seconds <= 0, "{mode:?}");
        }
    }

    #[rstest]
    #[case::open(RoomMode::Open, 7, true)]
    #[case::paused(RoomMode::Paused, 0, true)]
    #[case::draining(RoomMode::Draining, 7, false)]
    fn a_mode_says_who_may_come_and_who_may_go_in(
        #[case] mode: RoomMode,
        #[case] places: u32,
        #[case] takes_in: bool,
    ) {
        for (stage, opens_in_seconds) in [
            (Stage::Lobby, 1),
            (Stage::Drawing, 0),
            (Stage::Line, 1),
            (Stage::Line, 0),
        ] {
            let room = room(stage, opens_in_seconds, mode);
            assert_eq!((room.places(), room.takes_in()), (places, takes_in));
        }
    }

    proptest! {
        #[test]
        fn a_position_is_at_least_one_while_waiting_and_never_grows(
            number in 1_u64..1 << 40, serving in 0_u64..1 << 40, advance in 0_u64..1 << 20,
        ) {
            let room = |serving| Room {
                serving: QueueNumber(serving),
                ..room(Stage::Line, 0, RoomMode::Open)
            };
            let before = room(serving).position(QueueNumber(number));
            let after = room(serving + advance).position(QueueNumber(number));
            prop_assert!(after <= before);
            prop_assert_eq!(before == 0, number <= serving);
        }
    }
}

//! A place in line as it is known from what is kept, and how it stands.

use time::OffsetDateTime;
use vocabulary::QueueNumber;

use super::{Room, Timings, TokenState, Visit};

/// A number of a room, with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The room.
    pub room: Room,
    /// The number's visit, or that it was given up.
    pub visit: Option<Visit>,
    /// When the number was called, by the room's clock; absent when it was not, or so long ago that nobody may come late any more.
    pub called_at: Option<OffsetDateTime>,
}

/// How a place stands, before the line itself is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not called yet; 1 is the next.
    Ahead {
        /// The number minus the serving number.
        position: u64,
    },
    /// Called, and nobody has come: the line knows whether it may still claim.
    Called {
        /// As far as what is kept tells: WAITING, TURN MISSED, or EXPIRED.
        state: TokenState,
    },
    /// The place became a visit, or was given up.
    Visited(TokenState),
    /// The room never gave this number.
    Unknown,
}

impl Place {
    /// How the place of `number` stands at the time it was read.
    #[must_use]
    pub fn standing(&self, number: QueueNumber, timings: &Timings) -> Standing {
        if let Some(visit) = &self.visit {
            return Standing::Visited(visit.state_at(self.room.now).into());
        }
        if number > self.room.reserved_to {
            return Standing::Unknown;
        }
        match self.room.position(number) {
            0 => Standing::Called {
                state: self.called_state(timings),
            },
            position => Standing::Ahead { position },
        }
    }

    /// Until when, by the room's clock, who missed the turn may come late; absent where that was long ago.
    #[must_use]
    pub fn late_until(&self, timings: &Timings) -> Option<OffsetDateTime> {
        self.called_at
            .map(|called_at| called_at + timings.claim + timings.late)
    }

    fn called_state(&self, timings: &Timings) -> TokenState {
        match self.called_at {
            Some(called_at) if self.room.clock < called_at + timings.claim => TokenState::Waiting,
            Some(called_at) if self.room.clock < called_at + timings.claim + timings.late => {
                TokenState::TurnMissed
            }
            _ => TokenState::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use vocabulary::{ConcertId, UserId, VisitId};

    use super::*;
    use crate::domain::{RoomSettings, Stage, VisitState};

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const TIMINGS: Timings = Timings {
        page: Duration::from_secs(180),
        claim: Duration::from_secs(30),
        late: Duration::from_secs(600),
    };

    fn place(called_seconds_ago: Option<u64>, visit: Option<VisitState>) -> Place {
        Place {
            room: Room {
                concert_id: ConcertId::new(),
                settings: RoomSettings::new(1, 1, None).unwrap(),
                stage: Stage::Line,
                drawn_to: QueueNumber(0),
                serving: QueueNumber(10),
                issued_to: QueueNumber(15),
                reserved_to: QueueNumber(20),
                epoch: 1,
                lapsed: 0,
                clock: NOW,
                // What becomes of a place that was called has nothing to do with the time of day.
                now: NOW + Duration::from_secs(3_600),
            },
            visit: visit.map(|state| Visit {
                visit_id: VisitId::new(),
                user_id: UserId::new(),
                number: QueueNumber(10),
                state,
                page_ends_at: Some(NOW + Duration::from_secs(3_601)),
                hold_lease_until: None,
            }),
            called_at: called_seconds_ago.map(|ago| NOW - Duration::from_secs(ago)),
        }
    }

    #[rstest]
    #[case::just_called(Some(0), TokenState::Waiting)]
    #[case::at_the_end_of_the_window(Some(29), TokenState::Waiting)]
    #[case::missed(Some(30), TokenState::TurnMissed)]
    #[case::late_to_the_last(Some(629), TokenState::TurnMissed)]
    #[case::too_late(Some(630), TokenState::Expired)]
    #[case::long_ago(None, TokenState::Expired)]
    fn a_called_place_ages(#[case] called_seconds_ago: Option<u64>, #[case] state: TokenState) {
        let standing = place(called_seconds_ago, None).standing(QueueNumber(10), &TIMINGS);
        assert_eq!(standing, Standing::Called { state });
    }

    #[test]
    fn a_place_that_is_not_called_knows_its_position() {
        let standing = |number| place(None, None).standing(QueueNumber(number), &TIMINGS);
        assert_eq!(standing(11), Standing::Ahead { position: 1 });
        assert_eq!(standing(20), Standing::Ahead { position: 10 });
        assert_eq!(standing(21), Standing::Unknown);
    }

    #[test]
    fn what_became_of_a_place_outweighs_where_it_stood() {
        for (state, token) in [
            (VisitState::Page, TokenState::Page),
            (VisitState::Payment, TokenState::Payment),
            (VisitState::Completed, TokenState::Completed),
            (VisitState::Expired, TokenState::Expired),
        ] {
            let standing = place(Some(0), Some(state)).standing(QueueNumber(12), &TIMINGS);
            assert_eq!(standing, Standing::Visited(token));
        }
    }
}

//! How a concert and a date come to be seen: each waits for what another service has to make first.

/// Where a concert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConcertState {
    /// Its waiting room may not exist yet; nobody sees it.
    Creating,
    /// It is found and joined.
    Listed,
}

/// Where a date stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleState {
    /// Its seats may not be for sale yet; nobody sees it.
    Opening,
    /// Its seats are for sale; its layout and prices are immutable.
    OnSale,
}

/// What happens to a concert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConcertEvent {
    /// The queue service has its waiting room.
    RoomMade,
    /// A date is to be added.
    ScheduleAsked,
    /// The waiting room is to work otherwise.
    RoomChangeAsked,
}

/// What happens to a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleEvent {
    /// The booking service has its seats.
    SeatsOpened,
    /// A visitor asks for its layout or its seats.
    SeatsAsked,
}

/// The event does not fit the state; to the caller there is no such concert or date yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not in this state")]
pub struct Refused;

impl ConcertState {
    /// The state after `event`.
    ///
    /// # Errors
    /// The event does not fit the state.
    pub const fn apply(self, event: ConcertEvent) -> Result<Self, Refused> {
        match (self, event) {
            // A room made twice is one room: a retry is no fault.
            (Self::Creating | Self::Listed, ConcertEvent::RoomMade) => Ok(Self::Listed),
            (Self::Listed, ConcertEvent::ScheduleAsked | ConcertEvent::RoomChangeAsked) => Ok(Self::Listed),
            (Self::Creating, ConcertEvent::ScheduleAsked | ConcertEvent::RoomChangeAsked) => Err(Refused),
        }
    }
}

impl ScheduleState {
    /// The state after `event`.
    ///
    /// # Errors
    /// The event does not fit the state.
    pub const fn apply(self, event: ScheduleEvent) -> Result<Self, Refused> {
        match (self, event) {
            (Self::Opening | Self::OnSale, ScheduleEvent::SeatsOpened) => Ok(Self::OnSale),
            (Self::OnSale, ScheduleEvent::SeatsAsked) => Ok(Self::OnSale),
            (Self::Opening, ScheduleEvent::SeatsAsked) => Err(Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_answers_every_event() {
        use {ConcertEvent as C, ConcertState as CS, ScheduleEvent as S, ScheduleState as SS};
        for (state, event, expected) in [
            (CS::Creating, C::RoomMade, Ok(CS::Listed)),
            (CS::Creating, C::ScheduleAsked, Err(Refused)),
            (CS::Creating, C::RoomChangeAsked, Err(Refused)),
            (CS::Listed, C::RoomMade, Ok(CS::Listed)),
            (CS::Listed, C::ScheduleAsked, Ok(CS::Listed)),
            (CS::Listed, C::RoomChangeAsked, Ok(CS::Listed)),
        ] {
            assert_eq!(state.apply(event), expected, "{state:?} x {event:?}");
        }
        for (state, event, expected) in [
            (SS::Opening, S::SeatsOpened, Ok(SS::OnSale)),
            (SS::Opening, S::SeatsAsked, Err(Refused)),
            (SS::OnSale, S::SeatsOpened, Ok(SS::OnSale)),
            (SS::OnSale, S::SeatsAsked, Ok(SS::OnSale)),
        ] {
            assert_eq!(state.apply(event), expected, "{state:?} x {event:?}");
        }
    }
}

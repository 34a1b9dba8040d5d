//! The seat machine: `AVAILABLE -> PENDING -> OCCUPIED`, and back.

use vocabulary::SeatStatus;

/// What happens to a seat of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatEvent {
    /// A hold takes it.
    Hold,
    /// Its hold was paid.
    Sell,
    /// Its reservation expired, was given up, or was canceled after it was sold.
    Release,
}

impl SeatEvent {
    /// Every event.
    pub const ALL: &[Self] = &[Self::Hold, Self::Sell, Self::Release];
}

/// The seat is not in a state that allows this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seat that is {status} refuses {event:?}")]
pub struct SeatRefused {
    /// How the seat stands.
    pub status: SeatStatus,
    /// What was asked of it.
    pub event: SeatEvent,
}

/// How a seat stands after `event`.
///
/// # Errors
/// The event is none for this state: a seat that is taken can't be taken, one that nobody holds can't be sold.
pub const fn apply(status: SeatStatus, event: SeatEvent) -> Result<SeatStatus, SeatRefused> {
    match (status, event) {
        (SeatStatus::Available, SeatEvent::Hold) => Ok(SeatStatus::Pending),
        (SeatStatus::Pending, SeatEvent::Sell) => Ok(SeatStatus::Occupied),
        (SeatStatus::Pending | SeatStatus::Occupied, SeatEvent::Release) => Ok(SeatStatus::Available),
        _ => Err(SeatRefused { status, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        use SeatEvent::{Hold, Release, Sell};
        use SeatStatus::{Available, Occupied, Pending};
        let table = [
            (Available, Hold, Some(Pending)),
            (Available, Sell, None),
            (Available, Release, None),
            (Pending, Hold, None),
            (Pending, Sell, Some(Occupied)),
            (Pending, Release, Some(Available)),
            (Occupied, Hold, None),
            (Occupied, Sell, None),
            (Occupied, Release, Some(Available)),
        ];
        assert_eq!(
            table.len(),
            SeatEvent::ALL.len() * 3,
            "every pair stands in the table"
        );
        for (status, event, after) in table {
            assert_eq!(apply(status, event).ok(), after, "{status} x {event:?}");
        }
    }
}

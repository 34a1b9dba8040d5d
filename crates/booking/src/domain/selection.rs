//! The seats that one hold asks for.

use vocabulary::{SEATS_PER_USER, SeatId};

/// One to four different seats, in the order of their ids: the order in which they are locked and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatSelection(Vec<SeatId>);

/// Why a list of seats is no selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// None were named.
    #[error("must name at least one seat")]
    Empty,
    /// More than one user may hold.
    #[error("must name at most {SEATS_PER_USER} seats")]
    TooMany,
    /// A seat stands there twice.
    #[error("must be different from the others")]
    Repeated {
        /// Where it stands the second time, from 0.
        position: usize,
    },
}

impl SeatSelection {
    /// # Errors
    /// None, too many, or the same seat twice.
    pub fn new(seats: &[SeatId]) -> Result<Self, SelectionError> {
        if seats.is_empty() {
            return Err(SelectionError::Empty);
        }
        if seats.len() > SEATS_PER_USER as usize {
            return Err(SelectionError::TooMany);
        }
        for (position, seat) in seats.iter().enumerate() {
            if seats[..position].contains(seat) {
                return Err(SelectionError::Repeated { position });
            }
        }
        let mut seats = seats.to_vec();
        seats.sort_unstable();
        Ok(Self(seats))
    }

    /// The seats.
    #[must_use]
    pub fn seats(&self) -> &[SeatId] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_one_to_four_different_seats() {
        let seats: Vec<SeatId> = (0..5).map(|_| SeatId::new()).collect();
        assert_eq!(SeatSelection::new(&[]), Err(SelectionError::Empty));
        assert_eq!(SeatSelection::new(&seats), Err(SelectionError::TooMany));
        assert_eq!(
            SeatSelection::new(&[seats[0], seats[1], seats[0]]),
            Err(SelectionError::Repeated { position: 2 })
        );
        assert!(SeatSelection::new(&seats[..4]).is_ok());
    }

    #[test]
    fn the_order_in_which_seats_are_named_makes_no_difference() {
        let (a, b) = (SeatId::new(), SeatId::new());
        assert_eq!(SeatSelection::new(&[a, b]), SeatSelection::new(&[b, a]));
    }
}

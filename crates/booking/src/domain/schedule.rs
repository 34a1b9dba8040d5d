//! A date and its seats for sale: checked once when it is opened, immutable from then on.

use std::collections::{HashMap, HashSet};

use vocabulary::{Amount, ConcertId, Currency, Grade, SEATS_PER_USER, ScheduleId, SeatId, SeatIndex};

use super::refund_policy::RefundTerms;

/// Where a seat stands in its date, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledSeat {
    /// The seat.
    pub seat_id: SeatId,
    /// Its position in the layout.
    pub index: SeatIndex,
    /// Its price class.
    pub grade: Grade,
    /// Its price, in the currency's smallest unit.
    pub price: Amount,
}

/// Why seats cannot be put on sale. Positions count from 0 in the order the seats were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// None, or more than a hall may have.
    #[error("must be 1 to {} seats", ScheduleOpening::MAX_SEATS)]
    Count,
    /// A seat stands there twice.
    #[error("must be different from the others")]
    RepeatedSeat {
        /// The second one.
        position: usize,
    },
    /// An index stands there twice, or beyond the number of seats.
    #[error("must be a position of its own, from 0 without gaps")]
    Index {
        /// Whose index.
        position: usize,
    },
    /// Four such seats would cost more than an amount can say.
    #[error("must be at most {}", ScheduleOpening::MAX_PRICE)]
    Price {
        /// Whose price.
        position: usize,
    },
}

/// What a date is opened with.
#[derive(Debug, Clone)]
pub struct ScheduleOpening {
    schedule_id: ScheduleId,
    concert_id: ConcertId,
    currency: Currency,
    refund_terms: RefundTerms,
    // In the order of the index.
    seats: Vec<ScheduledSeat>,
}

impl ScheduleOpening {
    /// The most seats of a hall.
    pub const MAX_SEATS: usize = 100_000;
    /// The highest price: the total of the most seats one user may take is still an amount.
    pub const MAX_PRICE: i64 = Amount::MAX.get() / SEATS_PER_USER as i64;

    /// # Errors
    /// Too few or too many seats, a seat or an index twice, a gap, a price too high.
    pub fn new(
        schedule_id: ScheduleId,
        concert_id: ConcertId,
        currency: Currency,
        refund_terms: RefundTerms,
        mut seats: Vec<ScheduledSeat>,
    ) -> Result<Self, OpeningError> {
        if seats.is_empty() || seats.len() > Self::MAX_SEATS {
            return Err(OpeningError::Count);
        }
        let mut known = HashSet::with_capacity(seats.len());
        let mut indexes = vec![false; seats.len()];
        for (position, seat) in seats.iter().enumerate() {
            if !known.insert(seat.seat_id) {
                return Err(OpeningError::RepeatedSeat { position });
            }
            match indexes.get_mut(seat.index.0 as usize) {
                Some(taken) if !*taken => *taken = true,
                _ => return Err(OpeningError::Index { position }),
            }
            if seat.price.get() > Self::MAX_PRICE {
                return Err(OpeningError::Price { position });
            }
        }
        seats.sort_unstable_by_key(|seat| seat.index);
        Ok(Self {
            schedule_id,
            concert_id,
            currency,
            refund_terms,
            seats,
        })
    }

    /// The date.
    #[must_use]
    pub const fn schedule_id(&self) -> ScheduleId {
        self.schedule_id
    }

    /// Its concert.
    #[must_use]
    pub const fn concert_id(&self) -> ConcertId {
        self.concert_id
    }

    /// What prices are in.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// When it begins, and what goes back before that.
    #[must_use]
    pub const fn refund_terms(&self) -> &RefundTerms {
        &self.refund_terms
    }

    /// The seats, in the order of their index.
    #[must_use]
    pub fn seats(&self) -> &[ScheduledSeat] {
        &self.seats
    }
}

/// A date as it was opened, as every hold needs it.
#[derive(Debug)]
pub struct Schedule {
    schedule_id: ScheduleId,
    concert_id: ConcertId,
    currency: Currency,
    seats: HashMap<SeatId, ScheduledSeat>,
    grades: Vec<(Grade, Amount, u32)>,
}

impl Schedule {
    /// A date from what it was opened with.
    #[must_use]
    pub fn new(
        schedule_id: ScheduleId,
        concert_id: ConcertId,
        currency: Currency,
        seats: Vec<ScheduledSeat>,
    ) -> Self {
        let mut grades: HashMap<(Grade, Amount), u32> = HashMap::new();
        for seat in &seats {
            *grades.entry((seat.grade.clone(), seat.price)).or_default() += 1;
        }
        let mut grades: Vec<_> = grades
            .into_iter()
            .map(|((grade, price), total)| (grade, price, total))
            .collect();
        grades.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self {
            schedule_id,
            concert_id,
            currency,
            seats: seats.into_iter().map(|seat| (seat.seat_id, seat)).collect(),
            grades,
        }
    }

    /// The date.
    #[must_use]
    pub const fn schedule_id(&self) -> ScheduleId {
        self.schedule_id
    }

    /// Its concert.
    #[must_use]
    pub const fn concert_id(&self) -> ConcertId {
        self.concert_id
    }

    /// What prices are in.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// A seat of the date.
    #[must_use]
    pub fn seat(&self, seat_id: SeatId) -> Option<&ScheduledSeat> {
        self.seats.get(&seat_id)
    }

    /// How many seats there are.
    #[must_use]
    pub fn seat_count(&self) -> usize {
        self.seats.len()
    }

    /// Grades with price and number of seats, the dearest first.
    #[must_use]
    pub fn grades(&self) -> &[(Grade, Amount, u32)] {
        &self.grades
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::RefundPolicy;

    fn seat(index: u32, price: i64) -> ScheduledSeat {
        ScheduledSeat {
            seat_id: SeatId::new(),
            index: SeatIndex(index),
            grade: Grade::try_from("R".to_owned()).unwrap(),
            price: Amount::new(price).unwrap(),
        }
    }

    fn open(seats: Vec<ScheduledSeat>) -> Result<ScheduleOpening, OpeningError> {
        let terms = RefundTerms {
            starts_at: datetime!(2026-12-24 20:00 UTC),
            policy: RefundPolicy::new(&[]).unwrap(),
        };
        ScheduleOpening::new(ScheduleId::new(), ConcertId::new(), Currency::KRW, terms, seats)
    }

    #[test]
    fn seats_are_put_in_the_order_of_their_index() {
        let opening = open(vec![seat(1, 10), seat(0, 10)]).unwrap();
        let indexes: Vec<u32> = opening.seats().iter().map(|seat| seat.index.0).collect();
        assert_eq!(indexes, [0, 1]);
    }

    #[test]
    fn what_cannot_be_sold_is_refused_and_its_place_named() {
        assert_eq!(open(vec![]).unwrap_err(), OpeningError::Count);
        assert_eq!(
            open(vec![seat(0, 1), seat(0, 1)]).unwrap_err(),
            OpeningError::Index { position: 1 }
        );
        assert_eq!(
            open(vec![seat(0, 1), seat(2, 1)]).unwrap_err(),
            OpeningError::Index { position: 1 }
        );
        assert_eq!(
            open(vec![seat(0, ScheduleOpening::MAX_PRICE + 1)]).unwrap_err(),
            OpeningError::Price { position: 0 }
        );
        let (first, mut second) = (seat(0, 1), seat(1, 1));
        second.seat_id = first.seat_id;
        assert_eq!(
            open(vec![first, second]).unwrap_err(),
            OpeningError::RepeatedSeat { position: 1 }
        );
    }
}

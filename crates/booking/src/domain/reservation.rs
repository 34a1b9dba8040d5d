//! A reservation with its seats.

use time::OffsetDateTime;
use vocabulary::{
    Amount, ConcertId, Currency, Grade, QueueNumber, ReservationId, ReservationStatus, ScheduleId, SeatId,
    UserId, VisitId,
};

use super::lifecycle::{Cancellation, Lifecycle, State};
use super::order::OrderId;

/// A reservation with its seats.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is.
    pub user_id: UserId,
    /// The date.
    pub schedule_id: ScheduleId,
    /// The date's concert.
    pub concert_id: ConcertId,
    /// The visit that made the hold.
    pub visit_id: VisitId,
    /// The place in line that the visit was admitted from.
    pub queue_number: QueueNumber,
    /// One to four, in the order of the layout.
    pub seats: Vec<ReservedSeat>,
    /// The sum of the seats' prices.
    pub total: Amount,
    /// What the total is in.
    pub currency: Currency,
    /// When the hold was made.
    pub created_at: OffsetDateTime,
    /// How far it has come.
    pub lifecycle: Lifecycle,
}

/// A seat of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedSeat {
    /// The seat.
    pub seat_id: SeatId,
    /// Its price class.
    pub grade: Grade,
    /// Its price when it was held.
    pub price: Amount,
}

impl Reservation {
    /// The word for its state.
    #[must_use]
    pub const fn status(&self) -> ReservationStatus {
        self.lifecycle.state.status()
    }

    /// The order that the next card attempt is for.
    #[must_use]
    pub fn order_id(&self) -> OrderId {
        OrderId::of(self.id, self.lifecycle.attempt)
    }

    /// How it was canceled after it was paid; `None` when it was not.
    #[must_use]
    pub const fn cancellation(&self) -> Option<Cancellation> {
        match self.lifecycle.state {
            State::Canceled(cancellation) => cancellation,
            _ => None,
        }
    }

    /// Whether a payment could still succeed.
    #[must_use]
    pub const fn is_payable(&self) -> bool {
        matches!(
            self.status(),
            ReservationStatus::Pending | ReservationStatus::Paying
        )
    }
}

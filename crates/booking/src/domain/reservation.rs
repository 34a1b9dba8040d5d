//! The reservation machine:
//!
//! ```text
//! PENDING -> PAYING -> CONFIRMED -> CANCELED
//! PENDING -> EXPIRED | CANCELED
//! PAYING  -> PENDING (the payment ended without success, time is left) | EXPIRED (none is left, or the grace is over)
//! ```
//!
//! [`Lifecycle::apply`] is the rule. The store carries each step out as one guarded `UPDATE` that repeats it.

use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::{
    Amount, ConcertId, Currency, Grade, PaymentId, QueueNumber, ReservationId, ReservationStatus, ScheduleId,
    SeatId, UserId, VisitId,
};

use super::order::OrderId;
use super::seat::SeatEvent;

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

    /// Whether a payment could still succeed.
    #[must_use]
    pub const fn is_payable(&self) -> bool {
        matches!(
            self.status(),
            ReservationStatus::Pending | ReservationStatus::Paying
        )
    }
}

/// The part of a reservation that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// Where it stands.
    pub state: State,
    /// The fence: grows by 1 with every change of the state's word.
    pub version: u64,
    /// The number of the next card attempt, from 1.
    pub attempt: u32,
    /// When the unpaid hold ends.
    pub expires_at: OffsetDateTime,
    /// The last payment that ended without success.
    pub released_payment: Option<PaymentId>,
}

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Held, waiting for a payment.
    Pending,
    /// A payment runs.
    Paying {
        /// Which.
        payment: PaymentId,
        /// When the reservation lapses all the same; `None` while the payment's outcome is unknown.
        lapses_at: Option<OffsetDateTime>,
    },
    /// Paid.
    Confirmed {
        /// By this.
        payment: PaymentId,
    },
    /// Not paid in time.
    Expired,
    /// Given up, or canceled after it was paid.
    Canceled,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn status(&self) -> ReservationStatus {
        match self {
            Self::Pending => ReservationStatus::Pending,
            Self::Paying { .. } => ReservationStatus::Paying,
            Self::Confirmed { .. } => ReservationStatus::Confirmed,
            Self::Expired => ReservationStatus::Expired,
            Self::Canceled => ReservationStatus::Canceled,
        }
    }
}

/// What happens to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A payment begins.
    BeginPayment {
        /// Which.
        payment: PaymentId,
        /// How long it may run beyond the hold's end before the reservation lapses.
        grace: Duration,
    },
    /// A payment's outcome is not known.
    MarkPaymentUnknown {
        /// Which payment.
        payment: PaymentId,
        /// The fence that it was given.
        version: u64,
    },
    /// A payment succeeded.
    Confirm {
        /// Which.
        payment: PaymentId,
        /// The fence that it was given.
        version: u64,
    },
    /// A payment was declined or abandoned.
    ReleasePayment {
        /// Which.
        payment: PaymentId,
        /// The fence that it was given.
        version: u64,
    },
    /// The owner gives an unpaid hold up.
    Release,
    /// Time passed.
    Expire,
    /// A paid reservation is canceled.
    Cancel,
}

/// What an event comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It changes the reservation to this.
    Moved(Lifecycle),
    /// It has happened before; nothing changes.
    Unchanged,
}

/// Why an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another payment runs.
    #[error("another payment runs")]
    PaymentInProgress,
    /// A payment succeeded.
    #[error("a payment succeeded before")]
    AlreadyPaid,
    /// The reservation ended, or its time is over.
    #[error("the time to pay is over")]
    WindowClosed,
    /// This payment ended without success; a new one is needed.
    #[error("this payment has ended")]
    PaymentEnded,
    /// The payment shows a fence that is not the present one.
    #[error("the version is not the present one")]
    StaleVersion,
    /// A payment runs or succeeded, so the hold is not the owner's to give up.
    #[error("a payment runs or succeeded")]
    NotReleasable,
    /// Time is left, or the reservation does not lapse.
    #[error("the reservation is not due")]
    NotDue,
    /// Only a paid reservation can be canceled.
    #[error("the reservation is not paid")]
    NotPaid,
}

impl Lifecycle {
    /// A new hold that ends at `expires_at`.
    #[must_use]
    pub const fn held_until(expires_at: OffsetDateTime) -> Self {
        Self {
            state: State::Pending,
            version: 1,
            attempt: 1,
            expires_at,
            released_payment: None,
        }
    }

    /// When the reservation lapses by itself; `None` when it never does.
    #[must_use]
    pub const fn lapses_at(&self) -> Option<OffsetDateTime> {
        match self.state {
            State::Pending => Some(self.expires_at),
            State::Paying { lapses_at, .. } => lapses_at,
            State::Confirmed { .. } | State::Expired | State::Canceled => None,
        }
    }

    /// What `event` comes to at the time `now`.
    ///
    /// # Errors
    /// The event is refused in this state.
    pub fn apply(&self, event: Event, now: OffsetDateTime) -> Result<Step, Refused> {
        match event {
            Event::BeginPayment { payment, grace } => self.begin_payment(payment, grace, now),
            Event::MarkPaymentUnknown { payment, version } => self.mark_payment_unknown(payment, version),
            Event::Confirm { payment, version } => self.confirm(payment, version),
            Event::ReleasePayment { payment, version } => self.release_payment(payment, version, now),
            Event::Release => self.release(),
            Event::Expire => self.expire(now),
            Event::Cancel => self.cancel(),
        }
    }

    fn begin_payment(
        &self,
        payment: PaymentId,
        grace: Duration,
        now: OffsetDateTime,
    ) -> Result<Step, Refused> {
        match self.state {
            State::Pending if self.released_payment == Some(payment) => Err(Refused::PaymentEnded),
            State::Pending if self.expires_at <= now => Err(Refused::WindowClosed),
            State::Pending => Ok(self.moved(State::Paying {
                payment,
                lapses_at: Some(self.expires_at.max(now + grace)),
            })),
            State::Paying { payment: running, .. } if running == payment => Ok(Step::Unchanged),
            State::Paying { .. } => Err(Refused::PaymentInProgress),
            State::Confirmed { payment: paid } if paid == payment => Ok(Step::Unchanged),
            State::Confirmed { .. } => Err(Refused::AlreadyPaid),
            State::Expired | State::Canceled => Err(Refused::WindowClosed),
        }
    }

    fn mark_payment_unknown(&self, payment: PaymentId, version: u64) -> Result<Step, Refused> {
        match self.state {
            State::Paying {
                payment: running,
                lapses_at,
            } => {
                self.fence(running == payment, version)?;
                Ok(match lapses_at {
                    None => Step::Unchanged,
                    // The word stays, so the fence does: the payment goes on with the one it has.
                    Some(_) => Step::Moved(Self {
                        state: State::Paying {
                            payment,
                            lapses_at: None,
                        },
                        ..*self
                    }),
                })
            }
            State::Confirmed { payment: paid } if paid == payment => Ok(Step::Unchanged),
            State::Pending | State::Confirmed { .. } => Err(Refused::StaleVersion),
            State::Expired | State::Canceled => Err(Refused::WindowClosed),
        }
    }

    fn confirm(&self, payment: PaymentId, version: u64) -> Result<Step, Refused> {
        match self.state {
            State::Paying { payment: running, .. } => {
                self.fence(running == payment, version)?;
                Ok(self.moved(State::Confirmed { payment }))
            }
            State::Confirmed { payment: paid } if paid == payment => Ok(Step::Unchanged),
            State::Confirmed { .. } => Err(Refused::AlreadyPaid),
            State::Pending => Err(Refused::StaleVersion),
            State::Expired | State::Canceled => Err(Refused::WindowClosed),
        }
    }

    fn release_payment(
        &self,
        payment: PaymentId,
        version: u64,
        now: OffsetDateTime,
    ) -> Result<Step, Refused> {
        if self.released_payment == Some(payment) {
            return Ok(Step::Unchanged);
        }
        match self.state {
            State::Paying { payment: running, .. } => {
                self.fence(running == payment, version)?;
                let state = if self.expires_at > now {
                    State::Pending
                } else {
                    State::Expired
                };
                Ok(self.payment_ended(payment, state))
            }
            State::Confirmed { .. } => Err(Refused::AlreadyPaid),
            State::Pending => Err(Refused::StaleVersion),
            State::Expired | State::Canceled => Err(Refused::WindowClosed),
        }
    }

    fn release(&self) -> Result<Step, Refused> {
        match self.state {
            State::Pending => Ok(self.moved(State::Canceled)),
            // The seats are back on sale, which is all that was asked for.
            State::Canceled | State::Expired => Ok(Step::Unchanged),
            State::Paying { .. } | State::Confirmed { .. } => Err(Refused::NotReleasable),
        }
    }

    fn expire(&self, now: OffsetDateTime) -> Result<Step, Refused> {
        match self.state {
            State::Expired => Ok(Step::Unchanged),
            _ if self.lapses_at().is_none_or(|lapses_at| lapses_at > now) => Err(Refused::NotDue),
            State::Paying { payment, .. } => Ok(self.payment_ended(payment, State::Expired)),
            _ => Ok(self.moved(State::Expired)),
        }
    }

    fn cancel(&self) -> Result<Step, Refused> {
        match self.state {
            State::Confirmed { .. } => Ok(self.moved(State::Canceled)),
            State::Canceled => Ok(Step::Unchanged),
            State::Pending | State::Paying { .. } | State::Expired => Err(Refused::NotPaid),
        }
    }

    fn fence(&self, is_running: bool, version: u64) -> Result<(), Refused> {
        if is_running && version == self.version {
            Ok(())
        } else {
            Err(Refused::StaleVersion)
        }
    }

    fn moved(&self, state: State) -> Step {
        Step::Moved(Self {
            state,
            version: self.version + 1,
            ..*self
        })
    }

    fn payment_ended(&self, payment: PaymentId, state: State) -> Step {
        Step::Moved(Self {
            state,
            version: self.version + 1,
            attempt: self.attempt + 1,
            released_payment: Some(payment),
            ..*self
        })
    }

    /// What happens to the seats when the reservation changes from this to `after`.
    #[must_use]
    pub const fn seat_event(&self, after: &Self) -> Option<SeatEvent> {
        let (before, after) = (self.state.status(), after.state.status());
        match (before.is_live(), after) {
            (true, ReservationStatus::Confirmed) => Some(SeatEvent::Sell),
            (true, after) if !after.is_live() => Some(SeatEvent::Release),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;
    use uuid::Uuid;
    use vocabulary::SeatStatus;

    use super::*;
    use crate::domain::seat;

    const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);
    const END: OffsetDateTime = datetime!(2026-11-20 12:05 UTC);
    const AFTER: OffsetDateTime = datetime!(2026-11-20 12:30 UTC);
    const GRACE: Duration = Duration::from_secs(60);
    const FENCE: u64 = 7;
    const MINE: PaymentId = PaymentId::from_uuid(Uuid::from_u128(1));
    const OTHER: PaymentId = PaymentId::from_uuid(Uuid::from_u128(2));
    const GONE: PaymentId = PaymentId::from_uuid(Uuid::from_u128(3));

    const PENDING: State = State::Pending;
    const PAYING: State = State::Paying {
        payment: MINE,
        lapses_at: Some(END),
    };
    const UNKNOWN: State = State::Paying {
        payment: MINE,
        lapses_at: None,
    };
    const CONFIRMED: State = State::Confirmed { payment: MINE };
    const EXPIRED: State = State::Expired;
    const CANCELED: State = State::Canceled;
    const STATES: [State; 6] = [PENDING, PAYING, UNKNOWN, CONFIRMED, EXPIRED, CANCELED];

    fn begin(payment: PaymentId) -> Event {
        Event::BeginPayment {
            payment,
            grace: GRACE,
        }
    }
    fn mark(payment: PaymentId, version: u64) -> Event {
        Event::MarkPaymentUnknown { payment, version }
    }
    fn confirm(payment: PaymentId, version: u64) -> Event {
        Event::Confirm { payment, version }
    }
    fn release(payment: PaymentId, version: u64) -> Event {
        Event::ReleasePayment { payment, version }
    }

    fn reservation(state: State) -> Lifecycle {
        Lifecycle {
            state,
            version: FENCE,
            attempt: 2,
            expires_at: END,
            released_payment: Some(GONE),
        }
    }

    /// What becomes of each of [`STATES`]: the word after, `same`, or the refusal.
    fn row(event: Event, now: OffsetDateTime) -> [String; 6] {
        STATES.map(|state| match reservation(state).apply(event, now) {
            Ok(Step::Moved(after)) => match after.state {
                State::Paying { lapses_at: None, .. } => "UNKNOWN".to_owned(),
                after => after.status().to_string(),
            },
            Ok(Step::Unchanged) => "same".to_owned(),
            Err(refused) => format!("{refused:?}"),
        })
    }

    #[test]
    #[rustfmt::skip]
    fn every_state_and_event() {
        let table: [(&str, Event, OffsetDateTime, [&str; 6]); 20] = [
        //                                                       PENDING         PAYING               UNKNOWN              CONFIRMED       EXPIRED         CANCELED
        ("begin in time",         begin(MINE),          NOW,   ["PAYING",       "same",              "same",              "same",         "WindowClosed", "WindowClosed"]),
        ("begin by another",      begin(OTHER),         NOW,   ["PAYING",       "PaymentInProgress", "PaymentInProgress", "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("begin once released",   begin(GONE),          NOW,   ["PaymentEnded", "PaymentInProgress", "PaymentInProgress", "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("begin too late",        begin(MINE),          AFTER, ["WindowClosed", "same",              "same",              "same",         "WindowClosed", "WindowClosed"]),
        ("unknown",               mark(MINE, FENCE),    NOW,   ["StaleVersion", "UNKNOWN",           "same",              "same",         "WindowClosed", "WindowClosed"]),
        ("unknown, stale",        mark(MINE, 6),        NOW,   ["StaleVersion", "StaleVersion",      "StaleVersion",      "same",         "WindowClosed", "WindowClosed"]),
        ("unknown, another's",    mark(OTHER, FENCE),   NOW,   ["StaleVersion", "StaleVersion",      "StaleVersion",      "StaleVersion", "WindowClosed", "WindowClosed"]),
        ("confirm",               confirm(MINE, FENCE), NOW,   ["StaleVersion", "CONFIRMED",         "CONFIRMED",         "same",         "WindowClosed", "WindowClosed"]),
        ("confirm when due",      confirm(MINE, FENCE), AFTER, ["StaleVersion", "CONFIRMED",         "CONFIRMED",         "same",         "WindowClosed", "WindowClosed"]),
        ("confirm, stale",        confirm(MINE, 6),     NOW,   ["StaleVersion", "StaleVersion",      "StaleVersion",      "same",         "WindowClosed", "WindowClosed"]),
        ("confirm, another's",    confirm(OTHER, FENCE),NOW,   ["StaleVersion", "StaleVersion",      "StaleVersion",      "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("pay back in time",      release(MINE, FENCE), NOW,   ["StaleVersion", "PENDING",           "PENDING",           "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("pay back too late",     release(MINE, FENCE), AFTER, ["StaleVersion", "EXPIRED",           "EXPIRED",           "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("pay back, stale",       release(MINE, 6),     NOW,   ["StaleVersion", "StaleVersion",      "StaleVersion",      "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("pay back, another's",   release(OTHER, FENCE),NOW,   ["StaleVersion", "StaleVersion",      "StaleVersion",      "AlreadyPaid",  "WindowClosed", "WindowClosed"]),
        ("pay back once more",    release(GONE, 5),     NOW,   ["same",         "same",              "same",              "same",         "same",         "same"]),
        ("release",               Event::Release,       NOW,   ["CANCELED",     "NotReleasable",     "NotReleasable",     "NotReleasable","same",         "same"]),
        ("expire in time",        Event::Expire,        NOW,   ["NotDue",       "NotDue",            "NotDue",            "NotDue",       "same",         "NotDue"]),
        ("expire when due",       Event::Expire,        AFTER, ["EXPIRED",      "EXPIRED",           "NotDue",            "NotDue",       "same",         "NotDue"]),
        ("cancel",                Event::Cancel,        NOW,   ["NotPaid",      "NotPaid",           "NotPaid",           "CANCELED",     "NotPaid",      "same"]),
        ];
        for (name, event, now, expected) in table {
            assert_eq!(row(event, now), expected, "{name}");
        }
    }

    #[test]
    fn a_hold_can_be_paid_until_its_end_and_lapses_from_then_on() {
        let hold = reservation(PENDING);
        let just_before = END - Duration::from_nanos(1);
        assert!(matches!(hold.apply(begin(MINE), just_before), Ok(Step::Moved(_))));
        assert_eq!(hold.apply(Event::Expire, just_before), Err(Refused::NotDue));
        assert_eq!(hold.apply(begin(MINE), END), Err(Refused::WindowClosed));
        assert!(matches!(hold.apply(Event::Expire, END), Ok(Step::Moved(_))));
    }

    #[test]
    fn a_payment_that_begins_late_has_its_grace() {
        let begun_at = END - Duration::from_secs(1);
        let Ok(Step::Moved(paying)) = reservation(PENDING).apply(begin(MINE), begun_at) else {
            panic!("a payment begins until the end of the hold");
        };
        assert_eq!(paying.lapses_at(), Some(begun_at + GRACE));
        assert_eq!(
            paying.apply(Event::Expire, END + Duration::from_secs(1)),
            Err(Refused::NotDue)
        );
    }

    #[test]
    fn a_payment_that_ends_without_success_makes_the_next_order_another() {
        let Ok(Step::Moved(after)) = reservation(PAYING).apply(release(MINE, FENCE), NOW) else {
            panic!("a payment that runs can end");
        };
        assert_eq!((after.attempt, after.released_payment), (3, Some(MINE)));
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let payment = prop_oneof![Just(MINE), Just(OTHER), Just(GONE)];
        let version = 1..8_u64;
        prop_oneof![
            payment.clone().prop_map(begin),
            (payment.clone(), version.clone()).prop_map(|(payment, version)| mark(payment, version)),
            (payment.clone(), version.clone()).prop_map(|(payment, version)| confirm(payment, version)),
            (payment, version).prop_map(|(payment, version)| release(payment, version)),
            Just(Event::Release),
            Just(Event::Expire),
            Just(Event::Cancel),
        ]
    }

    proptest! {
        #[test]
        fn in_every_history_the_fence_grows_and_the_seats_follow(
            events in prop::collection::vec((any_event(), 0..600_i64), 0..40),
        ) {
            let mut now = NOW;
            let mut reservation = Lifecycle::held_until(END);
            let mut seat = SeatStatus::Pending;
            for (event, seconds) in events {
                now += time::Duration::seconds(seconds);
                let Ok(Step::Moved(after)) = reservation.apply(event, now) else { continue };
                let same_word = after.state.status() == reservation.state.status();
                prop_assert_eq!(after.version, reservation.version + u64::from(!same_word));
                prop_assert!(reservation.state.status().is_live(), "an ended reservation stays ended");
                if let Some(event) = reservation.seat_event(&after) {
                    seat = seat::apply(seat, event).expect("a seat's machine allows what its reservation's does");
                }
                prop_assert_eq!(after.state.status().is_live(), seat != SeatStatus::Available);
                prop_assert_eq!(after.state.status() == ReservationStatus::Confirmed, seat == SeatStatus::Occupied);
                reservation = after;
            }
        }

        #[test]
        fn what_happened_changes_nothing_when_it_happens_again(event in any_event()) {
            for state in STATES {
                let Ok(Step::Moved(after)) = reservation(state).apply(event, NOW) else { continue };
                let again = after.apply(event, NOW);
                prop_assert!(matches!(again, Ok(Step::Unchanged)), "{:?} after {:?}: {:?}", event, state, again);
            }
        }
    }
}

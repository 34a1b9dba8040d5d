//! The undoing of one paid reservation, and the machine that says how far it is.

use time::OffsetDateTime;
use vocabulary::{Amount, Currency, PaymentId, ProblemCode, RefundId, ReservationId, UserId};

use super::machine::{Refused, states};
use super::{Movement, PaidBy, Share, TransferKind};

states! {
    /// Where a refund stands.
    RefundState of "refund", ended when Completed | Refused {
        /// Recorded; the seats are still the buyer's.
        Created => "CREATED",
        /// The seats are on sale again, and what goes back is known.
        SeatsReturned => "SEATS_RETURNED",
        /// The points are back; the provider is asked to give the card's share back.
        Refunding => "REFUNDING",
        /// All of it is back; booking has to be told.
        MoneyReturned => "MONEY_RETURNED",
        /// Nothing is left to do.
        Completed => "COMPLETED",
        /// Booking did not cancel the reservation; nothing moved.
        Refused => "REFUSED",
    }
}

/// Why a paid reservation is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundReason {
    /// Its owner asked.
    Buyer,
    /// The organiser canceled the date.
    ScheduleCanceled,
}

impl RefundReason {
    /// The word as it stands in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buyer => "BUYER",
            Self::ScheduleCanceled => "SCHEDULE_CANCELED",
        }
    }

    /// The reason of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Buyer, Self::ScheduleCanceled]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

/// What happened to a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundEvent {
    /// Booking canceled the reservation.
    SeatsReturned {
        /// What goes back.
        share: Share,
        /// Whether the whole date was canceled.
        schedule_canceled: bool,
    },
    /// Booking won't cancel the reservation.
    Refused {
        /// Why.
        reason: ProblemCode,
    },
    /// The points are given back, and the provider is about to be asked for the card's share.
    ProviderAsked,
    /// All of it is back where it came from.
    MoneyReturned,
    /// Booking knows that all of it is back.
    BookingTold,
    /// The owner asks once more for what was refused.
    AskedAgain,
}

/// What a refund begins with.
#[derive(Debug, Clone)]
pub struct NewRefund {
    /// Its id.
    pub refund_id: RefundId,
    /// The payment that is undone.
    pub payment_id: PaymentId,
    /// What that had paid.
    pub reservation_id: ReservationId,
    /// Whose money it was.
    pub user_id: UserId,
    /// Why.
    pub reason: RefundReason,
}

/// A refund as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub refund_id: RefundId,
    /// The payment that is undone.
    pub payment_id: PaymentId,
    /// What that had paid.
    pub reservation_id: ReservationId,
    /// Whose money it was.
    pub user_id: UserId,
    /// Why it is undone.
    pub reason: RefundReason,
    /// Where it stands.
    pub state: RefundState,
    /// Every change demands it and lets it grow.
    pub version: i64,
    /// What the payment took.
    pub paid: PaidBy,
    /// What goes back; known once the seats are back on sale.
    pub share: Option<Share>,
    /// The price's currency.
    pub currency: Currency,
    /// Which answered try the provider is asked for, from 1.
    pub attempt: i32,
    /// Waits since the last transition.
    pub tries: i32,
    /// Why it was refused.
    pub failure: Option<ProblemCode>,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
}

impl Refund {
    /// What the card gets back, above zero.
    #[must_use]
    pub fn card_share(&self) -> Option<Amount> {
        self.share.map(|share| share.card).filter(|card| !card.is_zero())
    }

    /// This refund after `event`.
    ///
    /// # Errors
    /// Its state does not know the event.
    pub fn after(&self, event: &RefundEvent) -> Result<Self, Refused> {
        let state = self.state_after(event)?;
        let mut next = Self {
            state,
            version: self.version + 1,
            tries: 0,
            ..self.clone()
        };
        match event {
            RefundEvent::SeatsReturned {
                share,
                schedule_canceled,
            } => {
                next.share = Some(*share);
                if *schedule_canceled {
                    next.reason = RefundReason::ScheduleCanceled;
                }
            }
            RefundEvent::Refused { reason } => next.failure = Some(*reason),
            RefundEvent::AskedAgain => (next.failure, next.ended_at) = (None, None),
            RefundEvent::ProviderAsked | RefundEvent::MoneyReturned | RefundEvent::BookingTold => {}
        }
        Ok(next)
    }

    /// The provider is asked exactly where the card gets something back: money is neither promised by silence nor asked for
    /// by mistake.
    fn state_after(&self, event: &RefundEvent) -> Result<RefundState, Refused> {
        use RefundState::{Completed, Created, MoneyReturned, Refunding, SeatsReturned};
        let card_waits = self.card_share().is_some();
        match (self.state, event) {
            (Created, RefundEvent::SeatsReturned { .. }) => Ok(SeatsReturned),
            (Created, RefundEvent::Refused { .. }) => Ok(RefundState::Refused),
            (SeatsReturned, RefundEvent::ProviderAsked) if card_waits => Ok(Refunding),
            (SeatsReturned, RefundEvent::MoneyReturned) if !card_waits => Ok(MoneyReturned),
            (Refunding, RefundEvent::MoneyReturned) => Ok(MoneyReturned),
            (MoneyReturned, RefundEvent::BookingTold) => Ok(Completed),
            (RefundState::Refused, RefundEvent::AskedAgain) => Ok(Created),
            (Created | SeatsReturned | Refunding | MoneyReturned | Completed | RefundState::Refused, _) => {
                Err(self.state.refuses())
            }
        }
    }

    /// What moves when this refund, coming from `from`, has become what it is. Points go back before the provider is asked,
    /// the card's share when the provider has given it.
    #[must_use]
    pub fn movement(&self, from: RefundState) -> Option<Movement> {
        use RefundState::{MoneyReturned, Refunding, SeatsReturned};
        let share = self.share?;
        let (kind, amount) = match (from, self.state) {
            (SeatsReturned, Refunding | MoneyReturned) => (TransferKind::RefundPoints, share.points),
            (Refunding, MoneyReturned) => (TransferKind::Refund, share.card),
            _ => return None,
        };
        (!amount.is_zero()).then_some(Movement { kind, amount })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::OrderId;

    fn won(units: i64) -> Amount {
        Amount::new(units).unwrap()
    }

    fn paid(points: i64, card: i64) -> PaidBy {
        PaidBy {
            points: won(points),
            card: (card > 0).then(|| (won(card), OrderId::new("order-1").unwrap())),
        }
    }

    fn refund(paid: PaidBy, state: RefundState, share: Option<Share>) -> Refund {
        Refund {
            refund_id: RefundId::new(),
            payment_id: PaymentId::new(),
            reservation_id: ReservationId::new(),
            user_id: UserId::new(),
            reason: RefundReason::Buyer,
            state,
            version: 1,
            paid,
            share,
            currency: Currency::KRW,
            attempt: 1,
            tries: 0,
            failure: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            ended_at: None,
        }
    }

    fn whole(paid: &PaidBy) -> Share {
        let total = paid.points.checked_add(paid.card_amount()).unwrap();
        Share::split(paid, 100, total).unwrap()
    }

    #[test]
    fn every_state_answers_every_event() {
        use RefundState::{Completed, MoneyReturned, Refunding, SeatsReturned};
        const NO: Option<RefundState> = None;
        for paid in [paid(10, 0), paid(4, 6), paid(0, 10), paid(0, 0)] {
            let share = whole(&paid);
            let seats_returned = RefundEvent::SeatsReturned {
                share,
                schedule_canceled: false,
            };
            let reason = ProblemCode::CancellationWindowClosed;
            // The provider is asked for a card's share, and only for that.
            let (asked, unasked) = if paid.card.is_some() {
                (Some(Refunding), NO)
            } else {
                (NO, Some(MoneyReturned))
            };
            // Columns in the order of RefundState::ALL: CREATED, SEATS_RETURNED, REFUNDING, MONEY_RETURNED, COMPLETED,
            // REFUSED.
            #[rustfmt::skip]
            let table: [(RefundEvent, [Option<RefundState>; 6]); 6] = [
                (seats_returned,
                    [Some(SeatsReturned), NO, NO, NO, NO, NO]),
                (RefundEvent::Refused { reason },
                    [Some(RefundState::Refused), NO, NO, NO, NO, NO]),
                (RefundEvent::ProviderAsked,
                    [NO, asked, NO, NO, NO, NO]),
                (RefundEvent::MoneyReturned,
                    [NO, unasked, Some(MoneyReturned), NO, NO, NO]),
                (RefundEvent::BookingTold,
                    [NO, NO, NO, Some(Completed), NO, NO]),
                (RefundEvent::AskedAgain,
                    [NO, NO, NO, NO, NO, Some(RefundState::Created)]),
            ];
            for (event, row) in table {
                for (state, expected) in RefundState::ALL.iter().zip(row) {
                    let share =
                        (*state != RefundState::Created && *state != RefundState::Refused).then_some(share);
                    let refund = refund(paid.clone(), *state, share);
                    let after = refund.after(&event).map(|next| next.state);
                    assert_eq!(
                        after,
                        expected.ok_or(state.refuses()),
                        "{state} x {event:?}, {paid:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_word_survives_text() {
        for state in RefundState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for reason in [RefundReason::Buyer, RefundReason::ScheduleCanceled] {
            assert_eq!(RefundReason::of(reason.as_str()), Some(reason));
        }
    }

    #[test]
    fn a_date_that_was_canceled_is_the_reason_whoever_asked_first() {
        let paid = paid(10, 0);
        let share = whole(&paid);
        let begun = refund(paid, RefundState::Created, None);
        for (schedule_canceled, reason) in [
            (false, RefundReason::Buyer),
            (true, RefundReason::ScheduleCanceled),
        ] {
            let event = RefundEvent::SeatsReturned {
                share,
                schedule_canceled,
            };
            assert_eq!(begun.after(&event).unwrap().reason, reason);
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_a_refund_that_has_ended_moved_its_share_once(
            points in 0_i64..1_000,
            card in 0_i64..1_000,
            percent in 0_u32..=100,
            picks in prop::collection::vec(0_usize..6, 0..40),
        ) {
            let paid = paid(points, card);
            let total = (points + card) * i64::from(percent) / 100;
            let share = Share::split(&paid, percent, won(total)).unwrap();
            let events = [
                RefundEvent::SeatsReturned { share, schedule_canceled: false },
                RefundEvent::ProviderAsked,
                RefundEvent::MoneyReturned,
                RefundEvent::BookingTold,
                RefundEvent::Refused { reason: ProblemCode::ReservationNotCancelable },
                RefundEvent::AskedAgain,
            ];
            let mut refund = refund(paid, RefundState::Created, None);
            let mut balances: BTreeMap<&str, i64> = BTreeMap::new();
            for pick in picks {
                let Ok(next) = refund.after(&events[pick]) else { continue };
                if let Some(movement) = next.movement(refund.state) {
                    *balances.entry(movement.kind.debit()).or_default() -= movement.amount.get();
                    *balances.entry(movement.kind.credit()).or_default() += movement.amount.get();
                }
                refund = next;
            }
            let of = |account: &str| balances.get(account).copied().unwrap_or(0);
            let moved = (of("WALLET"), of("PROVIDER"), of("HOUSE"));
            match refund.state {
                RefundState::Completed | RefundState::MoneyReturned => {
                    prop_assert_eq!(moved, (share.points.get(), share.card.get(), -total));
                }
                RefundState::Refunding => prop_assert_eq!(moved, (share.points.get(), 0, -share.points.get())),
                _ => prop_assert_eq!(moved, (0, 0, 0)),
            }
        }
    }
}

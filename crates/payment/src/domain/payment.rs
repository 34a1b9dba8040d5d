//! One try to pay one reservation.

use time::OffsetDateTime;
use vocabulary::{Amount, Currency, PaymentId, ProblemCode, ReservationId, UserId};

use super::state::{self, Event, State};
use super::{CardCharge, OrderId, Refused, Terms};

/// What a payment begins with.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// Its id.
    pub payment_id: PaymentId,
    /// What it pays.
    pub reservation_id: ReservationId,
    /// Whose wallet it takes points from.
    pub user_id: UserId,
    /// The price's currency.
    pub currency: Currency,
    /// What it takes.
    pub terms: Terms,
}

/// A payment as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub payment_id: PaymentId,
    /// What it pays.
    pub reservation_id: ReservationId,
    /// Whose wallet it takes points from.
    pub user_id: UserId,
    /// Where it stands.
    pub state: State,
    /// Every change demands it and lets it grow.
    pub version: i64,
    /// From the wallet.
    pub points: Amount,
    /// From the card; `None` for a payment by points alone.
    pub card: Option<CardCharge>,
    /// The price's currency.
    pub currency: Currency,
    /// The reservation's version that booking demands; set once booking is PAYING for this payment.
    pub fence: Option<u64>,
    /// Which answered try the provider is asked for, from 1.
    pub attempt: i32,
    /// Waits since the last transition.
    pub tries: i32,
    /// Why it failed, or will have failed.
    pub failure: Option<ProblemCode>,
    /// The order that the next card attempt is for, after a failure that leaves one.
    pub next_order_id: Option<OrderId>,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// Whether another driver left it in this state: what it was about to do may have been done, and time has passed.
    pub resumed: bool,
}

impl Payment {
    /// A payment as it was recorded.
    #[must_use]
    pub fn begun(new: NewPayment, created_at: OffsetDateTime) -> Self {
        Self {
            payment_id: new.payment_id,
            reservation_id: new.reservation_id,
            user_id: new.user_id,
            state: State::Created,
            version: 1,
            points: new.terms.points,
            card: new.terms.card,
            currency: new.currency,
            fence: None,
            attempt: 1,
            tries: 0,
            failure: None,
            next_order_id: None,
            created_at,
            resumed: false,
        }
    }

    /// What the card pays.
    #[must_use]
    pub fn card_amount(&self) -> Amount {
        self.card.as_ref().map_or(Amount::ZERO, |card| card.amount)
    }

    /// This payment after `event`.
    ///
    /// # Errors
    /// Its state does not know the event.
    pub fn after(&self, event: &Event) -> Result<Self, Refused> {
        let state = state::apply(self.state, event)?;
        let mut next = Self {
            state,
            version: self.version + 1,
            tries: 0,
            resumed: false,
            ..self.clone()
        };
        match event {
            Event::PointsTaken { fence } => next.fence = Some(*fence),
            Event::Abandoned { fence, reason } => {
                next.fence = Some(*fence);
                next.failure = Some(*reason);
            }
            Event::OutcomeUnknown { answered: true } => next.attempt += 1,
            Event::NotCaptured { reason } | Event::SeatsGone { reason } => next.failure = Some(*reason),
            Event::HoldReleased { next_order_id } => next.next_order_id.clone_from(next_order_id),
            Event::ProviderAsked
            | Event::OutcomeUnknown { answered: false }
            | Event::Captured
            | Event::SeatsConfirmed
            | Event::CardRefunded => {}
        }
        if let Some(card) = next.card.as_mut().filter(|_| state.has_ended()) {
            card.payment_key = None;
        }
        Ok(next)
    }
}

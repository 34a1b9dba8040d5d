//! Points bought by card: what a charge is, and which event leads from which state to which.

use time::OffsetDateTime;
use vocabulary::{Amount, ChargeId, ProblemCode, UserId};

use super::card::CARD_MIN_WON;
use super::machine::{Refused, states};
use super::{InvalidCard, Movement, OrderId, PaymentKey, TransferKind};

/// No fortune, in won.
const MAX_WON: i64 = 10_000_000;

/// Why a charge cannot be asked for like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCharge {
    /// Too little or too much.
    #[error("must be {CARD_MIN_WON} to {MAX_WON}")]
    Amount,
    /// Not a name that the provider takes.
    #[error(transparent)]
    Order(#[from] InvalidCard),
    /// Whoever looks an order up must find one thing.
    #[error("must not be of the form of a reservation's order")]
    OrderOfAReservation,
}

/// The points that one charge may buy; 1 point = 1 won.
///
/// # Errors
/// Not 100 to 10,000,000.
pub fn charge_amount(points: i64) -> Result<Amount, InvalidCharge> {
    match points {
        CARD_MIN_WON..=MAX_WON => Amount::new(points).map_err(|_| InvalidCharge::Amount),
        _ => Err(InvalidCharge::Amount),
    }
}

/// The order that a site named for a charge in the provider's window.
///
/// # Errors
/// The provider would not take it, or it may be a reservation's: `fr-<32 hex digits>-<number>`.
pub fn charge_order(text: &str) -> Result<OrderId, InvalidCharge> {
    let order_id = OrderId::new(text)?;
    let of_a_reservation = text
        .strip_prefix("fr-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(reservation, attempt)| {
            reservation.len() == 32
                && reservation.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !attempt.is_empty()
                && attempt.bytes().all(|byte| byte.is_ascii_digit())
        });
    if of_a_reservation {
        Err(InvalidCharge::OrderOfAReservation)
    } else {
        Ok(order_id)
    }
}

/// The order of a charge for which the site named none.
///
/// # Errors
/// Never; the provider takes such names.
pub fn own_charge_order(charge_id: ChargeId) -> Result<OrderId, InvalidCard> {
    OrderId::new(&format!("charge-{}", charge_id.as_uuid().simple()))
}

states! {
    /// Where a charge stands.
    ChargeState of "charge", ended when Succeeded | Failed {
        /// Recorded; the provider was not asked yet.
        Created => "CREATED",
        /// The provider was asked to capture.
        Confirming => "CONFIRMING",
        /// Whether the provider captured is not known.
        Unknown => "UNKNOWN",
        /// Captured, and the points are in the wallet.
        Succeeded => "SUCCEEDED",
        /// Nothing was captured.
        Failed => "FAILED",
    }
}

/// What happened to a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeEvent {
    /// The provider is about to be asked.
    ProviderAsked,
    /// No answer that says whether it captured.
    OutcomeUnknown {
        /// The provider did answer, only not usably: it would repeat that answer, so the next try needs its own key.
        answered: bool,
    },
    /// The provider captured.
    Captured,
    /// The provider captured nothing, and won't.
    NotCaptured {
        /// Why.
        reason: ProblemCode,
    },
}

/// What a charge begins with.
#[derive(Debug, Clone)]
pub struct NewCharge {
    /// Its id.
    pub charge_id: ChargeId,
    /// Whose wallet gets the points.
    pub user_id: UserId,
    /// Points, and won.
    pub amount: Amount,
    /// The order that the buyer authenticated the card for.
    pub order_id: OrderId,
    /// What the buyer authenticated.
    pub payment_key: PaymentKey,
}

/// A charge as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Its id.
    pub charge_id: ChargeId,
    /// Whose wallet gets the points.
    pub user_id: UserId,
    /// Where it stands.
    pub state: ChargeState,
    /// Every change demands it and lets it grow.
    pub version: i64,
    /// Points, and won.
    pub amount: Amount,
    /// The order that the buyer authenticated the card for.
    pub order_id: OrderId,
    /// Forgotten when the charge has ended.
    pub payment_key: Option<PaymentKey>,
    /// Which answered try the provider is asked for, from 1.
    pub attempt: i32,
    /// Waits since the last transition.
    pub tries: i32,
    /// Why it failed.
    pub failure: Option<ProblemCode>,
    /// When it was begun.
    pub created_at: OffsetDateTime,
}

impl Charge {
    /// A charge as it was recorded.
    #[must_use]
    pub fn begun(new: NewCharge, created_at: OffsetDateTime) -> Self {
        Self {
            charge_id: new.charge_id,
            user_id: new.user_id,
            state: ChargeState::Created,
            version: 1,
            amount: new.amount,
            order_id: new.order_id,
            payment_key: Some(new.payment_key),
            attempt: 1,
            tries: 0,
            failure: None,
            created_at,
        }
    }

    /// This charge after `event`.
    ///
    /// # Errors
    /// Its state does not know the event.
    pub fn after(&self, event: ChargeEvent) -> Result<Self, Refused> {
        let state = apply(self.state, event)?;
        let (attempt, failure) = match event {
            ChargeEvent::OutcomeUnknown { answered: true } => (self.attempt + 1, None),
            ChargeEvent::NotCaptured { reason } => (self.attempt, Some(reason)),
            ChargeEvent::ProviderAsked
            | ChargeEvent::OutcomeUnknown { answered: false }
            | ChargeEvent::Captured => (self.attempt, None),
        };
        Ok(Self {
            state,
            version: self.version + 1,
            attempt,
            tries: 0,
            failure,
            payment_key: self.payment_key.clone().filter(|_| !state.has_ended()),
            ..self.clone()
        })
    }

    /// What moves when a charge becomes this one: the capture and the points are one transfer.
    #[must_use]
    pub fn movement(&self) -> Option<Movement> {
        (self.state == ChargeState::Succeeded).then_some(Movement {
            kind: TransferKind::Charge,
            amount: self.amount,
        })
    }
}

/// Where `event` leads from `state`.
fn apply(state: ChargeState, event: ChargeEvent) -> Result<ChargeState, Refused> {
    use ChargeState::{Confirming, Created, Failed, Succeeded, Unknown};
    match (state, event) {
        (Created, ChargeEvent::ProviderAsked) => Ok(Confirming),
        (Confirming, ChargeEvent::OutcomeUnknown { .. }) => Ok(Unknown),
        (Confirming | Unknown, ChargeEvent::Captured) => Ok(Succeeded),
        (Confirming | Unknown, ChargeEvent::NotCaptured { .. }) => Ok(Failed),
        (Created | Confirming | Unknown | Succeeded | Failed, _) => Err(state.refuses()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_state_answers_every_event() {
        use ChargeState::{Confirming, Failed, Succeeded, Unknown};
        const NO: Option<ChargeState> = None;
        let reason = ProblemCode::PaymentFailed;
        // Columns in the order of ChargeState::ALL: CREATED, CONFIRMING, UNKNOWN, SUCCEEDED, FAILED.
        #[rustfmt::skip]
        let table: [(ChargeEvent, [Option<ChargeState>; 5]); 5] = [
            (ChargeEvent::ProviderAsked,                      [Some(Confirming), NO, NO, NO, NO]),
            (ChargeEvent::OutcomeUnknown { answered: false }, [NO, Some(Unknown), NO, NO, NO]),
            (ChargeEvent::OutcomeUnknown { answered: true },  [NO, Some(Unknown), NO, NO, NO]),
            (ChargeEvent::Captured,                           [NO, Some(Succeeded), Some(Succeeded), NO, NO]),
            (ChargeEvent::NotCaptured { reason },             [NO, Some(Failed), Some(Failed), NO, NO]),
        ];
        for (event, row) in table {
            for (state, expected) in ChargeState::ALL.iter().zip(row) {
                let expected = expected.ok_or(state.refuses());
                assert_eq!(apply(*state, event), expected, "{state} x {event:?}");
            }
        }
    }

    #[test]
    fn a_state_survives_text() {
        for state in ChargeState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn amounts_have_bounds() {
        for wrong in [i64::MIN, -100, 0, 99, 10_000_001, i64::MAX] {
            assert_eq!(charge_amount(wrong), Err(InvalidCharge::Amount), "{wrong}");
        }
        for right in [100, 10_000_000] {
            assert_eq!(charge_amount(right).map(Amount::get), Ok(right));
        }
    }

    #[test]
    fn an_order_of_a_charge_is_no_reservations_order() {
        let hex = "01932c07a5b17e0e8a3f0123456789ab";
        for taken in [format!("fr-{hex}-1"), format!("fr-{}-07", hex.to_uppercase())] {
            let refusal = charge_order(&taken);
            assert_eq!(refusal, Err(InvalidCharge::OrderOfAReservation), "{taken}");
        }
        for free in [
            format!("fr-{hex}"),
            format!("fr-{hex}-"),
            format!("fr-{hex}0-1"),
            format!("fr-{hex}-x"),
            format!("charge-{hex}"),
            "site-order-1".to_owned(),
        ] {
            assert!(charge_order(&free).is_ok(), "{free}");
        }
        assert!(matches!(charge_order("five5"), Err(InvalidCharge::Order(_))));
        let own = own_charge_order(ChargeId::new()).unwrap();
        assert!(charge_order(own.as_str()).is_ok());
    }

    fn event() -> impl Strategy<Value = ChargeEvent> {
        prop_oneof![
            Just(ChargeEvent::ProviderAsked),
            any::<bool>().prop_map(|answered| ChargeEvent::OutcomeUnknown { answered }),
            Just(ChargeEvent::Captured),
            Just(ChargeEvent::NotCaptured {
                reason: ProblemCode::PaymentFailed
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_points_come_exactly_with_the_success_and_the_key_goes_with_the_end(
            events in prop::collection::vec(event(), 0..30),
        ) {
            let mut charge = Charge::begun(
                NewCharge {
                    charge_id: ChargeId::new(),
                    user_id: UserId::new(),
                    amount: charge_amount(5_000).unwrap(),
                    order_id: OrderId::new("order-1").unwrap(),
                    payment_key: PaymentKey::new("test_ok_1").unwrap(),
                },
                OffsetDateTime::UNIX_EPOCH,
            );
            let mut moved = 0;
            for event in events {
                let Ok(next) = charge.after(event) else { continue };
                moved += next.movement().map_or(0, |movement| movement.amount.get());
                prop_assert_eq!(next.version, charge.version + 1);
                charge = next;
                prop_assert_eq!(charge.payment_key.is_none(), charge.state.has_ended());
                prop_assert_eq!(charge.failure.is_some(), charge.state == ChargeState::Failed);
            }
            prop_assert_eq!(moved, if charge.state == ChargeState::Succeeded { 5_000 } else { 0 });
        }
    }
}

//! Which money a transition moves. The store moves it in the statement that makes the transition.

use std::fmt::Display;

use vocabulary::Amount;

use super::{Payment, State};

macro_rules! transfers {
    ($($(#[$meta:meta])* $variant:ident => $word:literal, $debit:literal -> $credit:literal;)+) => {
        /// A kind of transfer; each has its two accounts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum TransferKind {
            $($(#[$meta])* $variant,)+
        }

        impl TransferKind {
            /// The word as it stands in the ledger.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The account that it comes from.
            #[must_use]
            pub const fn debit(self) -> &'static str {
                match self { $(Self::$variant => $debit),+ }
            }

            /// The account that it goes to.
            #[must_use]
            pub const fn credit(self) -> &'static str {
                match self { $(Self::$variant => $credit),+ }
            }
        }
    };
}

transfers! {
    /// Points given to a user of a demonstration or test system.
    Grant => "GRANT", "GRANTS" -> "WALLET";
    /// Points set aside for a payment.
    Purchase => "PURCHASE", "WALLET" -> "HELD";
    /// Points given back.
    Return => "RETURN", "HELD" -> "WALLET";
    /// Points spent for good.
    Post => "POST", "HELD" -> "HOUSE";
    /// Card money that the provider captured.
    Capture => "CAPTURE", "PROVIDER" -> "HOUSE";
    /// Card money that the provider gave back.
    Refund => "REFUND", "HOUSE" -> "PROVIDER";
    /// Points bought by card: the capture and the points in one.
    Charge => "CHARGE", "PROVIDER" -> "WALLET";
    /// Points of a paid reservation that was canceled.
    RefundPoints => "REFUND_POINTS", "HOUSE" -> "WALLET";
}

/// One amount on its way between two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// From where to where.
    pub kind: TransferKind,
    /// How much; above zero.
    pub amount: Amount,
}

impl Movement {
    /// The name under which one saga (a payment, a charge, a refund) does this once.
    #[must_use]
    pub fn operation(&self, saga: &str, id: impl Display) -> String {
        format!("{saga}:{id}:{}", self.kind.as_str().to_lowercase())
    }
}

/// What moves when a payment becomes `next`. Card money enters the ledger with the capture, not with the success, so that
/// the provider's captures and refunds equal the ledger at every moment in between.
#[must_use]
pub fn movements(from: State, next: &Payment) -> Vec<Movement> {
    use State::{Captured, Created, Failed, PointsTaken, Refunded, Refunding, Releasing, Succeeded};
    let (points, card) = (next.points, next.card_amount());
    let moved = match (from, next.state) {
        (_, PointsTaken) => vec![(TransferKind::Purchase, points)],
        (_, Captured) => vec![(TransferKind::Capture, card)],
        (_, Succeeded) => vec![(TransferKind::Post, points)],
        (Refunding, Refunded) => vec![(TransferKind::Refund, card), (TransferKind::Return, points)],
        // From CREATED nothing was taken; from RELEASING it went back before.
        (Created, Releasing | Failed) | (Releasing, Failed) => Vec::new(),
        (_, Releasing | Failed) => vec![(TransferKind::Return, points)],
        _ => Vec::new(),
    };
    moved
        .into_iter()
        .filter(|(_, amount)| !amount.is_zero())
        .map(|(kind, amount)| Movement { kind, amount })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use time::OffsetDateTime;
    use vocabulary::{Currency, PaymentId, ProblemCode, ReservationId, UserId};

    use super::*;
    use crate::domain::{CardCharge, Event, OrderId, PaymentKey};

    fn payment(points: i64, card: i64) -> Payment {
        Payment {
            payment_id: PaymentId::new(),
            reservation_id: ReservationId::new(),
            user_id: UserId::new(),
            state: State::Created,
            version: 1,
            points: Amount::new(points).unwrap(),
            card: (card > 0).then(|| CardCharge {
                amount: Amount::new(card).unwrap(),
                order_id: OrderId::new("order-1").unwrap(),
                payment_key: Some(PaymentKey::new("test_ok_1").unwrap()),
            }),
            currency: Currency::KRW,
            fence: None,
            attempt: 1,
            tries: 0,
            failure: None,
            next_order_id: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            resumed: false,
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        let reason = ProblemCode::PaymentFailed;
        prop_oneof![
            Just(Event::PointsTaken { fence: 2 }),
            Just(Event::Abandoned { fence: 2, reason }),
            Just(Event::ProviderAsked),
            Just(Event::OutcomeUnknown { answered: true }),
            Just(Event::Captured),
            Just(Event::NotCaptured { reason }),
            Just(Event::SeatsConfirmed),
            Just(Event::SeatsGone { reason }),
            Just(Event::HoldReleased { next_order_id: None }),
            Just(Event::CardRefunded),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_a_payment_that_has_ended_left_no_money_between(
            points in 0_i64..1_000,
            card in 1_i64..1_000,
            events in prop::collection::vec(event(), 0..60),
        ) {
            let mut payment = payment(points, card);
            let mut balances: BTreeMap<&str, i64> = BTreeMap::new();
            for event in events {
                // A card payment does not skip the provider; the saga sees to it and the table refuses it.
                if payment.state == State::PointsTaken && event == Event::SeatsConfirmed {
                    continue;
                }
                let Ok(next) = payment.after(&event) else { continue };
                for movement in movements(payment.state, &next) {
                    *balances.entry(movement.kind.debit()).or_default() -= movement.amount.get();
                    *balances.entry(movement.kind.credit()).or_default() += movement.amount.get();
                }
                payment = next;
                prop_assert_eq!(balances.values().sum::<i64>(), 0);
                prop_assert!(balances.get("HELD").copied().unwrap_or(0) >= 0);
            }
            if payment.state.has_ended() {
                let of = |account: &str| balances.get(account).copied().unwrap_or(0);
                prop_assert_eq!(of("HELD"), 0);
                let (wallet, house, provider) = match payment.state {
                    State::Succeeded => (-points, points + card, -card),
                    _ => (0, 0, 0),
                };
                prop_assert_eq!((of("WALLET"), of("HOUSE"), of("PROVIDER")), (wallet, house, provider));
            }
        }
    }
}

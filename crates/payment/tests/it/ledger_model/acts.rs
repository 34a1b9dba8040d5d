//! Operations on the real ledger, made as the service makes them: by the store's guarded transitions.

use std::time::Duration;

use payment::domain::{
    CardCharge, Charge, ChargeEvent, Event, NewCharge, NewPayment, NewRefund, OrderId, PaidBy, Payment,
    PaymentKey, RefundEvent, RefundReason, Share, Terms, own_charge_order,
};
use payment::store::{ChargeInserted, GrantOutcome, Inserted, RefundInserted, Store, StoreError};
use test_support::unique_name;
use vocabulary::{Amount, ChargeId, Currency, PaymentId, ProblemCode, RefundId, ReservationId, UserId};

use super::End;

const LEASE: Duration = Duration::from_secs(60);
const REASON: ProblemCode = ProblemCode::PaymentFailed;

/// An operation with all that it is about, so that it can arrive again.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Grant {
        user_id: UserId,
        points: i64,
        operation: String,
    },
    Charge {
        charge: Charge,
        captured: bool,
    },
    Purchase {
        payment: Payment,
    },
    End {
        payment: Payment,
        how: End,
    },
    Refund {
        payment: Payment,
        refund_id: RefundId,
        percent: u32,
    },
}

/// What came of it, the more telling later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Came {
    /// It was done before, or something else was.
    Nothing,
    /// The wallet was short.
    Short,
    Done,
}

impl Act {
    /// Does it.
    pub(super) async fn perform(&self, store: &Store) -> Result<Came, String> {
        match self {
            Act::Grant {
                user_id,
                points,
                operation,
            } => match store.grant(*user_id, won(*points), operation).await {
                Ok(GrantOutcome::Granted) => Ok(Came::Done),
                Ok(GrantOutcome::AlreadyGranted) => Ok(Came::Nothing),
                other => Err(format!("{other:?}")),
            },
            Act::Charge { charge, captured } => {
                let asked = charge.after(ChargeEvent::ProviderAsked).unwrap();
                let ended = asked.after(if *captured {
                    ChargeEvent::Captured
                } else {
                    ChargeEvent::NotCaptured { reason: REASON }
                });
                let ended = ended.unwrap();
                for (from, next) in [(charge, &asked), (&asked, &ended)] {
                    match store.change_charge(from, next, LEASE).await {
                        Ok(()) => {}
                        Err(StoreError::Superseded) => return Ok(Came::Nothing),
                        Err(error) => return Err(text(error)),
                    }
                }
                Ok(Came::Done)
            }
            Act::Purchase { payment } => walk(store, payment, &[Event::PointsTaken { fence: 2 }]).await,
            Act::End { payment, how } => walk(store, payment, &events(payment, *how)).await,
            Act::Refund {
                payment,
                refund_id,
                percent,
            } => refund(store, payment, *refund_id, *percent).await,
        }
    }
}

pub(super) async fn charge(store: &Store, user_id: UserId, points: i64) -> Result<Charge, String> {
    let charge_id = ChargeId::new();
    let new = NewCharge {
        charge_id,
        user_id,
        amount: won(points),
        order_id: own_charge_order(charge_id).unwrap(),
        payment_key: PaymentKey::new("test_ok_1").unwrap(),
    };
    match store.insert_charge(&new, None, LEASE).await.map_err(text)? {
        ChargeInserted::New(charge) => Ok(charge),
        other => Err(format!("{other:?}")),
    }
}

pub(super) async fn payment(
    store: &Store,
    user_id: UserId,
    points: i64,
    card: i64,
) -> Result<Payment, String> {
    let payment_id = PaymentId::new();
    let card = (card > 0).then(|| CardCharge {
        amount: won(card),
        order_id: OrderId::new(&unique_name("order")).unwrap(),
        payment_key: Some(PaymentKey::new("test_ok_1").unwrap()),
    });
    let new = NewPayment {
        payment_id,
        reservation_id: ReservationId::new(),
        user_id,
        currency: Currency::KRW,
        terms: Terms {
            points: won(points),
            card,
        },
    };
    match store.insert(&new, None, LEASE).await.map_err(text)? {
        Inserted::New(payment) => Ok(payment),
        other => Err(format!("{other:?}")),
    }
}

async fn walk(store: &Store, payment: &Payment, events: &[Event]) -> Result<Came, String> {
    let mut payment = payment.clone();
    for event in events {
        let next = payment.after(event).map_err(text)?;
        match store.transition(&payment, &next, LEASE).await {
            Ok(()) => payment = next,
            Err(StoreError::Superseded) => return Ok(Came::Nothing),
            Err(StoreError::InsufficientPoints) => return Ok(Came::Short),
            Err(error) => return Err(text(error)),
        }
    }
    Ok(Came::Done)
}

async fn refund(store: &Store, payment: &Payment, refund_id: RefundId, percent: u32) -> Result<Came, String> {
    let new = NewRefund {
        refund_id,
        payment_id: payment.payment_id,
        reservation_id: payment.reservation_id,
        user_id: payment.user_id,
        reason: RefundReason::Buyer,
    };
    let inserted = store.insert_refund(&new, None, LEASE).await;
    let RefundInserted::New(mut refund) = inserted.map_err(text)? else {
        return Ok(Came::Nothing);
    };
    let paid = PaidBy {
        points: payment.points,
        card: payment
            .card
            .as_ref()
            .map(|card| (card.amount, card.order_id.clone())),
    };
    let total = payment.points.get() + payment.card_amount().get();
    let back = won(total * i64::from(percent) / 100);
    let share = Share::split(&paid, percent, back).map_err(text)?;
    let mut events = vec![RefundEvent::SeatsReturned {
        share,
        schedule_canceled: false,
    }];
    if !share.card.is_zero() {
        events.push(RefundEvent::ProviderAsked);
    }
    events.extend([RefundEvent::MoneyReturned, RefundEvent::BookingTold]);
    for event in events {
        let next = refund.after(&event).map_err(text)?;
        refund = store.change_refund(&refund, &next, LEASE).await.map_err(text)?;
    }
    Ok(Came::Done)
}

fn events(payment: &Payment, how: End) -> Vec<Event> {
    let by_card = payment.card.is_some();
    let gone = Event::SeatsGone { reason: REASON };
    match how {
        End::Posted if by_card => vec![Event::ProviderAsked, Event::Captured, Event::SeatsConfirmed],
        End::Posted => vec![Event::SeatsConfirmed],
        End::Returned if by_card => vec![
            Event::ProviderAsked,
            Event::NotCaptured { reason: REASON },
            Event::HoldReleased { next_order_id: None },
        ],
        End::CapturedTooLate if by_card => {
            vec![Event::ProviderAsked, Event::Captured, gone, Event::CardRefunded]
        }
        End::Returned | End::CapturedTooLate => vec![gone],
    }
}

fn won(units: i64) -> Amount {
    Amount::new(units).unwrap()
}

pub(super) fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

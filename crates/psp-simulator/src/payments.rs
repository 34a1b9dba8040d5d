//! A payment and everything that can happen to it. Pure: no clock, no store, no HTTP.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::errors::ErrorCode;

/// How long after the buyer authenticated a payment it can be confirmed.
const CONFIRMATION_WINDOW: Duration = Duration::minutes(10);

/// Refused as a value of the provider's API: of the wrong length, or with characters that it does not allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $valid:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(value: String) -> Result<Self, Malformed> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) { Ok(Self(value)) } else { Err(Malformed($rule)) }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

text_value!(
    /// The provider's name for one authenticated payment: 1 to 200 characters.
    PaymentKey, |key| (1..=200).contains(&key.chars().count()), "a payment key has 1 to 200 characters"
);
text_value!(
    /// The merchant's name for an order: 6 to 64 letters, digits, `-`, `_`, `=`.
    OrderId,
    |id| (6..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte)),
    "an order id has 6 to 64 letters, digits, - _ ="
);
text_value!(
    /// Why money goes back: 1 to 200 characters.
    CancelReason, |reason| (1..=200).contains(&reason.chars().count()), "a cancel reason has 1 to 200 characters"
);

/// An amount of money above zero, in won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Won(NonZeroU64);

impl Won {
    pub(crate) const fn get(self) -> u64 {
        self.0.get()
    }
}

/// The states of the provider's payment that a card can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    /// Authenticated by the buyer, not captured.
    InProgress,
    /// Captured in full.
    Done,
    /// Captured; a part went back.
    PartialCanceled,
    /// Captured; all of it went back.
    Canceled,
    /// Declined.
    Aborted,
    /// Not confirmed in time.
    Expired,
}

/// One payment: what was asked, what was captured, what went back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payment {
    pub payment_key: PaymentKey,
    pub order_id: OrderId,
    pub amount: Won,
    pub status: Status,
    /// Temporary faults that confirmations of this payment met.
    pub faults: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    pub capture: Option<Capture>,
    pub cancels: Vec<Cancel>,
}

/// The money arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capture {
    pub transaction_key: String,
    #[serde(with = "time::serde::rfc3339")]
    pub approved_at: OffsetDateTime,
}

/// Money went back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cancel {
    pub transaction_key: String,
    pub amount: Won,
    /// What was left of the captured amount afterwards, in won.
    pub balance_after: u64,
    pub reason: CancelReason,
    #[serde(with = "time::serde::rfc3339")]
    pub canceled_at: OffsetDateTime,
}

/// What can happen to a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A confirmation that the card accepts.
    Capture,
    /// A confirmation that the card declines.
    Decline,
    /// A confirmation that meets a temporary fault.
    Fault,
    /// A cancellation of `amount`, or of all that is left.
    Cancel {
        amount: Option<Won>,
        reason: CancelReason,
    },
}

/// When an event happens, and the key of the transaction that it makes.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub at: OffsetDateTime,
    pub transaction_key: String,
}

impl Payment {
    /// A payment that the buyer has just authenticated for this order and amount.
    pub(crate) fn authenticated(
        payment_key: PaymentKey,
        order_id: OrderId,
        amount: Won,
        at: OffsetDateTime,
    ) -> Self {
        Self {
            payment_key,
            order_id,
            amount,
            status: Status::InProgress,
            faults: 0,
            requested_at: at,
            capture: None,
            cancels: Vec::new(),
        }
    }

    /// The payment as it reads at `now`: EXPIRED once its confirmation window has passed unused.
    pub(crate) fn as_of(&self, now: OffsetDateTime) -> Self {
        let expired = self.status == Status::InProgress && now - self.requested_at > CONFIRMATION_WINDOW;
        let status = if expired { Status::Expired } else { self.status };
        Self {
            status,
            ..self.clone()
        }
    }

    /// What can still go back, in won; of a payment without a capture, what was asked.
    pub(crate) fn balance(&self) -> u64 {
        self.cancels
            .last()
            .map_or(self.amount.get(), |cancel| cancel.balance_after)
    }

    /// Whether another payment key may be used for this payment's order.
    pub(crate) fn leaves_order_open(&self) -> bool {
        matches!(self.status, Status::Aborted | Status::Expired)
    }
}

/// The payment after `event`, or why the event is refused and the payment stays as it is.
pub(crate) fn apply(payment: &Payment, event: &Event, stamp: Stamp) -> Result<Payment, ErrorCode> {
    let Stamp { at, transaction_key } = stamp;
    let mut after = payment.clone();
    match (payment.status, event) {
        (Status::InProgress, Event::Capture) => {
            after.status = Status::Done;
            after.capture = Some(Capture {
                transaction_key,
                approved_at: at,
            });
        }
        (Status::InProgress, Event::Decline) => after.status = Status::Aborted,
        (Status::InProgress, Event::Fault) => after.faults += 1,
        (Status::Done | Status::PartialCanceled, Event::Cancel { amount, reason }) => {
            let amount = amount.or(NonZeroU64::new(payment.balance()).map(Won));
            let amount = amount.ok_or(ErrorCode::AlreadyCanceledPayment)?;
            let balance_after = payment
                .balance()
                .checked_sub(amount.get())
                .ok_or(ErrorCode::NotCancelableAmount)?;
            after.status = if balance_after == 0 {
                Status::Canceled
            } else {
                Status::PartialCanceled
            };
            after.cancels.push(Cancel {
                transaction_key,
                amount,
                balance_after,
                reason: reason.clone(),
                canceled_at: at,
            });
        }
        (Status::Canceled, Event::Cancel { .. }) => return Err(ErrorCode::AlreadyCanceledPayment),
        (Status::InProgress | Status::Aborted | Status::Expired, Event::Cancel { .. }) => {
            return Err(ErrorCode::NotCancelablePayment);
        }
        (
            Status::Done | Status::PartialCanceled | Status::Canceled,
            Event::Capture | Event::Decline | Event::Fault,
        ) => return Err(ErrorCode::AlreadyProcessedPayment),
        // A declined card declines again, whatever it is asked.
        (Status::Aborted, Event::Capture | Event::Decline | Event::Fault) => {
            return Err(ErrorCode::RejectCardPayment);
        }
        (Status::Expired, Event::Capture | Event::Decline | Event::Fault) => {
            return Err(ErrorCode::NotFoundPaymentSession);
        }
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-11-20 10:00:00 UTC);

    fn won(amount: u64) -> Won {
        Won(NonZeroU64::new(amount).unwrap())
    }

    fn stamp() -> Stamp {
        Stamp {
            at: AT,
            transaction_key: "T".to_owned(),
        }
    }

    fn cancel(amount: Option<u64>) -> Event {
        Event::Cancel {
            amount: amount.map(won),
            reason: CancelReason("changed my mind".to_owned()),
        }
    }

    /// A payment of 1,000 won that has reached `status`.
    fn payment(status: Status) -> Payment {
        let key = PaymentKey("test_ok_1".to_owned());
        let fresh = Payment::authenticated(key, OrderId("order-1".to_owned()), won(1_000), AT);
        let after = |payment: &Payment, event| apply(payment, &event, stamp()).unwrap();
        match status {
            Status::InProgress => fresh,
            Status::Done => after(&fresh, Event::Capture),
            Status::PartialCanceled => after(&payment(Status::Done), cancel(Some(400))),
            Status::Canceled => after(&payment(Status::Done), cancel(None)),
            Status::Aborted => after(&fresh, Event::Decline),
            Status::Expired => fresh.as_of(AT + CONFIRMATION_WINDOW + Duration::SECOND),
        }
    }

    #[test]
    fn every_state_answers_every_event() {
        use ErrorCode::{
            AlreadyCanceledPayment, AlreadyProcessedPayment, NotCancelableAmount, NotCancelablePayment,
            NotFoundPaymentSession, RejectCardPayment,
        };
        use Event::{Capture, Decline, Fault};
        use Status::{Aborted, Canceled, Done, Expired, InProgress, PartialCanceled};

        let whole = || cancel(None);
        let part = || cancel(Some(600));
        let too_much = || cancel(Some(1_001));
        let table = [
            (InProgress, Capture, Ok((Done, 1_000))),
            (InProgress, Decline, Ok((Aborted, 1_000))),
            (InProgress, Fault, Ok((InProgress, 1_000))),
            (InProgress, whole(), Err(NotCancelablePayment)),
            (InProgress, part(), Err(NotCancelablePayment)),
            (InProgress, too_much(), Err(NotCancelablePayment)),
            (Done, Capture, Err(AlreadyProcessedPayment)),
            (Done, Decline, Err(AlreadyProcessedPayment)),
            (Done, Fault, Err(AlreadyProcessedPayment)),
            (Done, whole(), Ok((Canceled, 0))),
            (Done, part(), Ok((PartialCanceled, 400))),
            (Done, too_much(), Err(NotCancelableAmount)),
            (PartialCanceled, Capture, Err(AlreadyProcessedPayment)),
            (PartialCanceled, Decline, Err(AlreadyProcessedPayment)),
            (PartialCanceled, Fault, Err(AlreadyProcessedPayment)),
            (PartialCanceled, whole(), Ok((Canceled, 0))),
            (PartialCanceled, part(), Ok((Canceled, 0))),
            (PartialCanceled, cancel(Some(599)), Ok((PartialCanceled, 1))),
            (PartialCanceled, cancel(Some(601)), Err(NotCancelableAmount)),
            (PartialCanceled, too_much(), Err(NotCancelableAmount)),
            (Canceled, Capture, Err(AlreadyProcessedPayment)),
            (Canceled, Decline, Err(AlreadyProcessedPayment)),
            (Canceled, Fault, Err(AlreadyProcessedPayment)),
            (Canceled, whole(), Err(AlreadyCanceledPayment)),
            (Canceled, part(), Err(AlreadyCanceledPayment)),
            (Canceled, too_much(), Err(AlreadyCanceledPayment)),
            (Aborted, Capture, Err(RejectCardPayment)),
            (Aborted, Decline, Err(RejectCardPayment)),
            (Aborted, Fault, Err(RejectCardPayment)),
            (Aborted, whole(), Err(NotCancelablePayment)),
            (Aborted, part(), Err(NotCancelablePayment)),
            (Aborted, too_much(), Err(NotCancelablePayment)),
            (Expired, Capture, Err(NotFoundPaymentSession)),
            (Expired, Decline, Err(NotFoundPaymentSession)),
            (Expired, Fault, Err(NotFoundPaymentSession)),
            (Expired, whole(), Err(NotCancelablePayment)),
            (Expired, part(), Err(NotCancelablePayment)),
            (Expired, too_much(), Err(NotCancelablePayment)),
        ];
        for (status, event, expected) in table {
            let after = apply(&payment(status), &event, stamp());
            let after = after.map(|payment| (payment.status, payment.balance()));
            assert_eq!(after, expected, "{status:?} x {event:?}");
        }
    }

    #[test]
    fn what_went_back_and_what_is_left_add_up_to_the_capture() {
        let mut payment = payment(Status::Done);
        for amount in [1, 300, 299] {
            payment = apply(&payment, &cancel(Some(amount)), stamp()).unwrap();
            let back: u64 = payment.cancels.iter().map(|cancel| cancel.amount.get()).sum();
            assert_eq!(back + payment.balance(), 1_000);
        }
        assert_eq!(payment.balance(), 400);
    }

    #[test]
    fn only_an_unconfirmed_payment_expires_and_only_after_its_window() {
        let last_moment = AT + CONFIRMATION_WINDOW;
        let too_late = last_moment + Duration::SECOND;
        assert_eq!(
            payment(Status::InProgress).as_of(last_moment).status,
            Status::InProgress
        );
        assert_eq!(
            payment(Status::InProgress).as_of(too_late).status,
            Status::Expired
        );
        for status in [
            Status::Done,
            Status::PartialCanceled,
            Status::Canceled,
            Status::Aborted,
        ] {
            assert_eq!(payment(status).as_of(too_late).status, status);
        }
    }

    #[test]
    fn values_outside_the_rules_of_the_provider_cannot_be_built() {
        let order = |id: String| OrderId::try_from(id).is_ok();
        assert!(!order("five5".to_owned()) && order("sixsix".to_owned()));
        assert!(order("x".repeat(64)) && !order("x".repeat(65)));
        assert!(
            order("A-Z_=09".to_owned())
                && !order("with space".to_owned())
                && !order("주문번호입니다".to_owned())
        );

        let key = |length: usize| PaymentKey::try_from("k".repeat(length)).is_ok();
        assert!(!key(0) && key(1) && key(200) && !key(201));

        let reason = |length: usize| CancelReason::try_from("이".repeat(length)).is_ok();
        assert!(!reason(0) && reason(200) && !reason(201));
    }
}

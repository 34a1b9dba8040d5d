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
    /// Captured; all of it went back at once. What goes back in parts stays `PartialCanceled` to the last.
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
    /// Temporary faults that cancellations of this payment met.
    #[serde(default)]
    pub cancel_faults: u32,
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
    /// A confirmation that the card accepts, after a while.
    Capture { after: Duration },
    /// A confirmation that the card declines.
    Decline,
    /// A confirmation that meets a temporary fault.
    Fault,
    /// A cancellation of `amount`, or of all that is left, if that is still as much as the caller takes it to be.
    Cancel {
        amount: Option<Won>,
        expected_balance: Option<Won>,
        reason: CancelReason,
    },
    /// A cancellation that is refused for ever.
    CancelRefusal,
    /// A cancellation that meets a temporary fault.
    CancelFault,
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
            cancel_faults: 0,
            requested_at: at,
            capture: None,
            cancels: Vec::new(),
        }
    }

    /// The payment as it reads at `now`: IN_PROGRESS until its capture has come, EXPIRED once its confirmation window has
    /// passed unused.
    pub(crate) fn as_of(&self, now: OffsetDateTime) -> Self {
        let mut payment = self.clone();
        if self.is_being_captured(now) {
            payment.status = Status::InProgress;
            payment.capture = None;
        } else if self.status == Status::InProgress && now - self.requested_at > CONFIRMATION_WINDOW {
            payment.status = Status::Expired;
        }
        payment
    }

    /// Whether it was confirmed, and is captured later than `now`.
    pub(crate) fn is_being_captured(&self, now: OffsetDateTime) -> bool {
        let capture = self.capture.as_ref();
        capture.is_some_and(|capture| capture.approved_at > now)
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
        (Status::InProgress, Event::Capture { after: wait }) => {
            after.status = Status::Done;
            after.capture = Some(Capture {
                transaction_key,
                approved_at: at + *wait,
            });
        }
        (Status::InProgress, Event::Decline) => after.status = Status::Aborted,
        (Status::InProgress, Event::Fault) => after.faults += 1,
        (Status::Done | Status::PartialCanceled, Event::CancelFault) => after.cancel_faults += 1,
        (
            Status::Done | Status::PartialCanceled,
            Event::Cancel {
                amount,
                expected_balance,
                reason,
            },
        ) => {
            let balance = payment.balance();
            let amount = amount.or(NonZeroU64::new(balance).map(Won));
            let amount = amount.ok_or(ErrorCode::NotCancelableAmount)?;
            let balance_after = balance
                .checked_sub(amount.get())
                .ok_or(ErrorCode::NotCancelableAmount)?;
            if expected_balance.is_some_and(|expected| expected.get() != balance) {
                return Err(ErrorCode::NotMatchesRefundableAmount);
            }
            after.status = if payment.status == Status::Done && balance_after == 0 {
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
        (Status::Canceled, Event::Cancel { .. } | Event::CancelRefusal | Event::CancelFault) => {
            return Err(ErrorCode::AlreadyCanceledPayment);
        }
        (
            Status::InProgress | Status::Aborted | Status::Expired,
            Event::Cancel { .. } | Event::CancelRefusal | Event::CancelFault,
        )
        | (Status::Done | Status::PartialCanceled, Event::CancelRefusal) => {
            return Err(ErrorCode::NotCancelablePayment);
        }
        (
            Status::Done | Status::PartialCanceled | Status::Canceled,
            Event::Capture { .. } | Event::Decline | Event::Fault,
        ) => return Err(ErrorCode::AlreadyProcessedPayment),
        // A declined card declines again, whatever it is asked.
        (Status::Aborted, Event::Capture { .. } | Event::Decline | Event::Fault) => {
            return Err(ErrorCode::RejectCardPayment);
        }
        (Status::Expired, Event::Capture { .. } | Event::Decline | Event::Fault) => {
            return Err(ErrorCode::NotFoundPaymentSession);
        }
    }
    Ok(after)
}

#[cfg(test)]
mod tests;

//! Why a call was refused, as callers may rely on it. Faults of ours are logged here, once.

use service_kit::problem::Problem;
use service_kit::telemetry::causes;
use vocabulary::ProblemCode;

use crate::app::{CancelError, ChargeError, PayError};
use crate::booking::BookingError;
use crate::domain::TermsError;
use crate::provider::Closed;
use crate::store::StoreError;

pub(super) fn no_such_payment() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such payment of this user")
}

pub(super) fn no_such_charge() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such charge of this user")
}

fn no_such_reservation() -> Problem {
    Problem::new(ProblemCode::NotFound, "there is no such reservation of this user")
}

pub(super) fn no_such_refund() -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        "this user has no refund of such a reservation",
    )
}

pub(super) fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) => {
            tracing::warn!(error = causes(&error), "the database is not available");
            Problem::of(ProblemCode::Unavailable)
        }
        StoreError::InsufficientPoints
        | StoreError::Superseded
        | StoreError::Bug(_)
        | StoreError::Unreadable { .. } => {
            tracing::error!(error = causes(&error), "a request failed");
            Problem::of(ProblemCode::Internal)
        }
    }
}

impl From<PayError> for Problem {
    fn from(error: PayError) -> Self {
        let text = error.to_string();
        match error {
            PayError::NotFound => Self::new(ProblemCode::NotFound, text),
            PayError::Terms(broken) => match broken {
                TermsError::PointsAboveTotal { .. }
                | TermsError::CardBelowMinimum
                | TermsError::PointsInAnotherCurrency { .. } => Self::field("points", text),
                TermsError::CardInAnotherCurrency { .. } => Self::field("card", text),
                TermsError::AnotherOrder => Self::field("card.orderId", text),
                TermsError::CardRequired => Self::new(ProblemCode::CardRequired, text),
            },
            PayError::AlreadyPaid => Self::of(ProblemCode::AlreadyPaid),
            PayError::WindowClosed => Self::of(ProblemCode::PaymentWindowClosed),
            PayError::InProgress => Self::of(ProblemCode::PaymentInProgress),
            PayError::KeyReused => Self::of(ProblemCode::IdempotencyKeyReused),
            PayError::KeyInProgress => Self::of(ProblemCode::IdempotencyKeyInProgress),
            PayError::ProviderClosed(closed) => of_closed(closed, text),
            PayError::Failed {
                payment_id,
                reason,
                next_order_id,
            } => {
                let problem = Self::new(reason, why(reason)).with("paymentId", payment_id.to_string());
                match next_order_id {
                    Some(order_id) => problem.with("orderId", order_id.as_str()),
                    None => problem,
                }
            }
            PayError::OutOfSight(payment_id) => Self::new(
                ProblemCode::Unavailable,
                "the payment was begun and is carried on; ask for it again",
            )
            .with("paymentId", payment_id.to_string()),
            PayError::Booking(error) => of_booking(error),
            PayError::Store(error) => of_store(error),
        }
    }
}

fn of_booking(error: BookingError) -> Problem {
    match error {
        BookingError::Refused(problem) => problem,
        BookingError::Undecided(problem) => {
            tracing::warn!(error = %problem, "booking did not decide");
            // What is wrong with a peer is not for the caller.
            Problem::of(match problem.code {
                ProblemCode::Internal => ProblemCode::Internal,
                _ => ProblemCode::Unavailable,
            })
        }
    }
}

/// Nothing was recorded or taken: the caller comes again.
fn of_closed(closed: Closed, text: String) -> Problem {
    let problem = Problem::new(ProblemCode::Unavailable, text);
    match closed {
        Closed::Saturated => problem,
        Closed::Away { retry_after } => problem.retry_after(retry_after),
    }
}

impl From<ChargeError> for Problem {
    fn from(error: ChargeError) -> Self {
        let text = error.to_string();
        match error {
            ChargeError::OrderUsed => Self::of(ProblemCode::OrderUsed),
            ChargeError::KeyReused => Self::of(ProblemCode::IdempotencyKeyReused),
            ChargeError::KeyInProgress => Self::of(ProblemCode::IdempotencyKeyInProgress),
            ChargeError::ProviderClosed(closed) => of_closed(closed, text),
            ChargeError::Failed { charge_id, reason } => {
                Self::new(reason, "nothing was charged").with("chargeId", charge_id.to_string())
            }
            ChargeError::OutOfSight(charge_id) => Self::new(
                ProblemCode::Unavailable,
                "the charge was begun and is carried on; ask for it again",
            )
            .with("chargeId", charge_id.to_string()),
            ChargeError::Order(_) => {
                tracing::error!(error = text, "a request failed");
                Self::of(ProblemCode::Internal)
            }
            ChargeError::Store(error) => of_store(error),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotPaid => Self::of(ProblemCode::ReservationNotCancelable),
            CancelError::PaymentInProgress => Self::of(ProblemCode::PaymentInProgress),
            CancelError::Refused {
                reason: ProblemCode::NotFound,
            } => no_such_reservation(),
            CancelError::Refused { reason } => Self::of(reason),
            CancelError::KeyReused => Self::of(ProblemCode::IdempotencyKeyReused),
            CancelError::KeyInProgress => Self::of(ProblemCode::IdempotencyKeyInProgress),
            CancelError::OutOfSight(refund_id) => Self::new(
                ProblemCode::Unavailable,
                "the refund was begun and is carried on; ask for it again",
            )
            .with("refundId", refund_id.to_string()),
            CancelError::Booking(error) => of_booking(error),
            CancelError::Store(error) => of_store(error),
        }
    }
}

const fn why(reason: ProblemCode) -> &'static str {
    match reason {
        ProblemCode::InsufficientPoints => "the wallet holds fewer points; nothing was taken",
        ProblemCode::PaymentFailed => "nothing was charged, and points were given back",
        ProblemCode::ScheduleCanceled => {
            "the date was canceled; what was taken goes back to where it came from"
        }
        ProblemCode::PaymentWindowClosed => {
            "the seats were gone; what was taken goes back to where it came from"
        }
        _ => reason.title(),
    }
}

//! Calls that carry several payments: each has an outcome of its own, and one that cannot be read is nobody else's fault.

use contracts::booking as proto;
use contracts::parse_id;
use service_kit::grpc::error_of_one;
use service_kit::problem::Problem;
use tonic::{Code, Status};
use vocabulary::{PaymentId, ReservationId};

use super::convert;
use crate::app::{AppError, Credential};
use crate::domain::Reservation;

/// Has what can be read carried out together; the outcomes stand where the requests stood.
pub(super) async fn of_each<W, T, F>(
    call: &'static str,
    wire: Vec<W>,
    read: impl Fn(W) -> Result<T, Problem>,
    carry_out: impl FnOnce(Vec<T>) -> F,
) -> Vec<Result<Reservation, Status>>
where
    F: Future<Output = Vec<Result<Reservation, AppError>>>,
{
    let mut readable = Vec::with_capacity(wire.len());
    let unreadable: Vec<_> = wire
        .into_iter()
        .map(|wire| read(wire).map(|read| readable.push(read)).err())
        .collect();
    let mut carried_out = carry_out(readable).await.into_iter();
    let outcomes = unreadable.into_iter().map(|problem| match problem {
        Some(problem) => Err(problem.into()),
        None => match carried_out.next() {
            Some(outcome) => outcome.map_err(Status::from),
            None => Err(Status::internal("there is no outcome")),
        },
    });
    outcomes.inspect(|outcome| count(call, outcome)).collect()
}

/// The call itself succeeds whatever came of its payments.
fn count(call: &'static str, outcome: &Result<Reservation, Status>) {
    let code = outcome.as_ref().err().map_or(Code::Ok, Status::code);
    metrics::counter!("booking_outcomes_total", "method" => call, "code" => format!("{code:?}")).increment(1);
}

pub(super) fn payable_to_get(wire: proto::PayableToGet) -> Result<(ReservationId, Credential), Problem> {
    Ok((
        parse_id("reservationId", &wire.reservation_id)?,
        convert::credential(wire.credential)?,
    ))
}

pub(super) fn payment_to_begin(wire: proto::PaymentToBegin) -> Result<(ReservationId, PaymentId), Problem> {
    Ok((
        parse_id("reservationId", &wire.reservation_id)?,
        parse_id("paymentId", &wire.payment_id)?,
    ))
}

pub(super) fn reservation_to_confirm(
    wire: proto::ReservationToConfirm,
) -> Result<(ReservationId, PaymentId, u64), Problem> {
    Ok((
        parse_id("reservationId", &wire.reservation_id)?,
        parse_id("paymentId", &wire.payment_id)?,
        convert::fence(wire.version)?,
    ))
}

pub(super) fn payable(outcome: Result<Reservation, Status>) -> proto::PayableOutcome {
    use proto::payable_outcome::Outcome;
    let outcome = match outcome {
        Ok(reservation) => Outcome::Payable(proto::Payable {
            user_id: reservation.user_id.to_string(),
            status: contracts::reservation_status(reservation.status()).into(),
            total: reservation.total.get(),
            currency: reservation.currency.to_string(),
            order_id: reservation.order_id().to_string(),
        }),
        Err(status) => Outcome::Error(error_of_one(&status)),
    };
    proto::PayableOutcome {
        outcome: Some(outcome),
    }
}

pub(super) fn begun(outcome: Result<Reservation, Status>) -> proto::BeginPaymentOutcome {
    use proto::begin_payment_outcome::Outcome;
    let outcome = match outcome {
        Ok(reservation) => Outcome::Begun(proto::BegunPayment {
            version: reservation.lifecycle.version,
            order_id: reservation.order_id().to_string(),
        }),
        Err(status) => Outcome::Error(error_of_one(&status)),
    };
    proto::BeginPaymentOutcome {
        outcome: Some(outcome),
    }
}

pub(super) fn confirmed(outcome: Result<Reservation, Status>) -> proto::ConfirmationOutcome {
    use proto::confirmation_outcome::Outcome;
    let outcome = match outcome {
        Ok(reservation) => Outcome::Reservation(convert::reservation(&reservation)),
        Err(status) => Outcome::Error(error_of_one(&status)),
    };
    proto::ConfirmationOutcome {
        outcome: Some(outcome),
    }
}

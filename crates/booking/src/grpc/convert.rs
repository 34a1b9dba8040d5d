//! Between the contract's messages and our own types.

use contracts::booking as proto;
use contracts::{amount, parse_id, timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use service_kit::problem::Problem;
use time::OffsetDateTime;
use vocabulary::{Amount, Currency, Grade, QueueNumber, SeatId, SeatIndex, SeatStatus};

use crate::app::{
    Credential, HoldRequest, OwnReservation, PaidReservation, ScheduleCancellation, ScheduleCounts, SeatMap,
};
use crate::domain::{Cancellation, RefundPolicy, RefundTerms, Reservation, ScheduleOpening, ScheduledSeat};

/// The longest key that a caller may name a request by, in characters.
const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;
/// More seats than anybody may hold are not even read one by one.
const MAX_SEATS_READ: usize = 100;

pub(super) fn reservation(reservation: &Reservation) -> proto::Reservation {
    proto::Reservation {
        reservation_id: reservation.id.to_string(),
        user_id: reservation.user_id.to_string(),
        schedule_id: reservation.schedule_id.to_string(),
        concert_id: reservation.concert_id.to_string(),
        status: contracts::reservation_status(reservation.status()).into(),
        seats: reservation
            .seats
            .iter()
            .map(|seat| proto::ReservedSeat {
                seat_id: seat.seat_id.to_string(),
                grade: seat.grade.to_string(),
                price: seat.price.get(),
            })
            .collect(),
        total: reservation.total.get(),
        currency: reservation.currency.to_string(),
        created_at: Some(timestamp(reservation.created_at)),
        expires_at: Some(timestamp(reservation.lifecycle.expires_at)),
        payment_token: String::new(),
        order_id: reservation.order_id().to_string(),
        version: reservation.lifecycle.version,
        cancellation: reservation
            .cancellation()
            .map(|canceled| cancellation(&canceled, reservation.total)),
    }
}

fn cancellation(canceled: &Cancellation, total: Amount) -> proto::Cancellation {
    proto::Cancellation {
        refund_id: canceled.refund_id.to_string(),
        canceled_at: Some(timestamp(canceled.canceled_at)),
        percent: canceled.percent.get().into(),
        refund: canceled.percent.of(total).get(),
        refunded_at: canceled.refunded_at.map(timestamp),
    }
}

pub(super) fn paid_reservation(paid: &PaidReservation) -> proto::PaidReservation {
    let canceled = paid.cancellation.as_ref();
    proto::PaidReservation {
        reservation_id: paid.id.to_string(),
        user_id: paid.user_id.to_string(),
        schedule_id: paid.schedule_id.to_string(),
        payment_id: paid.payment.to_string(),
        status: contracts::reservation_status(paid.status).into(),
        total: paid.total.get(),
        currency: paid.currency.to_string(),
        cancellation: canceled.map(|canceled| cancellation(canceled, paid.total)),
    }
}

pub(super) fn schedule_cancellation(
    cancellation: &ScheduleCancellation,
) -> proto::GetScheduleCancellationResponse {
    proto::GetScheduleCancellationResponse {
        canceled_at: Some(timestamp(cancellation.canceled_at)),
        unpaid_left: cancellation.unpaid_left,
        reservations: cancellation.reservations,
        refunded: cancellation.refunded,
        amount: cancellation.amount,
        amount_refunded: cancellation.amount_refunded,
        currency: cancellation.currency.to_string(),
    }
}

pub(super) fn own_reservation(own: &OwnReservation) -> proto::Reservation {
    let token = own.payment_token.as_ref();
    proto::Reservation {
        payment_token: token.map_or_else(String::new, |token| token.expose_secret().to_owned()),
        ..reservation(&own.reservation)
    }
}

pub(super) fn opening(request: proto::OpenScheduleRequest) -> Result<ScheduleOpeningParts, Problem> {
    let currency: Currency = request
        .currency
        .parse()
        .map_err(|error: vocabulary::MoneyError| Problem::field("currency", error.to_string()))?;
    if request.seats.is_empty() || request.seats.len() > ScheduleOpening::MAX_SEATS {
        return Err(Problem::field(
            "seats",
            format!("must be 1 to {} seats", ScheduleOpening::MAX_SEATS),
        ));
    }
    let starts_at = request
        .starts_at
        .ok_or_else(|| Problem::field("startsAt", "is required"))?;
    let starts_at = contracts::time_of("startsAt", &starts_at)?;
    if starts_at < OffsetDateTime::UNIX_EPOCH {
        return Err(Problem::field("startsAt", "must not be before 1970"));
    }
    let policy = request
        .refund_policy
        .ok_or_else(|| Problem::field("refundPolicy", "is required"))?;
    let tiers = policy.tiers.iter();
    let tiers: Vec<_> = tiers
        .map(|tier| (tier.hours_before_start, tier.percent))
        .collect();
    let refund_terms = RefundTerms {
        starts_at,
        policy: RefundPolicy::new(&tiers)?,
    };
    let seats = request.seats.into_iter().enumerate().map(|(position, seat)| {
        Ok(ScheduledSeat {
            seat_id: parse_id(&format!("seats[{position}].seatId"), &seat.seat_id)?,
            index: SeatIndex(seat.index),
            grade: Grade::try_from(seat.grade).map_err(|_| {
                Problem::field(format!("seats[{position}].grade"), "must have 1 to 64 characters")
            })?,
            price: amount(&format!("seats[{position}].price"), seat.price)?,
        })
    });
    Ok(ScheduleOpeningParts {
        schedule_id: parse_id("scheduleId", &request.schedule_id)?,
        concert_id: parse_id("concertId", &request.concert_id)?,
        currency,
        refund_terms,
        seats: seats.collect::<Result<_, Problem>>()?,
    })
}

/// What a schedule is opened with, not yet checked as a whole.
pub(super) struct ScheduleOpeningParts {
    pub(super) schedule_id: vocabulary::ScheduleId,
    pub(super) concert_id: vocabulary::ConcertId,
    pub(super) currency: Currency,
    pub(super) refund_terms: RefundTerms,
    pub(super) seats: Vec<ScheduledSeat>,
}

pub(super) fn hold(request: proto::HoldSeatsRequest) -> Result<HoldRequest, Problem> {
    if request.idempotency_key.chars().count() > MAX_IDEMPOTENCY_KEY_CHARS {
        return Err(Problem::field(
            "idempotencyKey",
            format!("must have at most {MAX_IDEMPOTENCY_KEY_CHARS} characters"),
        ));
    }
    let mut seat_ids = Vec::new();
    let mut wrong = Vec::new();
    for (position, id) in request.seat_ids.iter().take(MAX_SEATS_READ).enumerate() {
        match parse_id::<SeatId>(&format!("seatIds[{position}]"), id) {
            Ok(seat_id) => seat_ids.push(seat_id),
            Err(problem) => wrong.extend(problem.fields),
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    Ok(HoldRequest {
        user_id: parse_id("userId", &request.user_id)?,
        queue_token: SecretString::from(request.queue_token),
        schedule_id: parse_id("scheduleId", &request.schedule_id)?,
        seat_ids,
        idempotency_key: Some(request.idempotency_key).filter(|key| !key.is_empty()),
    })
}

pub(super) fn credential(credential: Option<proto::PaymentCredential>) -> Result<Credential, Problem> {
    use proto::payment_credential::Credential as Wire;
    match credential.and_then(|credential| credential.credential) {
        None => Err(Problem::field("credential", "is required")),
        Some(Wire::PaymentToken(token)) => Ok(Credential::PaymentToken(SecretString::from(token))),
        Some(Wire::Queue(queue)) => Ok(Credential::Queue {
            user_id: parse_id("credential.queue.userId", &queue.user_id)?,
            concert_id: parse_id("credential.queue.concertId", &queue.concert_id)?,
            number: QueueNumber(queue.number),
        }),
    }
}

/// When a cancellation was asked for, as exactly as Postgres keeps a time.
pub(super) fn asked_at(at: OffsetDateTime) -> Result<OffsetDateTime, Problem> {
    if at < OffsetDateTime::UNIX_EPOCH {
        return Err(Problem::field("askedAt", "must not be before 1970"));
    }
    Ok(at.truncate_to_microsecond())
}

/// The fence that a payment shows; the first version is 1.
pub(super) fn fence(version: u64) -> Result<u64, Problem> {
    if version == 0 {
        return Err(Problem::field("version", "is required"));
    }
    Ok(version)
}

pub(super) fn seat_states(map: &SeatMap) -> proto::GetSeatStatesResponse {
    let letter = |status: &SeatStatus| match status {
        SeatStatus::Available => b'A',
        SeatStatus::Pending => b'P',
        SeatStatus::Occupied => b'O',
    };
    proto::GetSeatStatesResponse {
        version: map.version,
        statuses: map.seats.iter().map(letter).collect(),
    }
}

pub(super) fn counts(schedule: &ScheduleCounts) -> proto::ScheduleCounts {
    let grades = schedule.grades.iter().map(|grade| proto::GradeCounts {
        grade: grade.grade.to_string(),
        price: grade.price.get(),
        total: grade.total,
        available: grade.available(),
        pending: grade.pending,
        occupied: grade.occupied,
    });
    proto::ScheduleCounts {
        schedule_id: schedule.schedule_id.to_string(),
        grades: grades.collect(),
    }
}

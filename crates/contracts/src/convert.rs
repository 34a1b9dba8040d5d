//! Between the contracts' plain fields and the typed values that services work with.

use std::str::FromStr;

use service_kit::problem::Problem;
use time::OffsetDateTime;
use vocabulary::{Amount, ParseIdError, QueueTokenStatus, ReservationStatus};

use crate::{booking, queue};

/// A required id; `field` is its public name.
///
/// # Errors
/// It is missing or no id.
pub fn parse_id<T: FromStr<Err = ParseIdError>>(field: &str, text: &str) -> Result<T, Problem> {
    if text.is_empty() {
        return Err(Problem::field(field, "is required"));
    }
    text.parse()
        .map_err(|error: ParseIdError| Problem::field(field, error.to_string()))
}

/// An id that may be absent; `field` is its public name.
///
/// # Errors
/// It is there and no id.
pub fn optional_id<T: FromStr<Err = ParseIdError>>(field: &str, text: &str) -> Result<Option<T>, Problem> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse_id(field, text).map(Some)
    }
}

/// An amount of money; `field` is its public name.
///
/// # Errors
/// It is out of range.
pub fn amount(field: &str, units: i64) -> Result<Amount, Problem> {
    Amount::new(units).map_err(|error| Problem::field(field, error.to_string()))
}

/// A time for a message.
#[must_use]
pub fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    // Nanoseconds of a second always fit.
    prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).unwrap_or(0),
    }
}

/// A time from a message; `field` is its public name.
///
/// # Errors
/// It is beyond the years that can be told (-9999 to 9999).
pub fn time_of(field: &str, timestamp: &prost_types::Timestamp) -> Result<OffsetDateTime, Problem> {
    OffsetDateTime::from_unix_timestamp(timestamp.seconds)
        .ok()
        .zip(u32::try_from(timestamp.nanos).ok())
        .and_then(|(time, nanos)| time.replace_nanosecond(nanos).ok())
        .ok_or_else(|| Problem::field(field, "must be a time between the years -9999 and 9999"))
}

/// The contract's value of a queue token status.
#[must_use]
pub const fn queue_status(status: QueueTokenStatus) -> queue::TokenStatus {
    match status {
        QueueTokenStatus::Waiting => queue::TokenStatus::Waiting,
        QueueTokenStatus::Processing => queue::TokenStatus::Processing,
        QueueTokenStatus::Expired => queue::TokenStatus::Expired,
        QueueTokenStatus::Completed => queue::TokenStatus::Completed,
    }
}

/// The shared word of the contract's queue token status; `None` when it is unspecified.
#[must_use]
pub const fn word_of_queue_status(status: queue::TokenStatus) -> Option<QueueTokenStatus> {
    match status {
        queue::TokenStatus::Unspecified => None,
        queue::TokenStatus::Waiting => Some(QueueTokenStatus::Waiting),
        queue::TokenStatus::Processing => Some(QueueTokenStatus::Processing),
        queue::TokenStatus::Expired => Some(QueueTokenStatus::Expired),
        queue::TokenStatus::Completed => Some(QueueTokenStatus::Completed),
    }
}

/// The contract's value of a reservation status.
#[must_use]
pub const fn reservation_status(status: ReservationStatus) -> booking::ReservationStatus {
    match status {
        ReservationStatus::Pending => booking::ReservationStatus::Pending,
        ReservationStatus::Paying => booking::ReservationStatus::Paying,
        ReservationStatus::Confirmed => booking::ReservationStatus::Confirmed,
        ReservationStatus::Expired => booking::ReservationStatus::Expired,
        ReservationStatus::Canceled => booking::ReservationStatus::Canceled,
    }
}

/// The shared word of the contract's reservation status; `None` when it is unspecified.
#[must_use]
pub const fn word_of_reservation_status(status: booking::ReservationStatus) -> Option<ReservationStatus> {
    match status {
        booking::ReservationStatus::Unspecified => None,
        booking::ReservationStatus::Pending => Some(ReservationStatus::Pending),
        booking::ReservationStatus::Paying => Some(ReservationStatus::Paying),
        booking::ReservationStatus::Confirmed => Some(ReservationStatus::Confirmed),
        booking::ReservationStatus::Expired => Some(ReservationStatus::Expired),
        booking::ReservationStatus::Canceled => Some(ReservationStatus::Canceled),
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{ProblemCode, SeatId};

    use super::*;

    #[test]
    fn a_missing_or_wrong_id_names_its_field() {
        let missing = parse_id::<SeatId>("seatId", "").unwrap_err();
        assert_eq!(
            (missing.code, missing.fields[0].field.as_str()),
            (ProblemCode::InvalidField, "seatId")
        );
        let wrong = parse_id::<SeatId>("seatIds[2]", "A7").unwrap_err();
        assert_eq!(wrong.fields[0].field, "seatIds[2]");
    }

    #[test]
    fn a_time_survives_the_way_through_a_message() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_789).unwrap();
        assert_eq!(time_of("startsAt", &timestamp(time)).unwrap(), time);
        let far = prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        assert_eq!(time_of("startsAt", &far).unwrap_err().fields[0].field, "startsAt");
    }

    #[test]
    fn every_status_survives_the_way_through_a_message() {
        for status in ReservationStatus::ALL {
            assert_eq!(
                word_of_reservation_status(reservation_status(*status)),
                Some(*status)
            );
        }
        for status in QueueTokenStatus::ALL {
            assert_eq!(word_of_queue_status(queue_status(*status)), Some(*status));
        }
    }
}

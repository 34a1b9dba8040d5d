//! A refusal that a caller can act on, and its one mapping to and from gRPC.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use vocabulary::ProblemCode;

const DOMAIN: &str = "frontrow";
/// How long a caller waits before it asks an absent part of the system again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A field and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, as the public API names it: `seatIds[2]`, `card.paymentKey`.
    pub field: String,
    /// The rule, as a clause that follows the field's name: "must be at most 4".
    pub rule: String,
}

/// What a caller learns of a refusal. It carries nothing internal.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// The stable code.
    pub code: ProblemCode,
    /// A sentence on this occurrence.
    pub detail: String,
    /// The fields that are wrong.
    pub fields: Vec<FieldError>,
    /// Further members of the answer, by their public names: `seatIds`, `orderId`.
    pub members: BTreeMap<String, Value>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem with a sentence on this occurrence.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let retry_after =
            matches!(code, ProblemCode::Unavailable | ProblemCode::TooManyRequests).then_some(RETRY_AFTER);
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            members: BTreeMap::new(),
            retry_after,
        }
    }

    /// A problem that its code already says in full.
    #[must_use]
    pub fn of(code: ProblemCode) -> Self {
        Self::new(code, code.title())
    }

    /// One field that breaks one rule.
    #[must_use]
    pub fn field(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            field: field.into(),
            rule: rule.into(),
        }])
    }

    /// Fields that break rules.
    #[must_use]
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let detail = fields
            .iter()
            .map(|error| format!("{} {}", error.field, error.rule))
            .collect::<Vec<_>>()
            .join("; ");
        Self {
            fields,
            ..Self::new(ProblemCode::InvalidField, detail)
        }
    }

    /// With a further member of the answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// With the time after which to come again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// The gRPC code that stands for a problem code.
#[must_use]
pub fn grpc_code(code: ProblemCode) -> Code {
    use ProblemCode as P;
    match code {
        P::MalformedRequest
        | P::InvalidField
        | P::BodyTooLarge
        | P::UnsupportedMediaType
        | P::MethodNotAllowed
        | P::CardRequired
        | P::IdempotencyKeyReused => Code::InvalidArgument,
        P::RouteNotFound | P::NotFound => Code::NotFound,
        P::Unauthenticated
        | P::AccessTokenExpired
        | P::InvalidCredentials
        | P::InvalidRefreshToken
        | P::QueueTokenMissing
        | P::QueueTokenMalformed
        | P::QueueTokenUnsigned
        | P::QueueTokenInvalid
        | P::PaymentTokenInvalid => Code::Unauthenticated,
        P::Forbidden | P::QueueTokenForeign | P::QueueTokenOtherConcert | P::NotAdmitted => {
            Code::PermissionDenied
        }
        P::EmailTaken | P::OrderUsed => Code::AlreadyExists,
        P::QueueTokenExpired
        | P::PageLeft
        | P::SaleClosed
        | P::RoomClosed
        | P::DrawPending
        | P::SeatCapExceeded
        | P::ReservationNotReleasable
        | P::ReservationNotCancelable
        | P::CancellationWindowClosed
        | P::ScheduleCanceled
        | P::InsufficientPoints
        | P::AlreadyPaid
        | P::PaymentWindowClosed
        | P::PaymentFailed => Code::FailedPrecondition,
        P::SeatUnavailable | P::PaymentInProgress | P::IdempotencyKeyInProgress => Code::Aborted,
        P::TooManyRequests => Code::ResourceExhausted,
        P::Unavailable => Code::Unavailable,
        P::DeadlineExceeded => Code::DeadlineExceeded,
        P::Internal => Code::Internal,
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let metadata = problem
            .members
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()));
        let mut details = ErrorDetails::with_error_info(
            problem.code.as_str(),
            DOMAIN,
            metadata
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
        );
        for error in &problem.fields {
            details.add_bad_request_violation(&error.field, &error.rule);
        }
        if let Some(wait) = problem.retry_after {
            details.set_retry_info(Some(wait));
        }
        Self::with_error_details(grpc_code(problem.code), problem.detail, details)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Self::from(&status)
    }
}

impl From<&Status> for Problem {
    /// Reads back what [`Status::from`] wrote. A status of another maker keeps only its meaning: what a library
    /// or a peer says of itself is not for the public.
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let known = details
            .error_info()
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| Some((info.reason.parse::<ProblemCode>().ok()?, info)));
        let Some((code, info)) = known else {
            return Self::of(code_of_foreign(status));
        };

        let members = info.metadata.iter().filter_map(|(name, text)| {
            serde_json::from_str(text)
                .ok()
                .map(|value: Value| (name.clone(), value))
        });
        let fields = details
            .bad_request()
            .into_iter()
            .flat_map(|bad| &bad.field_violations);
        Self {
            code,
            detail: status.message().to_owned(),
            fields: fields
                .map(|violation| FieldError {
                    field: violation.field.clone(),
                    rule: violation.description.clone(),
                })
                .collect(),
            members: members.collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

fn code_of_foreign(status: &Status) -> ProblemCode {
    match status.code() {
        // Tonic answers Cancelled where a deadline cut a call short.
        Code::DeadlineExceeded | Code::Cancelled => ProblemCode::DeadlineExceeded,
        Code::Unavailable | Code::ResourceExhausted => ProblemCode::Unavailable,
        // Only our own side of a broken connection has a source: the peer died in the middle of the call.
        _ if std::error::Error::source(status).is_some() => ProblemCode::Unavailable,
        _ => ProblemCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_way_through_grpc() {
        let problem = Problem::field("seatIds[1]", "must be different from the others")
            .with("seatIds", vec!["a", "b"])
            .retry_after(Duration::from_secs(3));
        assert_eq!(Problem::from(Status::from(problem.clone())), problem);
    }

    #[test]
    fn every_code_survives_the_way_through_grpc() {
        for code in ProblemCode::ALL {
            assert_eq!(Problem::from(Status::from(Problem::of(*code))).code, *code);
        }
    }

    #[test]
    fn a_status_of_another_maker_tells_nothing_internal() {
        let problem = Problem::from(Status::internal("relation \"users\" does not exist"));
        assert_eq!(problem.code, ProblemCode::Internal);
        assert!(!problem.detail.contains("users"));
        assert_eq!(
            Problem::from(Status::unavailable("tcp connect error")).code,
            ProblemCode::Unavailable
        );
    }
}

//! Refusals as HTTP answers (RFC 9457), and the one table from problem code to status.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use service_kit::problem::{self, Problem};
use service_kit::telemetry;
use tracing::Span;
use utoipa::ToSchema;
use vocabulary::ProblemCode;

/// The media type of every refusal.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The HTTP status of a problem code.
pub(crate) const fn status(code: ProblemCode) -> StatusCode {
    use ProblemCode as P;
    match code {
        P::MalformedRequest => StatusCode::BAD_REQUEST,
        P::Unauthenticated
        | P::AccessTokenExpired
        | P::InvalidCredentials
        | P::InvalidRefreshToken
        | P::QueueTokenMissing
        | P::QueueTokenMalformed
        | P::QueueTokenUnsigned
        | P::QueueTokenInvalid
        | P::PaymentTokenInvalid => StatusCode::UNAUTHORIZED,
        P::InsufficientPoints => StatusCode::PAYMENT_REQUIRED,
        P::Forbidden | P::QueueTokenForeign | P::QueueTokenOtherConcert | P::NotAdmitted => {
            StatusCode::FORBIDDEN
        }
        P::RouteNotFound | P::NotFound => StatusCode::NOT_FOUND,
        P::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        P::EmailTaken
        | P::SeatUnavailable
        | P::ReservationNotReleasable
        | P::ReservationNotCancelable
        | P::OrderUsed
        | P::RoomClosed
        | P::DrawPending
        | P::PaymentInProgress
        | P::AlreadyPaid
        | P::IdempotencyKeyInProgress => StatusCode::CONFLICT,
        P::QueueTokenExpired
        | P::PageLeft
        | P::SaleClosed
        | P::PaymentWindowClosed
        | P::CancellationWindowClosed
        | P::ScheduleCanceled => StatusCode::GONE,
        P::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        P::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        P::InvalidField | P::SeatCapExceeded | P::CardRequired | P::IdempotencyKeyReused => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        P::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        P::PaymentFailed | P::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        P::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        P::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// What a 401 asks for (RFC 9110, section 11.6.1).
const fn challenge(code: ProblemCode) -> Option<&'static str> {
    use ProblemCode as P;
    match code {
        P::Unauthenticated | P::InvalidCredentials | P::InvalidRefreshToken => {
            Some("Bearer realm=\"frontrow\"")
        }
        P::AccessTokenExpired => Some("Bearer realm=\"frontrow\", error=\"invalid_token\""),
        P::QueueTokenMissing | P::QueueTokenMalformed | P::QueueTokenUnsigned | P::QueueTokenInvalid => {
            Some("Queue-Token realm=\"frontrow\"")
        }
        P::PaymentTokenInvalid => Some("Payment-Token realm=\"frontrow\""),
        _ => None,
    }
}

/// A refusal on its way out.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ApiProblem(#[from] pub Problem);

impl ApiProblem {
    /// Nothing is wrong with the request: a part of the system is away or at fault.
    pub(crate) fn is_of_ours(&self) -> bool {
        status(self.0.code).is_server_error()
    }
}

impl From<ProblemCode> for ApiProblem {
    fn from(code: ProblemCode) -> Self {
        Self(Problem::of(code))
    }
}

impl From<tonic::Status> for ApiProblem {
    fn from(status: tonic::Status) -> Self {
        let problem = Problem::from(&status);
        if problem.code == ProblemCode::Internal {
            tracing::error!(rpc.code = ?status.code(), "an upstream failed");
        }
        Self(problem)
    }
}

/// A refusal, as every route answers it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// Names the kind of problem: `/problems/` and the code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/seat-unavailable")]
    kind: String,
    /// The kind of problem in a few words.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// A sentence on this occurrence.
    detail: String,
    /// The stable code.
    #[schema(example = "seat-unavailable")]
    code: &'static str,
    /// The fields that are wrong, each with the rule it breaks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// The trace of this request, for a question to the operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<String>,
    /// What else the code promises: `seatIds` of `seat-unavailable`, `orderId` of `payment-failed`, `limit` of
    /// `too-many-requests` for joins and streams.
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    members: BTreeMap<String, serde_json::Value>,
}

/// A field and the rule that it breaks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The field's path.
    #[schema(example = "seatIds[2]")]
    field: String,
    /// The rule, as a clause that follows the field's name.
    #[schema(example = "must be different from the others")]
    rule: String,
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let Problem {
            code,
            detail,
            fields,
            members,
            retry_after,
        } = self.0;
        let status = status(code);
        let document = ProblemDocument {
            kind: format!("/problems/{code}"),
            title: code.title(),
            status: status.as_u16(),
            detail,
            code: code.as_str(),
            errors: fields
                .into_iter()
                .map(|error| FieldProblem {
                    field: error.field,
                    rule: error.rule,
                })
                .collect(),
            trace_id: telemetry::trace_id(&Span::current()),
            members,
        };

        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(challenge) = challenge(code) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        let come_again = matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        if let Some(wait) = retry_after.or(come_again.then_some(problem::RETRY_AFTER)) {
            // Whole seconds, rounded up: earlier would be too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        // Serialising text and JSON values cannot fail.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, headers, body).into_response();
        response.extensions_mut().insert(code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_401_says_what_it_asks_for_and_nothing_else_does() {
        for code in ProblemCode::ALL {
            assert_eq!(
                challenge(*code).is_some(),
                status(*code) == StatusCode::UNAUTHORIZED,
                "{code}"
            );
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let problem = Problem::of(ProblemCode::TooManyRequests);
        let answer = |wait_ms| {
            let wait = std::time::Duration::from_millis(wait_ms);
            ApiProblem(problem.clone().retry_after(wait))
                .into_response()
                .headers()[RETRY_AFTER]
                .clone()
        };
        assert_eq!(answer(1), "1");
        assert_eq!(answer(2_500), "3");
    }
}

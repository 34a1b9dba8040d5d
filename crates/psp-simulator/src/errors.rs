//! The provider's error codes with their HTTP statuses and messages, and their form on the wire: `{code, message}`.
//!
//! Messages are in Korean, the provider's default language.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

/// Why the provider refuses a request. The name in capitals is the `code` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ErrorCode {
    /// A missing, malformed or out-of-range parameter.
    InvalidRequest,
    /// No credentials, or an unknown secret key.
    UnauthorizedKey,
    /// A key of another kind: a client key, or a live key in the test environment.
    InvalidApiKey,
    /// Basic credentials without the colon behind the secret key.
    IncorrectBasicAuthFormat,
    /// An `Idempotency-Key` of more than 300 characters.
    InvalidIdempotencyKey,
    /// The first request with this `Idempotency-Key` is still running.
    IdempotentRequestProcessing,
    /// The buyer never authenticated this payment key, or not for this order and amount, or too long ago.
    NotFoundPaymentSession,
    /// Less than a card can be charged.
    BelowMinimumAmount,
    /// The payment key was confirmed before; money moved at most once.
    AlreadyProcessedPayment,
    /// The order was paid with another payment key.
    DuplicatedOrderId,
    /// The card declines.
    RejectCardPayment,
    /// A temporary fault: nothing was captured, try again.
    ProviderError,
    /// No such payment, by key or by order.
    NotFoundPayment,
    /// All of the captured amount went back before.
    AlreadyCanceledPayment,
    /// More than what is left of the captured amount.
    NotCancelableAmount,
    /// What is left is not what the caller takes it to be.
    NotMatchesRefundableAmount,
    /// The same was asked for a moment ago.
    ForbiddenConsecutiveRequest,
    /// Transactions are asked for after one that is not among them.
    InvalidTransactionKey,
    /// Nothing was captured, so nothing can go back.
    NotCancelablePayment,
    /// No such resource.
    NotFound,
    /// The simulator could not write its journal; nothing happened.
    FailedInternalSystemProcessing,
}

impl ErrorCode {
    fn status_and_message(self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "잘못된 요청입니다."),
            Self::UnauthorizedKey => (
                StatusCode::UNAUTHORIZED,
                "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.",
            ),
            Self::InvalidApiKey => (StatusCode::BAD_REQUEST, "잘못된 시크릿키 연동 정보 입니다."),
            Self::IncorrectBasicAuthFormat => (
                StatusCode::FORBIDDEN,
                "잘못된 요청입니다. ':' 를 포함해 인코딩해주세요.",
            ),
            Self::InvalidIdempotencyKey => (StatusCode::BAD_REQUEST, "멱등키는 300자 이하여야 합니다."),
            Self::IdempotentRequestProcessing => (StatusCode::CONFLICT, "이전 멱등 요청이 처리중입니다."),
            Self::NotFoundPaymentSession => (
                StatusCode::NOT_FOUND,
                "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다.",
            ),
            Self::BelowMinimumAmount => (
                StatusCode::BAD_REQUEST,
                "신용카드는 결제금액이 100원 이상, 계좌는 200원이상부터 결제가 가능합니다.",
            ),
            Self::AlreadyProcessedPayment => (StatusCode::BAD_REQUEST, "이미 처리된 결제 입니다."),
            Self::DuplicatedOrderId => (
                StatusCode::BAD_REQUEST,
                "이미 승인 및 취소가 진행된 중복된 주문번호 입니다. 다른 주문번호로 진행해주세요.",
            ),
            Self::RejectCardPayment => (
                StatusCode::FORBIDDEN,
                "한도초과 혹은 잔액부족으로 결제에 실패했습니다.",
            ),
            Self::ProviderError => (
                StatusCode::BAD_REQUEST,
                "일시적인 오류가 발생했습니다. 잠시 후 다시 시도해주세요.",
            ),
            Self::NotFoundPayment => (StatusCode::NOT_FOUND, "존재하지 않는 결제 정보 입니다."),
            Self::AlreadyCanceledPayment => (StatusCode::BAD_REQUEST, "이미 취소된 결제 입니다."),
            Self::NotCancelableAmount => (StatusCode::FORBIDDEN, "취소 할 수 없는 금액 입니다."),
            Self::NotMatchesRefundableAmount => (StatusCode::BAD_REQUEST, "잔액 결과가 일치하지 않습니다."),
            Self::ForbiddenConsecutiveRequest => (
                StatusCode::FORBIDDEN,
                "반복적인 요청은 허용되지 않습니다. 잠시 후 다시 시도해주세요.",
            ),
            Self::InvalidTransactionKey => (StatusCode::BAD_REQUEST, "잘못된 페이징 키 입니다."),
            Self::NotCancelablePayment => (StatusCode::FORBIDDEN, "취소 할 수 없는 결제 입니다."),
            Self::NotFound => (StatusCode::NOT_FOUND, "존재하지 않는 정보 입니다."),
            Self::FailedInternalSystemProcessing => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "내부 시스템 처리 작업이 실패했습니다. 잠시 후 다시 시도해주세요.",
            ),
        }
    }
}

/// The error object as it appears in an answer, and as `failure` in a payment that was declined.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject {
    code: ErrorCode,
    message: &'static str,
}

impl From<ErrorCode> for ErrorObject {
    fn from(code: ErrorCode) -> Self {
        let (_, message) = code.status_and_message();
        Self { code, message }
    }
}

impl IntoResponse for ErrorCode {
    fn into_response(self) -> Response {
        let (status, _) = self.status_and_message();
        (status, Json(ErrorObject::from(self))).into_response()
    }
}

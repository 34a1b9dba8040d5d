//! Paying for a reservation.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::payment::{self, GetPaymentRequest, PayRequest};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use service_kit::problem::Problem;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{PaymentId, ProblemCode as P, ReservationId};

use super::created;
use super::reservations::Reservation;
use crate::extract::{Bearer, Body, Broken, IdempotencyKey, PathId, PaymentCredential, Rules};
use crate::openapi::{BEARER, BODY, IDEMPOTENT, QUEUE_TOKEN, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract, PaymentStatus};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pay))
        .routes(routes!(get_payment))
}

/// A card payment that the buyer authenticated in the provider's window.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Card {
    /// The provider's key of the payment.
    #[schema(min_length = 1, max_length = 200)]
    payment_key: String,
    /// The order that it was authenticated for; absent = the reservation's current one, or for a charge one of our making.
    #[schema(min_length = 6, max_length = 64)]
    order_id: Option<String>,
}

impl Card {
    pub(super) fn check(&self, broken: &mut Broken) {
        // The contract's word for an absent one.
        let named = self.order_id.as_deref() != Some("");
        broken.unless(named, "card.orderId", "must not be empty");
    }
}

impl From<Card> for payment::Card {
    fn from(card: Card) -> Self {
        Self {
            payment_key: card.payment_key,
            order_id: card.order_id.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Pay {
    #[schema(value_type = uuid::Uuid)]
    reservation_id: ReservationId,
    /// Points to take from the wallet; the rest of the total is taken by card, 0 or at least 100 won.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    points: i64,
    /// Needed where points do not cover the total.
    #[serde(default, deserialize_with = "wire::read_optional_object")]
    card: Option<Card>,
}

impl Rules for Pay {
    fn check(&self, broken: &mut Broken) {
        if let Some(card) = &self.card {
            card.check(broken);
        }
    }
}

/// A payment that succeeded.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Paid {
    #[schema(format = Uuid)]
    payment_id: String,
    status: PaymentStatus,
    reservation: Reservation,
}

/// A payment whose outcome is not known yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Unsettled {
    #[schema(format = Uuid)]
    payment_id: String,
    status: PaymentStatus,
}

problems!(PayProblems: BODY, BEARER, QUEUE_TOKEN, IDEMPOTENT, &[
    P::PaymentTokenInvalid, P::QueueTokenForeign, P::QueueTokenOtherConcert, P::NotFound, P::InsufficientPoints,
    P::PaymentInProgress, P::AlreadyPaid, P::PaymentWindowClosed, P::ScheduleCanceled, P::CardRequired, P::PaymentFailed,
]);

/// Pay a reservation, by points, by card, or both.
///
/// Whoever has the payment token may pay, or whoever has the queue token that made the hold. Where an access token is
/// sent too, it must be the owner's.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", params(IdempotencyKey), request_body = Pay,
    responses(
        (status = 201, body = Paid, description = "Paid: the seats are the buyer's.", headers(("Location" = String))),
        (status = 202, body = Unsettled, description = "The provider has not answered in time; the outcome will be at `Location`.", headers(("Location" = String))),
        PayProblems
    ),
    security(("paymentToken" = []), ("queueToken" = []))
)]
async fn pay(
    State(app): State<App>,
    payer: PaymentCredential,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(pay): Body<Pay>,
) -> Result<Response, ApiProblem> {
    let request = PayRequest {
        reservation_id: pay.reservation_id.to_string(),
        points: pay.points,
        card: pay.card.map(Into::into),
        credential: Some(payer.credential),
        user_id: payer.user_id.map(|id| id.to_string()).unwrap_or_default(),
        idempotency_key,
    };
    let answer = app.clients.payment.clone().pay(request).await?.into_inner();
    let payment = wire::required("PayResponse.payment", answer.payment)?;
    let status = PaymentStatus::read(payment.status)?;
    let location = format!("/v1/payments/{}", payment.payment_id);
    match status {
        PaymentStatus::Succeeded => {
            let reservation = wire::required("PayResponse.reservation", answer.reservation)?;
            let paid = Paid {
                payment_id: payment.payment_id,
                status,
                reservation: reservation.try_into()?,
            };
            Ok(created(location, paid).into_response())
        }
        PaymentStatus::Failed | PaymentStatus::Refunded => {
            let code = payment.failure_code.parse().unwrap_or(P::PaymentFailed);
            Err(Problem::of(code).with("paymentId", payment.payment_id).into())
        }
        PaymentStatus::Created
        | PaymentStatus::PointsTaken
        | PaymentStatus::Confirming
        | PaymentStatus::Unknown
        | PaymentStatus::Captured => {
            let unsettled = Unsettled {
                payment_id: payment.payment_id,
                status,
            };
            Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(unsettled)).into_response())
        }
    }
}

/// One try to pay one reservation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Payment {
    #[schema(format = Uuid)]
    payment_id: String,
    #[schema(format = Uuid)]
    reservation_id: String,
    status: PaymentStatus,
    /// Paid from the wallet.
    points: i64,
    /// Paid by card, in the currency's smallest unit.
    card_amount: i64,
    /// ISO 4217.
    currency: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// A problem code, when FAILED or REFUNDED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure_code: Option<String>,
}

impl TryFrom<payment::Payment> for Payment {
    type Error = BrokenContract;

    fn try_from(payment: payment::Payment) -> Result<Self, Self::Error> {
        Ok(Self {
            payment_id: payment.payment_id,
            reservation_id: payment.reservation_id,
            status: PaymentStatus::read(payment.status)?,
            points: payment.points,
            card_amount: payment.card_amount,
            currency: payment.currency,
            created_at: wire::time("Payment.created_at", payment.created_at)?,
            failure_code: wire::non_empty(payment.failure_code),
        })
    }
}

problems!(GetProblems: BEARER, &[P::NotFound]);

/// One of the user's own payments.
#[utoipa::path(
    get, path = "/v1/payments/{paymentId}", tag = "payments",
    params(("paymentId" = uuid::Uuid, Path)),
    responses((status = 200, body = Payment, description = "The payment."), GetProblems),
    security(("bearer" = []))
)]
async fn get_payment(
    State(app): State<App>,
    PathId(payment_id): PathId<PaymentId>,
    Bearer(identity): Bearer,
) -> Result<Json<Payment>, ApiProblem> {
    let request = GetPaymentRequest {
        user_id: identity.user_id.to_string(),
        payment_id: payment_id.to_string(),
    };
    let answer = app
        .clients
        .payment
        .clone()
        .get_payment(request)
        .await?
        .into_inner();
    let payment = wire::required("GetPaymentResponse.payment", answer.payment)?;
    Ok(Json(payment.try_into()?))
}

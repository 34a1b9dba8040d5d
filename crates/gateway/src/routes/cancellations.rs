//! Canceling a paid reservation: seats back on sale, money back to where it came from.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::payment::{self, CancelReservationRequest, GetRefundRequest, RefundStatus};
use http::StatusCode;
use http::header::LOCATION;
use serde::Serialize;
use service_kit::problem::Problem;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ProblemCode as P, ReservationId};

use crate::extract::{Bearer, IdempotencyKey, PathId};
use crate::openapi::{BEARER, IDEMPOTENT, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract, CancellationStatus};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(cancel_reservation, get_cancellation))
}

/// Money of one canceled reservation on its way back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Refund {
    #[schema(format = Uuid)]
    refund_id: String,
    #[schema(format = Uuid)]
    reservation_id: String,
    status: CancellationStatus,
    /// The share of what was paid that goes back; absent, with the next three, until the seats are back on sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, nullable = false)]
    percent: Option<u32>,
    /// Back to the wallet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    points: Option<i64>,
    /// Back to the card, in the currency's smallest unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    card_amount: Option<i64>,
    /// Both together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    total: Option<i64>,
    /// ISO 4217.
    currency: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When all of it was back; absent before.
    #[serde(
        serialize_with = "time::serde::rfc3339::option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    ended_at: Option<OffsetDateTime>,
}

/// A refund as everybody sees it; a refused one is none, and what it answers is why.
fn read(refund: payment::Refund) -> Result<Refund, ApiProblem> {
    let broken = BrokenContract("Refund.status");
    let (status, seats_are_back) = match RefundStatus::try_from(refund.status) {
        Ok(RefundStatus::Created) => (CancellationStatus::Pending, false),
        Ok(RefundStatus::SeatsReturned | RefundStatus::Refunding | RefundStatus::MoneyReturned) => {
            (CancellationStatus::Pending, true)
        }
        Ok(RefundStatus::Completed) => (CancellationStatus::Completed, true),
        Ok(RefundStatus::Refused) => {
            let code = refund.failure_code.parse().unwrap_or(P::ReservationNotCancelable);
            return Err(Problem::of(code).into());
        }
        Ok(RefundStatus::Unspecified) | Err(_) => return Err(broken.into()),
    };
    Ok(Refund {
        status,
        percent: seats_are_back.then_some(refund.percent),
        points: seats_are_back.then_some(refund.points),
        card_amount: seats_are_back.then_some(refund.card_amount),
        total: seats_are_back.then(|| refund.points.saturating_add(refund.card_amount)),
        created_at: wire::time("Refund.created_at", refund.created_at)?,
        ended_at: wire::optional_time("Refund.ended_at", refund.ended_at)?,
        refund_id: refund.refund_id,
        reservation_id: refund.reservation_id,
        currency: refund.currency,
    })
}

problems!(CancelProblems: BEARER, IDEMPOTENT, &[P::NotFound, P::PaymentInProgress, P::ReservationNotCancelable, P::CancellationWindowClosed]);

/// Cancel a paid reservation, as its concert's refund policy allows now. Asking again answers the same cancellation, with or
/// without a key.
#[utoipa::path(
    post, path = "/v1/reservations/{reservationId}/cancellation", tag = "reservations",
    params(("reservationId" = uuid::Uuid, Path), IdempotencyKey),
    responses(
        (status = 201, body = Refund, description = "Canceled, and the money is back.", headers(("Location" = String))),
        (status = 202, body = Refund, description = "The money is still on its way; the outcome will be at `Location`.", headers(("Location" = String))),
        (status = 200, body = Refund, description = "It was canceled before, and the money is back."),
        CancelProblems
    ),
    security(("bearer" = []))
)]
async fn cancel_reservation(
    State(app): State<App>,
    PathId(reservation_id): PathId<ReservationId>,
    Bearer(identity): Bearer,
    IdempotencyKey(idempotency_key): IdempotencyKey,
) -> Result<Response, ApiProblem> {
    let request = CancelReservationRequest {
        user_id: identity.user_id.to_string(),
        reservation_id: reservation_id.to_string(),
        idempotency_key,
    };
    let answer = app.clients.payment.clone().cancel_reservation(request).await?;
    let answer = answer.into_inner();
    let refund = read(wire::required("CancelReservationResponse.refund", answer.refund)?)?;
    let status = match (refund.status, answer.created) {
        (CancellationStatus::Pending, _) => StatusCode::ACCEPTED,
        (CancellationStatus::Completed, true) => StatusCode::CREATED,
        (CancellationStatus::Completed, false) => return Ok(Json(refund).into_response()),
    };
    let location = format!("/v1/reservations/{reservation_id}/cancellation");
    Ok((status, [(LOCATION, location)], Json(refund)).into_response())
}

problems!(GetProblems: BEARER, &[P::NotFound]);

/// The cancellation of one of the user's own reservations.
#[utoipa::path(
    get, path = "/v1/reservations/{reservationId}/cancellation", tag = "reservations",
    params(("reservationId" = uuid::Uuid, Path)),
    responses((status = 200, body = Refund, description = "How far it has come."), GetProblems),
    security(("bearer" = []))
)]
async fn get_cancellation(
    State(app): State<App>,
    PathId(reservation_id): PathId<ReservationId>,
    Bearer(identity): Bearer,
) -> Result<Json<Refund>, ApiProblem> {
    let request = GetRefundRequest {
        user_id: identity.user_id.to_string(),
        reservation_id: reservation_id.to_string(),
    };
    let answer = app.clients.payment.clone().get_refund(request).await?;
    let refund = wire::required("GetRefundResponse.refund", answer.into_inner().refund)?;
    if refund.status == RefundStatus::Refused as i32 {
        return Err(P::NotFound.into());
    }
    read(refund).map(Json)
}

//! Buying points by card.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contracts::payment::{self, CreateChargeRequest, GetChargeRequest};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use service_kit::problem::Problem;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ChargeId, ProblemCode as P};

use super::created;
use super::payments::Card;
use super::wallet::Wallet;
use crate::extract::{Bearer, Body, Broken, IdempotencyKey, PathId, Rules};
use crate::openapi::{BEARER, BODY, IDEMPOTENT, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract, ChargeStatus};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_charge))
        .routes(routes!(get_charge))
}

#[derive(Deserialize, ToSchema)]
struct NewCharge {
    /// Points, and won.
    #[schema(minimum = 100, maximum = 10_000_000)]
    amount: i64,
    /// Its `orderId` is the one that the site named in the provider's window. Left out, it is one of our own making, which the
    /// provider takes with its test keys only.
    #[serde(deserialize_with = "wire::read_object")]
    card: Card,
}

impl Rules for NewCharge {
    fn check(&self, broken: &mut Broken) {
        self.card.check(broken);
    }
}

/// A charge that succeeded.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Charged {
    #[schema(format = Uuid)]
    charge_id: String,
    status: ChargeStatus,
    amount: i64,
    /// As it stands after the charge.
    wallet: Wallet,
}

/// A charge whose outcome is not known yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UnsettledCharge {
    #[schema(format = Uuid)]
    charge_id: String,
    status: ChargeStatus,
    amount: i64,
}

problems!(ChargeProblems: BODY, BEARER, IDEMPOTENT, &[P::OrderUsed, P::PaymentFailed]);

/// Buy points by card: 1 point for 1 KRW.
#[utoipa::path(
    post, path = "/v1/wallet/charges", tag = "wallet", params(IdempotencyKey), request_body = NewCharge,
    responses(
        (status = 201, body = Charged, description = "The points are in the wallet.", headers(("Location" = String))),
        (status = 202, body = UnsettledCharge, description = "The provider has not answered in time; the outcome will be at `Location`.", headers(("Location" = String))),
        ChargeProblems
    ),
    security(("bearer" = []))
)]
async fn create_charge(
    State(app): State<App>,
    Bearer(identity): Bearer,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(asked): Body<NewCharge>,
) -> Result<Response, ApiProblem> {
    let request = CreateChargeRequest {
        user_id: identity.user_id.to_string(),
        amount: asked.amount,
        card: Some(asked.card.into()),
        idempotency_key,
    };
    let answer = app.clients.payment.clone().create_charge(request).await?;
    let answer = answer.into_inner();
    let charge = wire::required("CreateChargeResponse.charge", answer.charge)?;
    let status = ChargeStatus::read(charge.status)?;
    let location = format!("/v1/wallet/charges/{}", charge.charge_id);
    match status {
        ChargeStatus::Succeeded => {
            let wallet = wire::required("CreateChargeResponse.wallet", answer.wallet)?;
            let charged = Charged {
                charge_id: charge.charge_id,
                status,
                amount: charge.amount,
                wallet: wallet.into(),
            };
            Ok(created(location, charged).into_response())
        }
        ChargeStatus::Failed => {
            let code = charge.failure_code.parse().unwrap_or(P::PaymentFailed);
            Err(Problem::of(code).with("chargeId", charge.charge_id).into())
        }
        ChargeStatus::Created | ChargeStatus::Confirming | ChargeStatus::Unknown => {
            let unsettled = UnsettledCharge {
                charge_id: charge.charge_id,
                status,
                amount: charge.amount,
            };
            Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(unsettled)).into_response())
        }
    }
}

/// Points bought by card.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Charge {
    #[schema(format = Uuid)]
    charge_id: String,
    status: ChargeStatus,
    /// Points, and won.
    amount: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// A problem code, when FAILED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure_code: Option<String>,
}

impl TryFrom<payment::Charge> for Charge {
    type Error = BrokenContract;

    fn try_from(charge: payment::Charge) -> Result<Self, Self::Error> {
        Ok(Self {
            status: ChargeStatus::read(charge.status)?,
            created_at: wire::time("Charge.created_at", charge.created_at)?,
            charge_id: charge.charge_id,
            amount: charge.amount,
            failure_code: wire::non_empty(charge.failure_code),
        })
    }
}

problems!(GetProblems: BEARER, &[P::NotFound]);

/// One of the user's own charges.
#[utoipa::path(
    get, path = "/v1/wallet/charges/{chargeId}", tag = "wallet",
    params(("chargeId" = uuid::Uuid, Path)),
    responses((status = 200, body = Charge, description = "The charge."), GetProblems),
    security(("bearer" = []))
)]
async fn get_charge(
    State(app): State<App>,
    PathId(charge_id): PathId<ChargeId>,
    Bearer(identity): Bearer,
) -> Result<Json<Charge>, ApiProblem> {
    let request = GetChargeRequest {
        user_id: identity.user_id.to_string(),
        charge_id: charge_id.to_string(),
    };
    let answer = app.clients.payment.clone().get_charge(request).await?;
    let charge = wire::required("GetChargeResponse.charge", answer.into_inner().charge)?;
    Ok(Json(charge.try_into()?))
}

//! Points.

use axum::Json;
use axum::extract::State;
use contracts::payment::{self, GetWalletRequest, ListWalletEntriesRequest};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::ProblemCode as P;

use super::Page;
use crate::extract::{Bearer, Query};
use crate::openapi::{BEARER, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_wallet))
        .routes(routes!(list_wallet_entries))
}

/// A user's points; 1 point = 1 KRW.
#[derive(Serialize, ToSchema)]
pub(super) struct Wallet {
    /// Points that can be spent.
    balance: i64,
    /// Points set aside for payments in flight.
    pending: i64,
}

impl From<payment::Wallet> for Wallet {
    fn from(wallet: payment::Wallet) -> Self {
        Self {
            balance: wallet.balance,
            pending: wallet.pending,
        }
    }
}

problems!(WalletProblems: BEARER);

/// The user's own points.
#[utoipa::path(
    get, path = "/v1/wallet", tag = "wallet",
    responses((status = 200, body = Wallet, description = "The points."), WalletProblems),
    security(("bearer" = []))
)]
async fn get_wallet(State(app): State<App>, Bearer(identity): Bearer) -> Result<Json<Wallet>, ApiProblem> {
    let request = GetWalletRequest {
        user_id: identity.user_id.to_string(),
    };
    let answer = app
        .clients
        .payment
        .clone()
        .get_wallet(request)
        .await?
        .into_inner();
    let wallet = wire::required("GetWalletResponse.wallet", answer.wallet)?;
    Ok(Json(wallet.into()))
}

/// One line of a wallet's history.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WalletEntry {
    #[schema(format = Uuid)]
    entry_id: String,
    /// Points; below zero when taken.
    amount: i64,
    /// `PURCHASE`, `RETURN`, `GRANT`, `CHARGE`, `REFUND_POINTS`.
    kind: String,
    /// The payment that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid, nullable = false)]
    payment_id: Option<String>,
    /// The charge that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid, nullable = false)]
    charge_id: Option<String>,
    /// The refund that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid, nullable = false)]
    refund_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl TryFrom<payment::WalletEntry> for WalletEntry {
    type Error = BrokenContract;

    fn try_from(entry: payment::WalletEntry) -> Result<Self, Self::Error> {
        Ok(Self {
            entry_id: entry.entry_id,
            amount: entry.amount,
            kind: entry.kind,
            payment_id: wire::non_empty(entry.payment_id),
            charge_id: wire::non_empty(entry.charge_id),
            refund_id: wire::non_empty(entry.refund_id),
            created_at: wire::time("WalletEntry.created_at", entry.created_at)?,
        })
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WalletEntries {
    entries: Vec<WalletEntry>,
    /// Absent when there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

problems!(EntriesProblems: BEARER, &[P::InvalidField]);

/// The history of the user's own points, newest first.
#[utoipa::path(
    get, path = "/v1/wallet/entries", tag = "wallet", params(Page),
    responses((status = 200, body = WalletEntries, description = "Some of it."), EntriesProblems),
    security(("bearer" = []))
)]
async fn list_wallet_entries(
    State(app): State<App>,
    Bearer(identity): Bearer,
    Query(page): Query<Page>,
) -> Result<Json<WalletEntries>, ApiProblem> {
    let request = ListWalletEntriesRequest {
        user_id: identity.user_id.to_string(),
        cursor: page.cursor,
        limit: page.limit.unwrap_or_default(),
    };
    let answer = app
        .clients
        .payment
        .clone()
        .list_wallet_entries(request)
        .await?
        .into_inner();
    let entries = answer.entries.into_iter().map(WalletEntry::try_from);
    Ok(Json(WalletEntries {
        entries: entries.collect::<Result<_, _>>()?,
        next_cursor: wire::non_empty(answer.next_cursor),
    }))
}

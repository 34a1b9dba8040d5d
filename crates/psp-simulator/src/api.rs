//! The routes: the provider's API under `/v1`, and beside it, not part of the provider's API and open to all, what tests
//! and people look at: `/simulator/payments` and `/healthz`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{
        ConnectInfo, DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{self, SecretKey},
    behaviour::Delivery,
    connection::Scissors,
    errors::ErrorCode,
    idempotency::Scope,
    ledger::{CancelPayment, Confirm, Ledger, Reply},
    transactions::ListTransactions,
    webhooks::Webhooks,
    wire::{payment_object, transaction_object},
};

const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Simulator {
    pub ledger: Ledger,
    pub webhooks: Webhooks,
    pub secret_key: SecretKey,
    /// How late a late answer is.
    pub late_by: Duration,
    /// How long the connection of a lost answer is held open.
    pub lost_after: Duration,
    /// Cancelled when the process stops: nobody waits on.
    pub stopping: CancellationToken,
}

pub(crate) fn router(simulator: Arc<Simulator>) -> Router {
    let provider = Router::new()
        .route("/v1/payments/confirm", post(confirm))
        .route("/v1/payments/{payment_key}", get(payment_by_key))
        .route("/v1/payments/{payment_key}/cancel", post(cancel))
        .route("/v1/payments/orders/{order_id}", get(payment_by_order))
        .route("/v1/transactions", get(transactions))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(&simulator),
            auth::require_secret_key,
        ));
    Router::new()
        .merge(provider)
        .route("/simulator/payments", get(all_payments))
        .route("/healthz", get(async || "ok"))
        .fallback(async || ErrorCode::NotFound)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(simulator)
}

async fn confirm(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Json<Confirm>, JsonRejection>,
) -> Result<Response, ErrorCode> {
    let scope = Scope::of(&headers, &uri)?;
    let reply = simulator.ledger.confirm(scope, parsed(body));
    log("confirm", &headers, &reply);
    simulator.deliver(reply, &scissors).await
}

async fn cancel(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    payment_key: Result<Path<String>, PathRejection>,
    body: Result<Json<CancelPayment>, JsonRejection>,
) -> Result<Response, ErrorCode> {
    let scope = Scope::of(&headers, &uri)?;
    let Path(payment_key) = payment_key.map_err(|_| ErrorCode::NotFoundPayment)?;
    let reply = simulator.ledger.cancel(scope, payment_key, parsed(body));
    log("cancel", &headers, &reply);
    simulator.deliver(reply, &scissors).await
}

async fn payment_by_key(
    State(simulator): State<Arc<Simulator>>,
    payment_key: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ErrorCode> {
    let Path(payment_key) = payment_key.map_err(|_| ErrorCode::NotFoundPayment)?;
    let payment = simulator.ledger.by_key(payment_key)?;
    Ok(Json(payment_object(&payment)))
}

async fn payment_by_order(
    State(simulator): State<Arc<Simulator>>,
    order_id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ErrorCode> {
    let Path(order_id) = order_id.map_err(|_| ErrorCode::NotFoundPayment)?;
    let payment = simulator.ledger.by_order(order_id)?;
    Ok(Json(payment_object(&payment)))
}

async fn transactions(
    State(simulator): State<Arc<Simulator>>,
    query: Result<Query<ListTransactions>, QueryRejection>,
) -> Result<Json<Value>, ErrorCode> {
    let Query(asked) = query.map_err(|_| ErrorCode::InvalidRequest)?;
    let payments = simulator.ledger.all();
    let listed = asked.among(&payments)?;
    Ok(Json(listed.iter().map(transaction_object).collect()))
}

async fn all_payments(State(simulator): State<Arc<Simulator>>) -> Json<Value> {
    let payments = simulator.ledger.all();
    let captured = payments.iter().filter(|payment| payment.capture.is_some());
    let captured_amount: u128 = captured.map(|payment| u128::from(payment.amount.get())).sum();
    let cancels = payments.iter().flat_map(|payment| &payment.cancels);
    let canceled_amount: u128 = cancels.map(|cancel| u128::from(cancel.amount.get())).sum();
    let payments: Vec<_> = payments.iter().map(payment_object).collect();
    Json(json!({
        "capturedAmount": captured_amount,
        "canceledAmount": canceled_amount,
        "payments": payments,
    }))
}

impl Simulator {
    /// Lets an answer travel as it should; a stop of the process loses the answers that are still on their way.
    async fn deliver(&self, reply: Reply, scissors: &Scissors) -> Result<Response, ErrorCode> {
        if let Some(payment) = &reply.news {
            self.webhooks.tell(payment, OffsetDateTime::now_utc());
        }
        match reply.delivery {
            Delivery::Prompt => {}
            Delivery::Late => {
                let stopped = self
                    .stopping
                    .run_until_cancelled(tokio::time::sleep(self.late_by))
                    .await
                    .is_none();
                if stopped {
                    scissors.cut();
                }
            }
            Delivery::Lost => {
                self.stopping
                    .run_until_cancelled(tokio::time::sleep(self.lost_after))
                    .await;
                scissors.cut();
            }
            Delivery::Cut => scissors.cut(),
        }
        reply
            .decision
            .answer()
            .map(|payment| Json(payment_object(payment)).into_response())
    }
}

/// The provider does not say what is wrong with a request, only that something is.
fn parsed<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, ErrorCode> {
    body.map(|Json(request)| request)
        .map_err(|_| ErrorCode::InvalidRequest)
}

/// Tells what a request came to, and of which trace it was. Payment keys stay out of logs.
fn log(request: &'static str, headers: &HeaderMap, reply: &Reply) {
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    match reply.decision.answer() {
        Ok(payment) => {
            let order_id: &str = payment.order_id.as_ref();
            tracing::info!(request, order_id, status = ?payment.status, traceparent, "granted");
        }
        Err(code) => tracing::info!(request, ?code, traceparent, "refused"),
    }
}

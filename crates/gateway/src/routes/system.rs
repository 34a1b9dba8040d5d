//! For operators: whether it lives, and whether all of the system is ready.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_liveness))
        .routes(routes!(get_readiness))
}

/// Whether this process answers.
#[utoipa::path(
    get, path = "/healthz", tag = "system",
    responses((status = 200, body = String, description = "It does."))
)]
async fn get_liveness() -> &'static str {
    "alive"
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Ready {
    ready: bool,
    /// What is not ready yet: services, and parts of this process.
    waiting_for: Vec<&'static str>,
}

/// Whether the whole system is ready to sell; may be one second old.
#[utoipa::path(
    get, path = "/readyz", tag = "system",
    responses(
        (status = 200, body = Ready, description = "It is."),
        (status = 503, body = Ready, description = "Something is missing.")
    )
)]
async fn get_readiness(State(app): State<App>) -> impl IntoResponse {
    let mut waiting_for = app.readiness.waiting_for();
    waiting_for.extend(app.probes.missing().await);
    let ready = waiting_for.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Ready { ready, waiting_for }))
}

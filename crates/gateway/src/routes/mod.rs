//! The routes, one file for each part of the API. A handler reads a request, makes one call and writes its answer.

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::{Router, response};
use http::HeaderValue;
use http::header::CONTENT_SECURITY_POLICY;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use utoipa::{IntoParams, openapi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::config::HttpConfig;
use crate::extract::{Broken, Rules};
use crate::state::App;
use crate::{layers, openapi as document};

mod admin;
mod auth;
mod cancellations;
mod charges;
mod concerts;
mod fairness;
mod payments;
mod queue;
mod queue_events;
mod reservations;
mod seats;
mod standing;
mod system;
mod wallet;
mod webhooks;

/// Smaller answers are not worth compressing; those with tokens are smaller.
const COMPRESS_ABOVE_BYTES: u64 = 8 * 1024;
/// Hashes do not compress.
const UNCOMPRESSED: NotForContentType = NotForContentType::const_new("application/octet-stream");
/// The page of the documentation brings its own scripts and styles.
const DOCS_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// Everything that the public port answers.
pub(crate) fn router(app: App, config: HttpConfig) -> Router {
    layered(ordinary(), slow(), system::routes(), config).with_state(app)
}

/// Routes behind all that happens to a request before and after its handler.
pub(crate) fn layered<S: Clone + Send + Sync + 'static>(
    ordinary: OpenApiRouter<S>,
    slow: OpenApiRouter<S>,
    system: OpenApiRouter<S>,
    config: HttpConfig,
) -> Router<S> {
    let permits = Arc::new(Semaphore::new(config.max_concurrent_requests));
    let within = |limit| from_fn_with_state(limit, layers::deadline);
    let api = ordinary
        .layer(within(config.request_timeout))
        .merge(slow.layer(within(config.slow_request_timeout)))
        .layer(from_fn_with_state(permits, layers::shed));
    let (router, document) = OpenApiRouter::with_openapi(document::frame())
        .merge(api)
        .merge(system)
        .split_for_parts();

    router
        .merge(docs(document))
        .fallback(layers::route_not_found)
        .method_not_allowed_fallback(layers::method_not_allowed)
        // The last one is the outermost.
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(layers::cors(config.cors_origins))
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(
                    SizeAbove::new(COMPRESS_ABOVE_BYTES)
                        .and(UNCOMPRESSED)
                        // An event would wait in the compressor for those after it.
                        .and(NotForContentType::SSE),
                ),
        )
        .layer(map_response(layers::harden))
        .layer(from_fn(layers::observe))
}

/// The same routes for the document alone.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::frame())
        .merge(ordinary())
        .merge(slow())
        .merge(system::routes())
}

fn ordinary() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(concerts::routes())
        .merge(queue::routes())
        .merge(queue_events::routes())
        .merge(fairness::routes())
        .merge(seats::routes())
        .merge(reservations::routes())
        .merge(wallet::routes())
        .merge(webhooks::routes())
}

/// Waits for a payment provider, or moves a hall of 100,000 seats.
fn slow() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(payments::routes())
        .merge(charges::routes())
        .merge(cancellations::routes())
        .merge(admin::routes())
}

fn docs<S: Clone + Send + Sync + 'static>(document: openapi::OpenApi) -> Router<S> {
    // By default the page shows it to a validator of its makers.
    let settings = Config::default().validator_url("none");
    let page = SwaggerUi::new("/docs")
        .config(settings)
        .url("/openapi.json", document);
    Router::from(page).layer(map_response(async |mut response: response::Response| {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
        response
    }))
}

/// A part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// `nextCursor` of the answer before; absent = from the start.
    #[param(max_length = 500)]
    #[serde(default)]
    cursor: String,
    /// How many at most; absent = 20.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl Rules for Page {
    fn check(&self, broken: &mut Broken) {
        check_limit(self.limit, broken);
    }
}

/// The contracts' 0 stands for an absent limit, so a caller's own 0 must not reach them.
fn check_limit(limit: Option<u32>, broken: &mut Broken) {
    let in_range = limit.is_none_or(|limit| (1..=100).contains(&limit));
    broken.unless(in_range, "limit", "must be from 1 to 100");
}

/// 201 with where the new thing is.
fn created<T: Serialize>(location: String, body: T) -> impl response::IntoResponse {
    (
        http::StatusCode::CREATED,
        [(http::header::LOCATION, location)],
        axum::Json(body),
    )
}

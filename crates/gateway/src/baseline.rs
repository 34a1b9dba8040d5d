//! The gateway around another handler: what `cargo xtask bench queue` measures polls by. No shipped program calls it.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa_axum::router::OpenApiRouter;

use crate::config::HttpConfig;
use crate::routes;

/// The path that people poll.
pub const POLLED: &str = "/v1/queue";

/// `handler` in the place of the poll's, behind all that happens to every request of the gateway.
pub fn router(handler: MethodRouter, config: HttpConfig) -> Router {
    let polls = OpenApiRouter::new().route(POLLED, handler);
    routes::layered(polls, OpenApiRouter::new(), OpenApiRouter::new(), config)
}

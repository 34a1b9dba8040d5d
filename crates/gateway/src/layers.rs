//! What happens to every request before and after its handler: trace, metrics, access log, bounds, headers.
//!
//! Headers and bodies of requests are never logged: they carry tokens and passwords.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    LOCATION, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method};
use service_kit::problem::Problem;
use service_kit::telemetry;
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;
use uuid::Uuid;
use vocabulary::ProblemCode;

use crate::config::CorsOrigins;
use crate::extract;
use crate::problem::ApiProblem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_MAX_CHARS: usize = 64;
/// The route of a request that none matched, so that labels stay few.
const UNMATCHED: &str = "unmatched";

/// One span, one metric and one log line a request.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(UNMATCHED, MatchedPath::as_str)
        .to_owned();
    let method = method_label(request.method());
    let request_id = request_id(&request);
    let span = tracing::info_span!(
        "http",
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request_id = request_id.to_str().unwrap_or_default(),
        trace_id = tracing::field::Empty,
    );
    telemetry::continue_trace(&span, request.headers());

    async move {
        let mut response = next.run(request).await;
        let status = response.status();
        let took = started.elapsed();
        // The line below shows it, and the method and the route, from the span.
        tracing::Span::current().record("http.response.status_code", status.as_u16());
        let code = response
            .extensions()
            .get::<ProblemCode>()
            .map(|code| code.as_str());
        tracing::info!(
            target: "access",
            problem = code,
            took_ms = telemetry::millis(took),
            "answered"
        );
        metrics::histogram!(
            "http_server_seconds",
            "route" => route, "method" => method, "status" => status.as_str().to_owned(),
        )
        .record(took);
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    }
    .instrument(span)
    .await
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The caller's own id when it is short and plain, else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=REQUEST_ID_MAX_CHARS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(new_id().to_string()).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Of the process' own generator: a call of the kernel for each request costs more than all else here.
fn new_id() -> Uuid {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

/// Headers of every answer, unless its handler said otherwise.
pub(crate) async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let defaults = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Refuses at once what is more than the permits.
pub(crate) async fn shed(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = permits.try_acquire() else {
        metrics::counter!("http_server_shed_total").increment(1);
        let overloaded = Problem::new(ProblemCode::Unavailable, "Too many requests at once");
        return ApiProblem::from(overloaded).into_response();
    };
    next.run(request).await
}

/// Answers for a handler that takes too long; the handler is dropped.
pub(crate) async fn deadline(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiProblem::from(ProblemCode::DeadlineExceeded).into_response(),
    }
}

/// A panic is a fault of ours like any other.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message, "a handler panicked");
    ApiProblem::from(ProblemCode::Internal).into_response()
}

/// For what no route matches.
pub(crate) async fn route_not_found() -> ApiProblem {
    ProblemCode::RouteNotFound.into()
}

/// For a method that a route has not; the router adds `Allow`.
pub(crate) async fn method_not_allowed() -> ApiProblem {
    ProblemCode::MethodNotAllowed.into()
}

/// Which pages of other origins may call the API.
pub(crate) fn cors(origins: CorsOrigins) -> CorsLayer {
    let origins = match origins {
        CorsOrigins::None => AllowOrigin::list([]),
        CorsOrigins::Some(origins) => AllowOrigin::list(origins),
        CorsOrigins::Any => AllowOrigin::any(),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_NONE_MATCH,
            extract::QUEUE_TOKEN,
            extract::PAYMENT_TOKEN,
            extract::IDEMPOTENCY_KEY,
            REQUEST_ID,
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([ETAG, LOCATION, RETRY_AFTER, REQUEST_ID])
        .max_age(Duration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use http::StatusCode;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn answer(router: Router) -> (StatusCode, Option<ProblemCode>) {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        (response.status(), response.extensions().get().copied())
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_problem() {
        #[allow(clippy::panic, reason = "the test is about one")]
        async fn panics() -> &'static str {
            panic!("on purpose")
        }
        let router = Router::new()
            .route("/", get(panics))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(observe));
        let expected = (StatusCode::INTERNAL_SERVER_ERROR, Some(ProblemCode::Internal));
        assert_eq!(answer(router).await, expected);
    }

    #[tokio::test]
    async fn more_requests_than_permits_are_refused_at_once() {
        let permits = Arc::new(Semaphore::new(1));
        let router = Router::new()
            .route("/", get(|| async { "served" }))
            .layer(from_fn_with_state(Arc::clone(&permits), shed));
        let taken = Arc::clone(&permits).try_acquire_owned().unwrap();
        let refused = (StatusCode::SERVICE_UNAVAILABLE, Some(ProblemCode::Unavailable));
        assert_eq!(answer(router.clone()).await, refused);
        drop(taken);
        // A permit comes back with every answer.
        for _ in 0..2 {
            assert_eq!(answer(router.clone()).await, (StatusCode::OK, None));
        }
    }
}

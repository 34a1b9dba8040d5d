//! Serving gRPC: health, reflection, a deadline on every call, and a bound on calls at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tower::{Layer, Service};
use tracing::Instrument as _;
use vocabulary::ProblemCode;

use crate::config::Environment;
use crate::health::Readiness;
use crate::problem::Problem;
use crate::telemetry;

/// Where gRPC is served, and its bounds.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// No call runs longer, whatever its caller asks for.
    pub max_deadline: Duration,
    /// Calls running at once; more are refused at once as unavailable.
    pub max_concurrent_calls: usize,
}

impl ServerConfig {
    /// Reads `GRPC_ADDR` and the bounds.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            addr: env.address(
                "GRPC_ADDR",
                SocketAddr::from((Ipv4Addr::LOCALHOST, 50_051)),
                "Where gRPC is served; never a public address.",
            ),
            max_deadline: env.millis(
                "GRPC_MAX_DEADLINE_MS",
                15_000,
                100..=120_000,
                "No call runs longer, whatever its caller asks for.",
            ),
            max_concurrent_calls: env.number(
                "GRPC_MAX_CONCURRENT_CALLS",
                2_000,
                1..=100_000,
                "Calls running at once; more are refused at once.",
            ),
        }
    }
}

/// Serves `routes` until `stop`, then lets running calls end.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    descriptors: &'static [u8],
    config: ServerConfig,
    readiness: Readiness,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let follow = readiness.follow(async |ready| {
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        reporter.set_service_status("", status).await;
    });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(descriptors)
        .build_v1()
        .context("reflection")?;

    // Without it every answer waits some 40 ms for the acknowledgement of its own first packet.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .timeout(config.max_deadline)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .layer(Observe {
            permits: Arc::new(Semaphore::new(config.max_concurrent_calls)),
        })
        .add_routes(routes)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
    tokio::select! {
        served = server => served.context("the gRPC server"),
        () = follow => Ok(()),
    }
}

/// Traces, counts and bounds every call.
#[derive(Debug, Clone)]
struct Observe {
    permits: Arc<Semaphore>,
}

impl<S> Layer<S> for Observe {
    type Service = ObserveService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ObserveService {
            inner,
            permits: Arc::clone(&self.permits),
        }
    }
}

#[derive(Debug, Clone)]
struct ObserveService<S> {
    inner: S,
    permits: Arc<Semaphore>,
}

impl<S, B, R> Service<Request<B>> for ObserveService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone takes the next call; the one that was polled ready takes this.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let permits = Arc::clone(&self.permits);

        let path = request.uri().path().to_owned();
        let (service, method) = super::split_path(&path);
        let span = tracing::info_span!(
            "grpc",
            otel.kind = "server",
            otel.name = path.trim_start_matches('/'),
            rpc.service = service,
            rpc.method = method,
            rpc.code = tracing::field::Empty,
            trace_id = tracing::field::Empty,
        );
        telemetry::continue_trace(&span, request.headers());

        let call = async move {
            let started = Instant::now();
            let Ok(_permit) = permits.try_acquire_owned() else {
                metrics::counter!("grpc_server_shed_total").increment(1);
                let overloaded = Problem::new(ProblemCode::Unavailable, "too many calls at once");
                return Ok(Status::from(overloaded).into_http());
            };
            let response = inner.call(request).await?;
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            record(&path, code, started.elapsed());
            Ok(response)
        };
        Box::pin(call.instrument(span))
    }
}

fn record(path: &str, code: Code, took: Duration) {
    let (service, method) = super::split_path(path);
    tracing::Span::current().record("rpc.code", tracing::field::debug(code));
    metrics::histogram!(
        "grpc_server_seconds",
        "service" => service.to_owned(), "method" => method.to_owned(), "code" => format!("{code:?}"),
    )
    .record(took);
    tracing::debug!(took_ms = telemetry::millis(took), "answered");
}

//! Calling gRPC: a channel that connects when first used, with a deadline and the trace on every call.

use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request};
use tonic::transport::{Channel as TonicChannel, Endpoint};
use tower::{Layer, Service};
use tracing::Instrument as _;
use tracing::instrument::Instrumented;
use url::Url;

use crate::config::Environment;
use crate::telemetry;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Where a service's peer is, and how long a call to it may take.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    url: Url,
    deadline: Duration,
}

impl UpstreamConfig {
    /// Reads the peer's URL from `name`; calls get [`DEFAULT_DEADLINE`].
    pub fn read(env: &mut Environment, name: &'static str, meaning: &'static str) -> Self {
        Self {
            url: env.url(name, &["http", "https"], meaning),
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// With another deadline than [`DEFAULT_DEADLINE`].
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// A channel that clones share.
    ///
    /// # Errors
    /// The URL is none that gRPC can use.
    pub fn channel(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(self.url.to_string())?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.deadline)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Outbound {
            inner: endpoint.connect_lazy(),
            deadline: self.deadline,
        })
    }
}

/// How long a call may take where nothing else is said.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(3);

/// What every generated client is built on.
pub type Channel = Outbound<TonicChannel>;

/// Adds the trace and the deadline to every call.
#[derive(Debug, Clone)]
pub struct Outbound<S> {
    inner: S,
    deadline: Duration,
}

/// Wraps a channel of another maker, as tests do.
#[derive(Debug, Clone)]
pub struct OutboundLayer {
    /// The deadline where a call carries none.
    pub deadline: Duration,
}

impl<S> Layer<S> for OutboundLayer {
    type Service = Outbound<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Outbound {
            inner,
            deadline: self.deadline,
        }
    }
}

impl<S, B> Service<Request<B>> for Outbound<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (service, method) = super::split_path(request.uri().path());
        let span = tracing::info_span!(
            "call",
            otel.kind = "client",
            otel.name = request.uri().path().trim_start_matches('/'),
            rpc.service = service,
            rpc.method = method,
        );
        span.in_scope(|| telemetry::inject_trace(request.headers_mut()));
        // The peer stops working when nobody waits any more.
        if !request.headers().contains_key(GRPC_TIMEOUT)
            && let Ok(value) = HeaderValue::try_from(format!("{}m", self.deadline.as_millis()))
        {
            request.headers_mut().insert(GRPC_TIMEOUT, value);
        }
        let answer = span.in_scope(|| self.inner.call(request));
        answer.instrument(span)
    }
}

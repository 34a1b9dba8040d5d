//! Logs, traces and metrics of a process, and the trace's way across process borders (W3C Trace Context).

mod json_lines;

use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};
use url::Url;

use crate::config::Environment;
use json_lines::JsonLines;

// Its own exporter must not be traced, nor the transports that carry it.
const EXPORTED_SPANS: &str =
    "info,h2=off,hyper=off,hyper_util=off,tonic=off,tower=off,opentelemetry=off,reqwest=off";
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Upper bounds of latency histograms, in seconds: 0.5 ms to 10 s.
const SECONDS_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("must be json or pretty"),
        }
    }
}

impl Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

/// Where logs and traces go.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    format: LogFormat,
    filter: String,
    otlp_endpoint: Option<Url>,
}

impl TelemetryConfig {
    /// Reads `LOG_FORMAT`, `RUST_LOG` and `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            format: env.choice(
                "LOG_FORMAT",
                LogFormat::Json,
                "json, pretty",
                "How log lines look.",
            ),
            filter: env.text(
                "RUST_LOG",
                "info",
                "Which log lines are written, as tracing's EnvFilter reads it.",
            ),
            otlp_endpoint: env.optional_url(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &["http", "https"],
                "Where traces are sent by OTLP over gRPC; unset sends none.",
            ),
        }
    }
}

/// Flushes what is not exported yet when it is dropped.
#[derive(Debug)]
pub struct Telemetry {
    traces: SdkTracerProvider,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // A collector that is away must not hold a shutdown up.
        let _ = self.traces.shutdown_with_timeout(EXPORT_TIMEOUT);
    }
}

/// Installs logs, traces and metrics for the process. Call it once, in `main`.
///
/// # Errors
/// A filter that cannot be read, or telemetry that was installed before.
pub fn init(service: &'static str, config: &TelemetryConfig) -> anyhow::Result<Telemetry> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
        .install_recorder()
        .context("metrics were installed before")?;
    let _ = METRICS.set(recorder);

    // Trace ids are made even when nothing is exported: logs carry them, and answers name them.
    let resource = Resource::builder().with_service_name(service).build();
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.as_str())
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .context("the OTLP exporter")?;
        provider = provider.with_batch_exporter(exporter);
    } else {
        provider = provider.with_sampler(Sampler::AlwaysOff);
    }
    let traces = provider.build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());

    let filter = line_filter(&config.filter).context("RUST_LOG")?;
    let lines = match config.format {
        LogFormat::Json => JsonLines::new(service, std::io::stderr).boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer()
            .compact()
            .with_writer(std::io::stderr)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(span_layer(&traces)?)
        .with(lines.with_filter(filter))
        .try_init()?;
    Ok(Telemetry { traces })
}

/// Turns our spans into exported ones.
fn span_layer<S>(traces: &SdkTracerProvider) -> anyhow::Result<impl Layer<S> + use<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    // Spans pass many tasks, and are asked for by name: what it costs to follow them through threads tells nobody anything.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("frontrow"))
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_threads(false)
        .with_location(false);
    Ok(layer.with_filter(EXPORTED_SPANS.parse::<Targets>()?))
}

/// Which lines are written: as the operator wishes. The spans around them are kept whatever is wished, for a line's trace
/// id is theirs.
fn line_filter<S>(wished: &str) -> anyhow::Result<impl Filter<S> + Send + Sync + use<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Only a filter that asks for spans (`[`) has to follow everybody into and out of them.
    let wished: Box<dyn Filter<S> + Send + Sync> = if wished.is_empty() || wished.contains('[') {
        Box::new(EnvFilter::try_new(wished)?)
    } else {
        Box::new(wished.parse::<Targets>()?)
    };
    let spans = filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO)
        .with_max_level_hint(LevelFilter::INFO);
    Ok(wished.or(spans))
}

/// The process's metrics in Prometheus' text format; empty before [`init`].
#[must_use]
pub fn render_metrics() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Lets old histogram samples go; called now and then by the admin server.
pub(crate) fn upkeep_metrics() {
    if let Some(handle) = METRICS.get() {
        handle.run_upkeep();
    }
}

/// Writes the current span's context into outgoing headers.
pub fn inject_trace(headers: &mut HeaderMap) {
    let context = Span::current().context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(headers));
    });
}

/// Makes `span` a child of the context that incoming headers carry, and notes its trace id on it.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    // Refused only where the span is not exported; then there is no trace to continue.
    let _ = span.set_parent(carried(headers));
    if let Some(id) = trace_id(span) {
        span.record("trace_id", id);
    }
}

/// Notes on `span` that it belongs to the trace that incoming headers carry, too.
pub fn link_trace(span: &Span, headers: &HeaderMap) {
    let linked = carried(headers).span().span_context().clone();
    if linked.is_valid() {
        span.add_link(linked);
    }
}

fn carried(headers: &HeaderMap) -> opentelemetry::Context {
    opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&HeadersRef(headers)))
}

/// A span of time for the field `took_ms`, to the microsecond.
#[must_use]
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// An error with all that is behind it, for a log line.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The trace that a span belongs to, as 32 hex digits.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span_context = context.span().span_context().clone();
    span_context
        .is_valid()
        .then(|| span_context.trace_id().to_string())
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

struct HeadersRef<'a>(&'a HeaderMap);

impl Extractor for HeadersRef<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Exported(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Exported {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    fn carrying(trace_id: &str) -> HeaderMap {
        let value = HeaderValue::try_from(format!("00-{trace_id}-00f067aa0ba902b7-01")).unwrap();
        HeaderMap::from_iter([(HeaderName::from_static("traceparent"), value)])
    }

    #[test]
    fn a_span_continues_one_trace_and_is_linked_to_another() {
        const CONTINUED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const LINKED: &str = "0af7651916cd43dd8448eb211c80319c";
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let exported = Exported::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exported.clone())
            .build();
        let subscriber = tracing_subscriber::registry().with(span_layer(&provider).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("expire due");
            continue_trace(&span, &carrying(CONTINUED));
            link_trace(&span, &carrying(LINKED));
            // A message of nobody's trace.
            link_trace(&span, &HeaderMap::new());
            assert_eq!(trace_id(&span).as_deref(), Some(CONTINUED));
        });
        let spans = exported.0.lock().unwrap();
        let [span] = spans.as_slice() else {
            panic!("{spans:?}");
        };
        assert_eq!(span.span_context.trace_id().to_string(), CONTINUED);
        assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
        let linked: Vec<_> = span
            .links
            .iter()
            .map(|link| link.span_context.trace_id().to_string())
            .collect();
        assert_eq!(linked, [LINKED]);
    }
}

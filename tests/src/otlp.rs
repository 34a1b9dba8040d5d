//! A collector of traces, in the test itself.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use test_support::serve_grpc;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// One exported span.
#[derive(Debug, Clone)]
pub struct SeenSpan {
    /// `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Whether it serves, calls, publishes or consumes.
    pub kind: SpanKind,
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits; empty at the root.
    pub parent_span_id: String,
    /// All that was exported of it, attributes and events included, as text to search in.
    pub everything: String,
}

/// Takes spans from services started with `OTEL_EXPORTER_OTLP_ENDPOINT` at its address, and keeps them.
#[derive(Debug, Clone)]
pub struct Collector {
    endpoint: String,
    seen: Arc<Mutex<Vec<SeenSpan>>>,
}

impl Collector {
    /// Starts one on a thread of its own, for several tests to share: their runtimes end with them.
    pub fn start() -> Self {
        let seen = Arc::default();
        let receiver = Receiver(Arc::clone(&seen));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let routes = Routes::new(TraceServiceServer::new(receiver));
                tell.send(serve_grpc(routes).await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let endpoint = told.recv().unwrap();
        Self { endpoint, seen }
    }

    /// The environment that makes a service send its spans here, soon after they end.
    pub fn env(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            // A world keeps its environment for the life of the test binary.
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.endpoint.clone().leak()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<SeenSpan> {
        self.seen.lock().unwrap().clone()
    }

    /// The spans of one trace so far.
    pub fn trace(&self, trace_id: &str) -> Vec<SeenSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == trace_id);
        spans
    }
}

#[derive(Debug)]
struct Receiver(Arc<Mutex<Vec<SeenSpan>>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let exported = request.into_inner().resource_spans;
        self.0.lock().unwrap().extend(exported.into_iter().flat_map(read));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(of_process: ResourceSpans) -> Vec<SeenSpan> {
    let attributes = of_process.resource.unwrap_or_default().attributes;
    let service = attributes
        .into_iter()
        .find(|attribute| attribute.key == "service.name")
        .and_then(|attribute| match attribute.value?.value? {
            Value::StringValue(name) => Some(name),
            _ => None,
        })
        .unwrap_or_default();
    let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
    let seen = spans.map(|span| SeenSpan {
        service: service.clone(),
        kind: span.kind(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        everything: format!("{span:?}"),
        name: span.name,
    });
    seen.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

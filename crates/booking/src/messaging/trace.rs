//! A trace's way through the outbox, in the form of W3C's `traceparent`.

use http::{HeaderMap, HeaderValue};
use service_kit::telemetry;
use tracing::Span;

const TRACE_PARENT: &str = "traceparent";

/// The trace that runs now.
pub(crate) fn current() -> Option<String> {
    let mut headers = HeaderMap::new();
    telemetry::inject_trace(&mut headers);
    headers.get(TRACE_PARENT)?.to_str().ok().map(str::to_owned)
}

/// Makes `span` a child of a trace that ran when something was written down.
pub(crate) fn continue_from(span: &Span, trace_parent: Option<&str>) {
    if let Some(value) = trace_parent.and_then(|text| HeaderValue::from_str(text).ok()) {
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_PARENT, value);
        telemetry::continue_trace(span, &headers);
    }
}

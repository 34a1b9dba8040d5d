//! Log lines for machines: one flat JSON object a line.
//!
//! The fields of the spans around an event stand beside its own, outermost first, so that whatever is logged while a
//! request is served carries the request's `trace_id` at the top. Numbers are numbers. An inner field wins over an
//! outer one of its name, and what describes a line itself (`timestamp`, `level`, `service`, `target`, `message`) over both.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

const RESERVED: [&str; 5] = ["timestamp", "level", "service", "target", "message"];
/// What a span tells the exporter of traces alone.
const EXPORTER_PREFIX: &str = "otel.";
/// What the bridge from the `log` crate says about a record's origin.
const BRIDGE_PREFIX: &str = "log.";
const BRIDGE_TARGET: &str = "log.target";

/// Writes each event as one line of JSON.
#[derive(Debug)]
pub(super) struct JsonLines<W> {
    service: &'static str,
    writer: W,
}

impl<W> JsonLines<W> {
    pub(super) const fn new(service: &'static str, writer: W) -> Self {
        Self { service, writer }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    service: &'a str,
    target: &'a str,
    message: &'a str,
    #[serde(flatten)]
    fields: &'a BTreeMap<&'static str, Value>,
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            // From the inside out: what is there already is nearer to the event.
            if let Some(outer) = span.extensions().get::<Fields>() {
                for (name, value) in &outer.0 {
                    fields.0.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        event.record(&mut fields);
        let message = fields.take_text("message");
        let bridged = fields.take_text(BRIDGE_TARGET);
        fields
            .0
            .retain(|name, _| !RESERVED.contains(name) && !name.starts_with(BRIDGE_PREFIX));

        let mut timestamp = String::new();
        // Writing to a string cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let metadata = event.metadata();
        let line = Line {
            timestamp: &timestamp,
            level: metadata.level().as_str(),
            service: self.service,
            target: bridged.as_deref().unwrap_or(metadata.target()),
            message: message.as_deref().unwrap_or_default(),
            fields: &fields.0,
        };
        if let Ok(mut line) = serde_json::to_vec(&line) {
            line.push(b'\n');
            // There is nowhere to say that logs cannot be written.
            let _ = self.writer.make_writer_for(metadata).write_all(&line);
        }
    }
}

/// The fields of a span or an event.
#[derive(Debug, Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        if !name.starts_with(EXPORTER_PREFIX) {
            self.0.insert(name, value.into());
        }
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, super::causes(value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{HeaderMap, HeaderValue};
    use serde_json::json;
    use tracing::Instrument as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{continue_trace, line_filter, span_layer};
    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `logs` writes under this filter.
    fn lines(filter: &str, logs: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().build();
        let subscriber = tracing_subscriber::registry()
            .with(span_layer(&provider).unwrap())
            .with(
                JsonLines::new("box-office", move || writer.clone())
                    .with_filter(line_filter(filter).unwrap()),
            );
        tracing::subscriber::with_default(subscriber, logs);
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn request_span() -> tracing::Span {
        opentelemetry::global::set_text_map_propagator(
            opentelemetry_sdk::propagation::TraceContextPropagator::new(),
        );
        let span = tracing::info_span!(
            "http",
            otel.kind = "server",
            http.route = "/seats",
            trace_id = tracing::field::Empty
        );
        let mut headers = HeaderMap::new();
        let parent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
        headers.insert("traceparent", HeaderValue::try_from(parent).unwrap());
        continue_trace(&span, &headers);
        span
    }

    #[test]
    fn a_line_is_flat_and_its_numbers_are_numbers() {
        let error = std::io::Error::other("broken");
        let lines = lines("info", || {
            tracing::info!(
                took_us = 12_u128,
                took_ms = 0.5,
                seats = 3_usize,
                sold = true,
                error = &error as &(dyn Error + 'static),
                kind = ?std::io::ErrorKind::Other,
                "answered"
            );
        });
        let mut line = lines[0].clone();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        line["timestamp"] = json!("then");
        let expected = json!({
            "timestamp": "then", "level": "INFO", "service": "box-office", "target": module_path!(),
            "message": "answered", "took_us": 12, "took_ms": 0.5, "seats": 3, "sold": true,
            "error": "broken", "kind": "Other",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_within_nested_spans_carries_the_trace_at_its_top() {
        let lines = lines("info", || {
            let _request = request_span().entered();
            let _inner = tracing::info_span!("step", seats = 1).entered();
            tracing::info!(seats = 2, "held");
        });
        assert_eq!(lines[0]["trace_id"], TRACE_ID);
        assert_eq!(lines[0]["http.route"], "/seats");
        assert_eq!(lines[0]["seats"], 2, "the event's own field wins");
        assert_eq!(lines[0].get("otel.kind"), None);
    }

    #[test]
    fn a_stricter_filter_of_lines_does_not_lose_the_trace() {
        let lines = lines("warn", || {
            let _request = request_span().entered();
            tracing::info!("left out");
            tracing::warn!("written");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["trace_id"], TRACE_ID);
    }

    #[test]
    fn a_task_that_outlives_its_request_keeps_its_trace() {
        let lines = lines("info", || {
            let task = async { tracing::info!("after the answer") }.instrument(request_span());
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(task);
            tracing::info!("outside");
        });
        assert_eq!(lines[0]["trace_id"], TRACE_ID);
        assert_eq!(lines[1].get("trace_id"), None);
    }

    #[test]
    fn a_field_cannot_pass_for_what_describes_the_line() {
        let lines = lines("info", || {
            tracing::info!(service = "another", level = 9, "honest");
        });
        assert_eq!(lines[0]["service"], "box-office");
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn a_filter_may_ask_for_a_span() {
        let lines = lines("warn,[asked]=info", || {
            tracing::info!("outside");
            tracing::info_span!("asked").in_scope(|| tracing::info!("inside"));
        });
        let messages: Vec<_> = lines.iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, ["inside"]);
    }
}

//! What operators see of the system: traces, log lines and metrics.

use std::collections::BTreeSet;

use end_to_end::{Collector, Sale, SaleOptions, SeenSpan, World, payment, text};
use local_servers::topology::SERVICES;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{eventually, unique_name};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The page that lists every field and metric.
const OBSERVABILITY: &str = include_str!("../../docs/observability.md");
/// What a process says of its own accord, not for a request.
const BACKGROUND: [&str; 16] = [
    "serving",
    "SIGTERM received, draining",
    "connected to RabbitMQ",
    "points granted",
    "filled the room's line",
    "the line moves again",
    "unpaid holds are back on sale",
    "resumed",
    "payment moved on",
    "charge moved on",
    "refund moved on",
    "holds of canceled dates are given up",
    "books compared",
    "the payment provider answers again",
    "the draw went on",
    "draws go on again",
];
/// Not one of ours outside development: it stands in for another company.
const PROVIDER: &str = "psp-simulator";
/// The span in which the caller of the public API made its request.
const CALLER_SPAN: &str = "00f067aa0ba902b7";
/// The payment provider's secret of the observed world.
pub(crate) const PROVIDER_SECRET_KEY: &str = "test_sk_canary-d41bProviderSecret77";

static OBSERVED: OnceCell<Observed> = OnceCell::const_new();

/// A system that tells all it can.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) world: World,
    pub(crate) collector: Collector,
}

impl Observed {
    /// The one that the tests of what is told share.
    pub(crate) async fn shared() -> &'static Self {
        OBSERVED
            .get_or_init(|| {
                Self::start(&[
                    ("RUST_LOG", "debug"),
                    ("PROVIDER_SECRET_KEY", PROVIDER_SECRET_KEY),
                    ("SIMULATOR_SECRET_KEY", PROVIDER_SECRET_KEY),
                ])
            })
            .await
    }

    async fn start(env: &[(&'static str, &'static str)]) -> Self {
        let collector = Collector::start();
        let mut all = collector.env();
        all.extend(env);
        Self {
            world: World::with_env(&all).await,
            collector,
        }
    }

    /// Waits until every one of these spans is there; answers all of the trace.
    async fn trace(&self, trace_id: &str, wanted: &[(&str, SpanKind, &str)]) -> Trace {
        eventually(&format!("{wanted:?}"), async || {
            let trace = Trace(self.collector.trace(trace_id));
            let all = wanted.iter().all(|span| trace.find(*span).is_some());
            all.then_some(trace)
        })
        .await
    }
}

/// The spans of one trace.
#[derive(Debug)]
struct Trace(Vec<SeenSpan>);

impl Trace {
    fn find(&self, (service, kind, name): (&str, SpanKind, &str)) -> Option<&SeenSpan> {
        self.0
            .iter()
            .find(|span| (span.service.as_str(), span.kind, span.name.as_str()) == (service, kind, name))
    }

    /// Each of the spans is the child of the one before it.
    #[track_caller]
    fn assert_chain(&self, chain: &[(&str, SpanKind, &str)]) {
        for pair in chain.windows(2) {
            let [parent, child] = [pair[0], pair[1]].map(|span| self.find(span).unwrap());
            assert_eq!(child.parent_span_id, parent.span_id, "{pair:?}");
        }
    }
}

fn new_trace() -> String {
    Uuid::now_v7().simple().to_string()
}

fn traceparent(trace_id: &str) -> String {
    format!("00-{trace_id}-{CALLER_SPAN}-01")
}

/// A look at the concert, a hold and its payment by card, the latter two in one trace; answers its id.
async fn purchase(world: &World) -> String {
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    buyer
        .get(&format!("/v1/concerts/{}", sale.concert_id))
        .await
        .expect(200);
    let seats = buyer.available(&sale.schedule_id).await;
    let trace_id = new_trace();
    let body = json!({ "scheduleId": sale.schedule_id, "seatIds": &seats[..1] });
    let hold = buyer
        .request(Method::POST, "/v1/reservations")
        .header("traceparent", traceparent(&trace_id))
        .json(&body);
    let held = end_to_end::Answer::to(hold).await.expect(201);
    let pay = world
        .post("/v1/payments", &payment(&held, 0, Some(&unique_name("test_ok"))))
        .header("Payment-Token", text(&held, "paymentToken"))
        .header("traceparent", traceparent(&trace_id));
    let paid = end_to_end::Answer::to(pay).await.expect(201);
    assert_eq!(paid["status"], "SUCCEEDED");
    trace_id
}

#[tokio::test]
async fn a_hold_is_one_trace_from_the_http_request_to_its_expiry() {
    use SpanKind::{Client, Consumer, Producer, Server};
    const HOLD: &str = "frontrow.booking.v1.BookingService/HoldSeats";
    const CHECK: &str = "frontrow.queue.v1.QueueService/CheckVisit";
    const EXPIRE: &str = "frontrow.booking.v1.BookingService/ExpireDue";

    // Its only hold, so that no batch of the worker begins with another's message; the sweep is too late to help.
    let observed = Observed::start(&[("HOLD_SECONDS", "2"), ("SWEEP_SECONDS", "60")]).await;
    let world = &observed.world;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seats = buyer.available(&sale.schedule_id).await;
    let trace_id = new_trace();
    let body = json!({ "scheduleId": sale.schedule_id, "seatIds": &seats[..2] });
    let hold = buyer
        .request(Method::POST, "/v1/reservations")
        .header("traceparent", traceparent(&trace_id))
        .json(&body);
    let held = end_to_end::Answer::to(hold).await.expect(201);

    let to_booking = [
        ("gateway", Server, "POST /v1/reservations"),
        ("gateway", Client, HOLD),
        ("booking", Server, HOLD),
    ];
    let to_queue = [
        ("booking", Server, HOLD),
        ("booking", Client, CHECK),
        ("queue", Server, CHECK),
    ];
    let to_expiry = [
        ("booking", Server, HOLD),
        ("booking", Producer, "publish expiry"),
        ("expire-worker", Consumer, "expire due"),
        ("expire-worker", Client, EXPIRE),
        ("booking", Server, EXPIRE),
    ];
    eventually("the end of the hold", async || {
        (buyer.reservation(&held).await["status"] == "EXPIRED").then_some(())
    })
    .await;
    let all = [&to_booking[..], &to_queue, &to_expiry].concat();
    let trace = observed.trace(&trace_id, &all).await;
    assert_eq!(trace.find(to_booking[0]).unwrap().parent_span_id, CALLER_SPAN);
    trace.assert_chain(&to_booking);
    trace.assert_chain(&to_queue);
    trace.assert_chain(&to_expiry);

    // The other spans there are belong to other traces: reading a reservation is none of the hold's.
    let strangers = trace.0.iter().filter(|span| span.name.contains("GetReservation"));
    assert_eq!(strangers.count(), 0);
}

#[tokio::test]
async fn a_payment_is_one_trace_from_the_http_request_to_the_provider() {
    use SpanKind::{Client, Server};
    const PAY: &str = "frontrow.payment.v1.PaymentService/Pay";
    const BEGIN: &str = "frontrow.booking.v1.BookingService/BeginPayments";
    const CONFIRM: &str = "frontrow.booking.v1.BookingService/ConfirmReservations";

    let observed = Observed::shared().await;
    let trace_id = purchase(&observed.world).await;
    let to_payment = [
        ("gateway", Server, "POST /v1/payments"),
        ("gateway", Client, PAY),
        ("payment", Server, PAY),
    ];
    let to_provider = [("payment", Server, PAY), ("payment", Client, "provider confirm")];
    let begin = [
        ("payment", Server, PAY),
        ("payment", Client, BEGIN),
        ("booking", Server, BEGIN),
    ];
    let confirm = [
        ("payment", Server, PAY),
        ("payment", Client, CONFIRM),
        ("booking", Server, CONFIRM),
    ];
    let all = [&to_payment[..], &to_provider, &begin, &confirm].concat();
    let trace = observed.trace(&trace_id, &all).await;
    trace.assert_chain(&to_payment);
    trace.assert_chain(&to_provider);
    trace.assert_chain(&begin);
    trace.assert_chain(&confirm);

    let calling = trace.find(to_provider[1]).unwrap();
    let sent = format!("00-{trace_id}-{}-01", calling.span_id);
    let provider = observed.world.services.logs(PROVIDER).await;
    assert!(provider.contains(&sent), "the provider was not told the trace");
}

#[tokio::test]
async fn every_line_logged_for_a_request_carries_its_trace_in_fields_of_one_list() {
    let observed = Observed::shared().await;
    let trace_id = purchase(&observed.world).await;
    let listed = listed("## Log fields");
    for service in SERVICES.iter().filter(|service| service.name != PROVIDER) {
        let lines = observed.own_lines(service.name).await;
        let described = lines.iter().all(|line| line["service"] == service.name);
        assert!(described, "{} logs in another's name", service.name);
        for line in &lines {
            for (field, value) in line.as_object().unwrap() {
                assert!(
                    listed.contains(field),
                    "{field} is not in docs/observability.md: {line}"
                );
                assert!(!value.is_object(), "{field} is nested: {line}");
            }
            // What goes wrong may go wrong in the background, too.
            let of_process = BACKGROUND.iter().any(|said| line["message"] == *said)
                || ["WARN", "ERROR"].iter().any(|level| line["level"] == *level);
            let of_request = line.get("http.route").is_some() || line.get("rpc.method").is_some();
            assert!(
                line.get("trace_id").is_some() || (of_process && !of_request),
                "no trace: {line}"
            );
        }
        let answered = lines
            .iter()
            .find(|line| line["trace_id"] == trace_id && line["message"] == "answered");
        match (service.name, answered) {
            ("gateway", Some(access)) => {
                assert!(access["took_ms"].is_f64(), "{access}");
                assert!(access["http.response.status_code"].is_u64(), "{access}");
            }
            ("booking" | "queue" | "payment", Some(call)) => assert!(call["took_ms"].is_f64(), "{call}"),
            ("gateway" | "booking" | "queue" | "payment", None) => {
                panic!("no line of {} for the purchase", service.name)
            }
            _ => {}
        }
    }
    // What is said of a thing is said by the same name everywhere.
    let payment = observed.own_lines("payment").await;
    let moved = payment
        .iter()
        .find(|line| line["trace_id"] == trace_id && line["to"] == "SUCCEEDED");
    let moved = moved.unwrap();
    for id in ["payment_id", "reservation_id"] {
        assert!(moved[id].as_str().unwrap().parse::<Uuid>().is_ok(), "{moved}");
    }
}

#[tokio::test]
async fn metrics_are_named_alike_and_the_main_ones_are_there_after_a_purchase() {
    let observed = Observed::shared().await;
    purchase(&observed.world).await;
    let listed = listed("## Metrics");
    let main = [
        (
            "gateway",
            &["http_server_seconds", "gateway_queue_polls_total"][..],
        ),
        (
            "auth",
            &["grpc_server_seconds", "auth_log_ins_total", "auth_sign_ups_total"],
        ),
        (
            "queue",
            &[
                "grpc_server_seconds",
                "queue_joins_total",
                "queue_admissions_total",
            ],
        ),
        ("concert", &["grpc_server_seconds", "concert_cache_reads_total"]),
        (
            "booking",
            &[
                "grpc_server_seconds",
                "booking_holds_total",
                "booking_confirmed_total",
                "booking_expiry_messages_total",
            ],
        ),
        (
            "payment",
            &[
                "grpc_server_seconds",
                "payment_transitions_total",
                "database_batched_requests_total",
                "grpc_client_batched_requests_total",
                "payment_provider_seconds",
            ],
        ),
        // Nothing has expired yet.
        ("expire-worker", &[]),
    ];
    for (service, expected) in main {
        let url = format!("{}/metrics", observed.world.services.admin_url(service).await);
        let answer = reqwest::get(url).await.unwrap();
        let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(media_type.starts_with("text/plain"), "{service}: {media_type}");
        let exposed = answer.text().await.unwrap();
        let types: Vec<_> = exposed
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .collect();
        for (name, kind) in &types {
            let rightly_named = match *kind {
                "counter" => name.ends_with("_total"),
                "histogram" => name.ends_with("_seconds"),
                _ => true,
            };
            assert!(rightly_named, "{service}: {name} is a {kind}");
            let own = format!("{}_", service.replace('-', "_"));
            let shared = ["grpc_client_", "grpc_server_", "http_server_", "database_"];
            let shared = shared.iter().any(|prefix| name.starts_with(prefix));
            assert!(shared || name.starts_with(&own), "{service}: {name}");
            assert!(listed.contains(*name), "{name} is not in docs/observability.md");
        }
        for name in expected {
            assert!(
                types.iter().any(|(there, _)| there == name),
                "{service} has no {name}"
            );
        }
    }
}

impl Observed {
    /// The lines of our own crates that a service has logged; each must be one JSON object.
    async fn own_lines(&self, service: &str) -> Vec<Value> {
        let crates: BTreeSet<_> = SERVICES
            .iter()
            .map(|service| service.name.replace('-', "_"))
            .chain(["access", "service_kit", "contracts", "queue_token"].map(str::to_owned))
            .collect();
        let log = self.world.services.logs(service).await;
        // The last line may be half written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{service}: {line}")))
            .filter(|line| {
                let target = line["target"].as_str().unwrap();
                crates.contains(target.split("::").next().unwrap_or_default())
            })
            .collect()
    }
}

/// The names in the first column of the tables of a part of the page.
fn listed(heading: &str) -> BTreeSet<String> {
    let (_, part) = OBSERVABILITY.split_once(heading).unwrap();
    let part = part.split("\n## ").next().unwrap_or_default();
    let names = part
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

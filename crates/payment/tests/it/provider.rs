//! The adapter against answers that the simulator never gives.

use std::time::Duration;

use payment::config::Config;
use payment::domain::{OrderId, PaymentKey};
use payment::provider::{
    Cancellation, Charge, Confirmation, Found, Lookup, PaymentProvider as _, TossProvider,
};
use serde_json::{Value, json};
use service_kit::config::load_from;
use test_support::environment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use vocabulary::Amount;
use wiremock::matchers::{basic_auth, body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "test_ok_1";

fn provider(url: &str, settings: &[(&str, &str)]) -> TossProvider {
    let mut values = environment([
        ("DATABASE_URL", "postgres://nowhere/payment"),
        ("BOOKING_URL", "http://nowhere"),
        ("PROVIDER_URL", url),
        ("PROVIDER_SECRET_KEY", "test_sk_1"),
        ("PROVIDER_TIMEOUT_MS", "300"),
    ]);
    values.extend(environment(settings.iter().copied()));
    TossProvider::new(&load_from(values, Config::read).unwrap().provider).unwrap()
}

fn charge() -> Charge {
    Charge {
        payment_key: PaymentKey::new(KEY).unwrap(),
        order_id: OrderId::new("order-1").unwrap(),
        amount: Amount::new(6_000).unwrap(),
        idempotency_key: "confirm-1-1".to_owned(),
    }
}

fn payment(status: &str, order_id: &str, amount: i64) -> Value {
    json!({"paymentKey": KEY, "orderId": order_id, "status": status, "totalAmount": amount, "mId": "frontrow"})
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"code": code, "message": "..."}))
}

const ANSWERED: Confirmation = Confirmation::Unknown { answered: true };
const UNANSWERED: Confirmation = Confirmation::Unknown { answered: false };

#[tokio::test]
async fn a_capture_is_asked_for_as_the_provider_wants_it() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/payments/confirm"))
        .and(basic_auth("test_sk_1", ""))
        .and(header("Idempotency-Key", "confirm-1-1"))
        .and(body_json(
            json!({"paymentKey": KEY, "orderId": "order-1", "amount": 6_000}),
        ))
        .respond_with(ResponseTemplate::new(200).set_body_json(payment("DONE", "order-1", 6_000)))
        .expect(1)
        .mount(&server)
        .await;
    let provider = provider(&server.uri(), &[]);
    assert_eq!(provider.confirm(&charge()).await, Confirmation::Captured);
}

#[tokio::test]
async fn an_answer_is_taken_for_a_capture_only_if_it_says_so_of_this_charge() {
    let declined = |code: &str| Confirmation::Declined {
        code: code.to_owned(),
    };
    let ok = |body: Value| ResponseTemplate::new(200).set_body_json(body);
    for (answer, expected) in [
        (ok(payment("DONE", "order-1", 6_001)), ANSWERED),
        (ok(payment("DONE", "order-2", 6_000)), ANSWERED),
        (ok(payment("IN_PROGRESS", "order-1", 6_000)), ANSWERED),
        (ok(json!({"status": "DONE"})), ANSWERED),
        (ResponseTemplate::new(200).set_body_string("<html>"), ANSWERED),
        (ResponseTemplate::new(204), ANSWERED),
        (
            ResponseTemplate::new(302).insert_header("location", "/elsewhere"),
            ANSWERED,
        ),
        (
            ResponseTemplate::new(502).set_body_string("bad gateway"),
            ANSWERED,
        ),
        (
            ResponseTemplate::new(200).set_body_string("x".repeat(100_000)),
            ANSWERED,
        ),
        (
            ok(payment("DONE", "order-1", 6_000)).set_delay(Duration::from_secs(5)),
            UNANSWERED,
        ),
        (refusal(409, "IDEMPOTENT_REQUEST_PROCESSING"), UNANSWERED),
        (refusal(400, "PROVIDER_ERROR"), ANSWERED),
        (refusal(500, "FAILED_INTERNAL_SYSTEM_PROCESSING"), ANSWERED),
        (refusal(400, "A_CODE_OF_NEXT_YEAR"), ANSWERED),
        (
            refusal(400, "ALREADY_PROCESSED_PAYMENT"),
            Confirmation::AlreadyProcessed,
        ),
        (
            refusal(400, "INVALID_STOPPED_CARD"),
            declined("INVALID_STOPPED_CARD"),
        ),
        (
            refusal(403, "REJECT_CARD_PAYMENT"),
            declined("REJECT_CARD_PAYMENT"),
        ),
        (
            refusal(401, "UNAUTHORIZED_KEY"),
            Confirmation::Rejected {
                code: "UNAUTHORIZED_KEY".to_owned(),
            },
        ),
    ] {
        let server = answering(answer.clone()).await;
        let found = provider(&server.uri(), &[]).confirm(&charge()).await;
        assert_eq!(found, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn the_books_are_read_for_this_charge() {
    let charge = charge();
    let ok = |body: Value| ResponseTemplate::new(200).set_body_json(body);
    let key = || Lookup::Key(&charge.payment_key);
    let order = || Lookup::Order(&charge.order_id);
    for (answer, by, expected) in [
        (ok(payment("DONE", "order-1", 6_000)), order(), Found::Captured),
        (ok(payment("DONE", "order-1", 6_000)), key(), Found::Captured),
        (ok(payment("DONE", "order-1", 1)), order(), Found::Mismatch),
        (
            ok(payment("PARTIAL_CANCELED", "order-1", 6_000)),
            order(),
            Found::Mismatch,
        ),
        (ok(payment("DONE", "order-9", 6_000)), key(), Found::AnotherOrder),
        (ok(payment("DONE", "order-9", 6_000)), order(), Found::Unknown),
        (
            ok(payment("ABORTED", "order-1", 6_000)),
            order(),
            Found::NotCaptured,
        ),
        (
            ok(payment("EXPIRED", "order-1", 6_000)),
            order(),
            Found::NotCaptured,
        ),
        (
            ok(payment("CANCELED", "order-1", 6_000)),
            order(),
            Found::NotCaptured,
        ),
        (ok(payment("IN_PROGRESS", "order-1", 6_000)), order(), Found::Open),
        (refusal(404, "NOT_FOUND_PAYMENT"), order(), Found::Open),
        (refusal(401, "UNAUTHORIZED_KEY"), order(), Found::Unknown),
        (ResponseTemplate::new(503), order(), Found::Unknown),
    ] {
        let server = answering(answer.clone()).await;
        let found = provider(&server.uri(), &[]).find(&charge, by).await;
        assert_eq!(found, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn money_is_back_only_if_the_provider_says_so() {
    let ok = |status: &str| ResponseTemplate::new(200).set_body_json(payment(status, "order-1", 6_000));
    for (answer, expected) in [
        (ok("CANCELED"), Cancellation::Canceled),
        (refusal(400, "ALREADY_CANCELED_PAYMENT"), Cancellation::Canceled),
        (ok("DONE"), Cancellation::Unknown { answered: true }),
        (
            refusal(400, "PROVIDER_ERROR"),
            Cancellation::Unknown { answered: true },
        ),
        (
            ok("CANCELED").set_delay(Duration::from_secs(5)),
            Cancellation::Unknown { answered: false },
        ),
        (
            refusal(403, "NOT_CANCELABLE_PAYMENT"),
            Cancellation::Refused {
                code: "NOT_CANCELABLE_PAYMENT".to_owned(),
            },
        ),
    ] {
        let server = answering(answer.clone()).await;
        let found = provider(&server.uri(), &[]).cancel(&charge()).await;
        assert_eq!(found, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_was_not_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(
        provider(&url, &[]).confirm(&charge()).await,
        Confirmation::NotSent
    );
}

#[tokio::test]
async fn a_connection_that_breaks_or_an_answer_without_end_leaves_the_outcome_unknown() {
    for goes_on in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).await.unwrap();
            if goes_on {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                // One byte now and then keeps every timeout but the whole call's from passing.
                while stream.write_all(b"1\r\n \r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
        assert_eq!(
            provider(&url, &[]).confirm(&charge()).await,
            UNANSWERED,
            "goes on: {goes_on}"
        );
    }
}

#[tokio::test]
async fn promise_16_calls_beyond_the_bound_are_not_made() {
    let slow = ResponseTemplate::new(200)
        .set_body_json(payment("DONE", "order-1", 6_000))
        .set_delay(Duration::from_secs(2));
    let server = answering(slow).await;
    let settings = [
        ("PROVIDER_MAX_CONCURRENT_CALLS", "1"),
        ("PROVIDER_TIMEOUT_MS", "5000"),
    ];
    let provider = provider(&server.uri(), &settings);
    let (one, other) = (charge(), charge());
    let (one, other) = tokio::join!(provider.confirm(&one), provider.confirm(&other));
    assert_eq!((one, other), (Confirmation::Captured, Confirmation::NotSent));
}

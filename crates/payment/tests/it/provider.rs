//! The adapter against answers that the simulator never gives.

use std::time::Duration;

use futures::future::join_all;
use payment::domain::{OrderId, PaymentKey};
use payment::provider::{
    Balance, Cancel, Cancellation, Charge, Confirmation, Found, Lookup, NoAnswer, PaymentProvider as _,
    TossConfig, TossProvider, Transaction, TransactionKind, Window,
};
use serde_json::{Value, json};
use service_kit::config::load_from;
use test_support::environment;
use time::macros::datetime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use vocabulary::Amount;
use wiremock::matchers::{basic_auth, body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "test_ok_1";

pub(crate) fn provider(url: &str, settings: &[(&str, &str)]) -> TossProvider {
    let mut values = environment([
        ("PROVIDER_URL", url),
        ("PROVIDER_SECRET_KEY", "test_sk_1"),
        ("PROVIDER_TIMEOUT_MS", "300"),
    ]);
    values.extend(environment(settings.iter().copied()));
    TossProvider::new(&load_from(values, TossConfig::read).unwrap()).unwrap()
}

pub(crate) fn charge() -> Charge {
    Charge {
        payment_key: PaymentKey::new(KEY).unwrap(),
        order_id: OrderId::new("order-1").unwrap(),
        amount: Amount::new(6_000).unwrap(),
        idempotency_key: "confirm-1-1".to_owned(),
    }
}

/// Of the same order, which the buyer authenticated twice.
fn of_another_key(status: &str) -> Value {
    json!({"paymentKey": "test_ok_2", "orderId": "order-1", "status": status, "totalAmount": 6_000})
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
        (refusal(400, "DUPLICATED_ORDER_ID"), Confirmation::OrderUsed),
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
        (ok(of_another_key("ABORTED")), order(), Found::AnotherKey),
        (ok(of_another_key("EXPIRED")), order(), Found::AnotherKey),
        (ok(of_another_key("DONE")), order(), Found::AnotherKey),
        (ok(of_another_key("DONE")), key(), Found::Unknown),
        (refusal(404, "NOT_FOUND_PAYMENT"), order(), Found::Open),
        (refusal(401, "UNAUTHORIZED_KEY"), order(), Found::Unknown),
        (ResponseTemplate::new(503), order(), Found::Unknown),
    ] {
        let server = answering(answer.clone()).await;
        let found = provider(&server.uri(), &[]).find(&charge, by).await;
        assert_eq!(found, expected, "{answer:?}");
    }
}

fn won(amount: i64) -> Amount {
    Amount::new(amount).unwrap()
}

/// 2,000 of 6,000 won go back.
fn part() -> Cancel {
    Cancel {
        order_id: OrderId::new("order-1").unwrap(),
        captured: won(6_000),
        amount: won(2_000),
        reason: "The date was canceled",
        idempotency_key: "refund-1-1".to_owned(),
    }
}

fn balance(status: &str, total: i64, left: i64) -> Value {
    let mut payment = payment(status, "order-1", total);
    payment["balanceAmount"] = left.into();
    payment
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// A provider whose books say one thing, and that answers a cancellation with another.
async fn giving_back(books: ResponseTemplate, answer: ResponseTemplate, asked: u64) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/payments/orders/order-1"))
        .respond_with(books)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path(format!("/v1/payments/{KEY}/cancel")))
        .respond_with(answer)
        .expect(asked)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_part_is_asked_back_by_its_order_and_of_the_balance_that_was_seen() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/payments/orders/order-1"))
        .respond_with(ok(balance("DONE", 6_000, 6_000)))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path(format!("/v1/payments/{KEY}/cancel")))
        .and(header("Idempotency-Key", "refund-1-1"))
        .and(body_json(json!({
            "cancelReason": "The date was canceled", "cancelAmount": 2_000, "refundableAmount": 6_000,
        })))
        .respond_with(ok(balance("PARTIAL_CANCELED", 6_000, 4_000)))
        .expect(1)
        .mount(&server)
        .await;
    let provider = provider(&server.uri(), &[]);
    assert_eq!(provider.cancel(&part()).await, Cancellation::Canceled);
}

#[tokio::test]
async fn money_is_back_only_if_the_provider_says_so() {
    let unknown = |answered| Cancellation::Unknown { answered };
    for (answer, expected) in [
        (
            ok(balance("PARTIAL_CANCELED", 6_000, 4_000)),
            Cancellation::Canceled,
        ),
        // Not what was asked for: the next look decides.
        (ok(balance("DONE", 6_000, 6_000)), unknown(true)),
        (ok(balance("CANCELED", 6_000, 0)), unknown(true)),
        (ok(payment("PARTIAL_CANCELED", "order-1", 6_000)), unknown(true)),
        (ok(json!({"status": "CANCELED"})), unknown(true)),
        (
            ResponseTemplate::new(502).set_body_string("bad gateway"),
            unknown(true),
        ),
        (refusal(400, "ALREADY_CANCELED_PAYMENT"), unknown(true)),
        (refusal(400, "NOT_MATCHES_REFUNDABLE_AMOUNT"), unknown(true)),
        (refusal(400, "PROVIDER_ERROR"), unknown(true)),
        (refusal(403, "FORBIDDEN_CONSECUTIVE_REQUEST"), unknown(true)),
        (refusal(409, "IDEMPOTENT_REQUEST_PROCESSING"), unknown(false)),
        (
            ok(balance("PARTIAL_CANCELED", 6_000, 4_000)).set_delay(Duration::from_secs(5)),
            unknown(false),
        ),
        (
            refusal(403, "NOT_CANCELABLE_PAYMENT"),
            Cancellation::Refused {
                code: "NOT_CANCELABLE_PAYMENT".to_owned(),
            },
        ),
    ] {
        let server = giving_back(ok(balance("DONE", 6_000, 6_000)), answer.clone(), 1).await;
        let found = provider(&server.uri(), &[]).cancel(&part()).await;
        assert_eq!(found, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn money_is_asked_back_only_of_an_untouched_balance() {
    for (books, expected) in [
        // Done before, by a request whose answer was lost.
        (
            ok(balance("PARTIAL_CANCELED", 6_000, 4_000)),
            Cancellation::Canceled,
        ),
        (
            ok(balance("PARTIAL_CANCELED", 6_000, 5_000)),
            Cancellation::Mismatch,
        ),
        (ok(balance("CANCELED", 6_000, 0)), Cancellation::Mismatch),
        (ok(balance("DONE", 9_000, 9_000)), Cancellation::Mismatch),
        (ok(balance("ABORTED", 6_000, 6_000)), Cancellation::Mismatch),
        (refusal(404, "NOT_FOUND_PAYMENT"), Cancellation::Mismatch),
        (
            ok(payment("DONE", "order-1", 6_000)),
            Cancellation::Unknown { answered: false },
        ),
        (
            ResponseTemplate::new(503),
            Cancellation::Unknown { answered: false },
        ),
    ] {
        let server = giving_back(books.clone(), ResponseTemplate::new(500), 0).await;
        let found = provider(&server.uri(), &[]).cancel(&part()).await;
        assert_eq!(found, expected, "{books:?}");
    }
}

#[tokio::test]
async fn the_balance_of_an_order_is_what_its_amounts_say() {
    let captured = |total, left| Balance::Captured {
        total: won(total),
        left: won(left),
    };
    for (answer, expected) in [
        (ok(balance("DONE", 6_000, 6_000)), captured(6_000, 6_000)),
        (
            ok(balance("PARTIAL_CANCELED", 6_000, 4_000)),
            captured(6_000, 4_000),
        ),
        // The status stays behind where the last part went back.
        (ok(balance("PARTIAL_CANCELED", 6_000, 0)), captured(6_000, 0)),
        (ok(balance("CANCELED", 6_000, 0)), captured(6_000, 0)),
        (ok(balance("ABORTED", 6_000, 6_000)), Balance::NotCaptured),
        (ok(balance("IN_PROGRESS", 6_000, 6_000)), Balance::NotCaptured),
        (refusal(404, "NOT_FOUND_PAYMENT"), Balance::NotCaptured),
        (
            ok(balance("A_STATUS_OF_NEXT_YEAR", 6_000, 6_000)),
            Balance::Unknown,
        ),
        (ok(balance("DONE", 6_000, 6_001)), Balance::Unknown),
        (ok(payment("DONE", "order-1", 6_000)), Balance::Unknown),
        (ok(payment("DONE", "order-9", 6_000)), Balance::Unknown),
        (refusal(401, "UNAUTHORIZED_KEY"), Balance::Unknown),
        (ResponseTemplate::new(503), Balance::Unknown),
    ] {
        let server = answering(answer.clone()).await;
        let found = provider(&server.uri(), &[])
            .balance(&OrderId::new("order-1").unwrap())
            .await;
        assert_eq!(found, expected, "{answer:?}");
    }
}

fn listed(key: &str, status: &str, amount: i64) -> Value {
    json!({
        "mId": "frontrow", "transactionKey": key, "paymentKey": KEY, "orderId": "order-1", "method": "카드",
        "status": status, "transactionAt": "2026-11-20T10:00:00+09:00", "currency": "KRW", "amount": amount,
    })
}

const WINDOW: Window = Window {
    from: datetime!(2026-11-19 15:00:00 UTC),
    until: datetime!(2026-11-20 14:59:59 UTC),
};

#[tokio::test]
async fn transactions_are_listed_in_korean_time_and_say_which_way_money_moved() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/transactions"))
        .and(basic_auth("test_sk_1", ""))
        .and(query_param("startDate", "2026-11-20T00:00:00"))
        .and(query_param("endDate", "2026-11-20T23:59:59"))
        .and(query_param("startingAfter", "T0"))
        .respond_with(ok(json!([
            listed("T1", "DONE", 6_000),
            listed("T2", "WAITING_FOR_DEPOSIT", 1_000),
            listed("T3", "PARTIAL_CANCELED", 2_000),
            listed("T4", "CANCELED", -4_000),
        ])))
        .expect(1)
        .mount(&server)
        .await;
    let provider = provider(&server.uri(), &[]);
    let page = provider.transactions(&WINDOW, Some("T0")).await.unwrap();
    let transaction = |key: &str, kind, amount| Transaction {
        key: key.to_owned(),
        order_id: "order-1".to_owned(),
        kind,
        amount: won(amount),
        at: datetime!(2026-11-20 01:00:00 UTC),
    };
    assert_eq!(
        page.transactions,
        [
            transaction("T1", TransactionKind::Capture, 6_000),
            transaction("T3", TransactionKind::Cancel, 2_000),
            transaction("T4", TransactionKind::Cancel, 4_000),
        ]
    );
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn a_full_page_of_transactions_names_the_next_one() {
    let full: Vec<_> = (0..500).map(|n| listed(&format!("T{n}"), "DONE", 100)).collect();
    let server = answering(ok(Value::Array(full))).await;
    let page = provider(&server.uri(), &[])
        .transactions(&WINDOW, None)
        .await
        .unwrap();
    assert_eq!(
        (page.transactions.len(), page.next.as_deref()),
        (500, Some("T499"))
    );
}

#[tokio::test]
async fn a_list_of_transactions_that_cannot_be_understood_is_no_answer() {
    for answer in [
        ok(json!([listed("T1", "A_STATUS_OF_NEXT_YEAR", 6_000)])),
        ok(json!([{"transactionKey": "T1"}])),
        ok(json!({})),
        refusal(400, "INVALID_TRANSACTION_KEY"),
        ResponseTemplate::new(503),
        ResponseTemplate::new(200).set_body_string("x".repeat(2_000_000)),
    ] {
        let server = answering(answer.clone()).await;
        let page = provider(&server.uri(), &[]).transactions(&WINDOW, None).await;
        assert_eq!(page, Err(NoAnswer), "{answer:?}");
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
        ("PROVIDER_MAX_CONCURRENT_CALLS", "4"),
        ("PROVIDER_TIMEOUT_MS", "5000"),
    ];
    let provider = provider(&server.uri(), &settings);
    let charges: Vec<_> = (0..5).map(|_| charge()).collect();
    let answers = join_all(charges.iter().map(|charge| provider.confirm(charge))).await;
    let captured = answers.iter().filter(|answer| **answer == Confirmation::Captured);
    assert_eq!(captured.count(), 4);
    assert!(answers.contains(&Confirmation::NotSent));
}

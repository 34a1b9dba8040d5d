//! Events of the payment provider.

use contracts::payment::{NotifyProviderEventRequest, NotifyProviderEventResponse};
use prost::Message as _;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tonic::Status;

use crate::gateway::{Answer, Gateway};

const NOTIFY: &str = "payment.v1.PaymentService/NotifyProviderEvent";
const PATH: &str = "/v1/webhooks/toss";

/// As the provider sends it, with some of what nobody here reads.
fn event() -> Value {
    json!({
        "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-20T10:00:00.000000",
        "data": {
            "mId": "tosspayments", "version": "2022-11-16", "paymentKey": "canary-payment-key",
            "orderId": "frontrow-1", "orderName": "Two seats", "status": "DONE", "totalAmount": 99_000,
            "secret": "canary-secret", "card": { "number": "433012******1234", "installmentPlanMonths": 0 },
            "cancels": null, "receipt": { "url": "https://dashboard.example" },
        },
    })
}

async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    gateway
        .upstreams
        .on(NOTIFY, |request: NotifyProviderEventRequest| {
            assert_eq!(
                (
                    request.event_type.as_str(),
                    request.order_id.as_str(),
                    request.status.as_str()
                ),
                ("PAYMENT_STATUS_CHANGED", "frontrow-1", "DONE")
            );
            assert!(!String::from_utf8_lossy(&request.encode_to_vec()).contains("canary"));
            Ok(NotifyProviderEventResponse {})
        });
    gateway
}

#[tokio::test]
async fn an_event_of_a_payment_is_passed_on_as_order_and_status_alone() {
    let gateway = gateway().await;
    gateway.post(PATH, &event()).await.expect(200);
    assert_eq!(gateway.upstreams.calls(NOTIFY), 1);
}

#[rstest]
#[case::of_another_kind(json!({ "eventType": "PAYOUT_STATUS_CHANGED", "data": { "id": 7 } }))]
#[case::without_a_kind(json!({ "createdAt": "2026-11-20T10:00:00.000000", "secret": "x", "orderId": "frontrow-1", "status": "DONE" }))]
#[case::of_nothing(json!({}))]
#[tokio::test]
async fn other_events_are_taken_and_forgotten(#[case] event: Value) {
    let gateway = gateway().await;
    gateway.post(PATH, &event).await.expect(200);
    assert_eq!(gateway.upstreams.calls(NOTIFY), 0);
}

#[rstest]
#[case::no_payment(json!({ "eventType": "PAYMENT_STATUS_CHANGED" }), "data.orderId")]
#[case::no_order(json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "status": "DONE" } }), "data.orderId")]
#[case::a_short_order(json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "orderId": "12345" } }), "data.orderId")]
#[case::a_long_order(json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "orderId": "x".repeat(65) } }), "data.orderId")]
#[case::a_long_status(
    json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "orderId": "frontrow-1", "status": "x".repeat(65) } }),
    "data.status"
)]
#[case::another_type(json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": { "orderId": 7 } }), "data.orderId")]
#[case::an_array(json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": ["frontrow-1"] }), "data")]
#[tokio::test]
async fn an_event_that_cannot_be_read_is_refused(#[case] event: Value, #[case] field: &str) {
    let gateway = gateway().await;
    let problem = gateway
        .post(PATH, &event)
        .await
        .expect_problem(422, "invalid-field");
    assert_eq!(problem["errors"][0]["field"], field);
    assert_eq!(gateway.upstreams.calls(NOTIFY), 0);
}

#[tokio::test]
async fn an_event_of_more_than_64_kib_is_refused_unread() {
    let gateway = gateway().await;
    let mut large = event();
    large["data"]["orderName"] = "x".repeat(64 * 1024).into();
    gateway
        .post(PATH, &large)
        .await
        .expect_problem(413, "body-too-large");
    let request = gateway
        .request(Method::POST, PATH)
        .header("content-type", "application/json")
        .body("{");
    Answer::to(request).await.expect_problem(400, "malformed-request");
    assert_eq!(gateway.upstreams.calls(NOTIFY), 0);
}

#[tokio::test]
async fn while_payment_is_away_the_provider_is_asked_to_send_it_again() {
    let gateway = gateway().await;
    gateway.upstreams.refuse(NOTIFY, Status::unavailable("scripted"));
    gateway
        .post(PATH, &event())
        .await
        .expect_problem(503, "unavailable");
}

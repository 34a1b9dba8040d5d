//! Hints of the provider: a true one ends what is unknown promptly, a forged one changes nothing.

use std::time::Duration;

use contracts::payment::{NotifyProviderEventRequest, PaymentStatus};
use futures::future::join_all;
use payment::domain::{Payment, State};
use rstest::rstest;
use serde_json::json;
use service_kit::problem::Problem;
use test_support::eventually;
use tokio_util::sync::CancellationToken;
use vocabulary::{PaymentId, ProblemCode};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::ledger::assert_balanced;
use crate::world::{World, card, status};

/// The resumer is at work.
const AWAKE: &[(&str, &str)] = &[("RESUME_EVERY_MS", "20")];
/// It is, and what waits would wait for minutes.
const PATIENT: &[(&str, &str)] = &[
    ("PROVIDER_TIMEOUT_MS", "300"),
    ("PAY_WAIT_MS", "100"),
    ("RESUME_EVERY_MS", "20"),
    ("PAYMENT_RETRY_MIN_MS", "60000"),
    ("PAYMENT_RETRY_MAX_MS", "600000"),
];

async fn hint(world: &World, order_id: &str, status: &str) -> Result<(), Problem> {
    let event = NotifyProviderEventRequest {
        event_type: "PAYMENT_STATUS_CHANGED".to_owned(),
        order_id: order_id.to_owned(),
        status: status.to_owned(),
    };
    let answer = world.client.clone().notify_provider_event(event).await;
    answer.map(|_| ()).map_err(Problem::from)
}

async fn the(world: &World, payment_id: &str) -> Payment {
    let payment_id: PaymentId = payment_id.parse().unwrap();
    world.store().payment(payment_id).await.unwrap().unwrap()
}

/// Waits until a payment is UNKNOWN and its driver has left it to the resumer.
async fn left_unknown(world: &World, payment_id: &str) {
    eventually("the payment waits", async || {
        let payment = the(world, payment_id).await;
        (payment.state == State::Unknown && payment.tries == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_true_hint_ends_an_unknown_payment_promptly() {
    let world = World::with(PATIENT).await;
    let hold = world.hold().await;
    let payment_key = card("late");
    let begun = world.pay(&hold, 4_000, Some(&payment_key)).await.unwrap();
    let payment_id = begun.payment.unwrap().payment_id;
    left_unknown(&world, &payment_id).await;
    eventually("the provider captures", async || {
        (world.provider_totals().await.0 == 6_000).then_some(())
    })
    .await;
    assert_eq!(the(&world, &payment_id).await.state, State::Unknown);

    let order_id = the(&world, &payment_id).await.card.unwrap().order_id;
    hint(&world, order_id.as_str(), "DONE").await.unwrap();
    eventually("the payment ends", async || {
        let payment = world.payment(hold.user_id, &payment_id).await.unwrap();
        (status(&payment) == PaymentStatus::Succeeded).then_some(())
    })
    .await;
    // The provider says it again, and once more.
    for _ in 0..2 {
        hint(&world, order_id.as_str(), "DONE").await.unwrap();
    }
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_forged_capture_of_an_order_that_was_never_paid_changes_nothing() {
    let world = World::with(AWAKE).await;
    let hold = world.hold().await;
    for order_id in [&*world.booking.order_id(&hold), "no-order-of-ours"] {
        hint(&world, order_id, "DONE").await.unwrap();
    }
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM payments")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(rows, 0);
    // It can still be paid.
    let paid = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_forged_cancellation_of_a_paid_order_changes_nothing() {
    let world = World::with(AWAKE).await;
    let hold = world.hold().await;
    let paid = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap();
    let before = the(&world, &paid.payment.unwrap().payment_id).await;
    let order_id = before.card.clone().unwrap().order_id;
    hint(&world, order_id.as_str(), "CANCELED").await.unwrap();

    let after = the(&world, &before.payment_id.to_string()).await;
    assert_eq!((after.state, after.version), (State::Succeeded, before.version));
    assert_eq!(world.open_sagas().await, 0);
    assert_eq!(world.wallet(&hold).await, (6_000, 0));
    assert_eq!(world.provider_totals().await, (6_000, 0));
}

#[tokio::test]
async fn promise_16_a_flood_of_forged_hints_makes_a_bounded_number_of_calls() {
    let server = MockServer::start().await;
    let lost = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    Mock::given(method("POST"))
        .respond_with(lost)
        .mount(&server)
        .await;
    let unknown =
        ResponseTemplate::new(404).set_body_json(json!({"code": "NOT_FOUND_PAYMENT", "message": "..."}));
    Mock::given(method("GET"))
        .respond_with(unknown)
        .mount(&server)
        .await;
    let world = World::against(server.uri(), PATIENT, CancellationToken::new()).await;
    let hold = world.hold().await;
    let begun = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap();
    let payment_id = begun.payment.unwrap().payment_id;
    left_unknown(&world, &payment_id).await;
    let calls = async || server.received_requests().await.unwrap().len();
    let before = calls().await;

    let order_id = world.booking.order_id(&hold);
    for _ in 0..20 {
        let hints = (0..50).map(|_| hint(&world, &order_id, "DONE"));
        for answer in join_all(hints).await {
            answer.unwrap();
        }
    }
    eventually("the payment was looked up and waits again", async || {
        (the(&world, &payment_id).await.tries == 2).then_some(())
    })
    .await;
    // One look-up, and one repeat of the confirmation.
    assert_eq!(calls().await - before, 2);
    assert_eq!(the(&world, &payment_id).await.state, State::Unknown);
}

#[tokio::test]
async fn a_hint_takes_nothing_from_whoever_is_at_work_on_the_order() {
    let world = World::with(AWAKE).await;
    let hold = world.hold().await;
    let (order_id, payment_key) = (world.booking.order_id(&hold), card("slow"));
    let hints = async {
        // The provider captures at once, tells of it, and is slow to answer.
        eventually("the provider captures", async || {
            (world.provider_totals().await.0 == 6_000).then_some(())
        })
        .await;
        hint(&world, &order_id, "DONE").await.unwrap();
    };
    let (paid, ()) = tokio::join!(world.pay(&hold, 4_000, Some(&payment_key)), hints);
    assert_eq!(status(&paid.unwrap().payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(world.provider_totals().await, (6_000, 0));
}

#[rstest]
#[case("five5", "PAYMENT_STATUS_CHANGED", "DONE", "data.orderId")]
#[case("order with spaces", "PAYMENT_STATUS_CHANGED", "DONE", "data.orderId")]
#[case("order-1", "", "DONE", "eventType")]
#[case("order-1", "PAYMENT_STATUS_CHANGED", &"x".repeat(65), "data.status")]
#[tokio::test]
async fn a_hint_that_no_provider_would_send_is_refused(
    #[case] order_id: &str,
    #[case] event_type: &str,
    #[case] status: &str,
    #[case] field: &str,
) {
    let world = World::start().await;
    let event = NotifyProviderEventRequest {
        event_type: event_type.to_owned(),
        order_id: order_id.to_owned(),
        status: status.to_owned(),
    };
    let refusal = world
        .client
        .clone()
        .notify_provider_event(event)
        .await
        .unwrap_err();
    let problem = Problem::from(refusal);
    assert_eq!(problem.code, ProblemCode::InvalidField);
    assert_eq!(problem.fields[0].field, field);
}

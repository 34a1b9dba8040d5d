//! Which Idempotency-Key a repeat carries, and what no repeat can mend.

use std::time::Duration;

use contracts::payment::PaymentStatus;
use payment::app::App;
use payment::domain::State;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use vocabulary::{PaymentId, ProblemCode};
use wiremock::matchers::{method, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::booking::{Call, Fault};
use crate::interruptions::recorded;
use crate::ledger::assert_balanced;
use crate::mishaps::losing_requests;
use crate::world::{Hold, LEASE, World, card, status};

const CONFIRM: &str = "/confirm$";
const CANCEL: &str = "/cancel$";
const KEY: &str = "test_ok_1";

/// A service whose provider answers as it is told.
async fn world() -> (World, MockServer) {
    let server = MockServer::start().await;
    let settings = [("PROVIDER_TIMEOUT_MS", "500")];
    let world = World::against(server.uri(), &settings, CancellationToken::new()).await;
    (world, server)
}

/// Answers in turn; the last one stays.
async fn told(server: &MockServer, call: &str, answers: Vec<ResponseTemplate>) {
    let last = answers.len() - 1;
    for (n, answer) in answers.into_iter().enumerate() {
        let mock = Mock::given(method("POST"))
            .and(path_regex(call))
            .respond_with(answer);
        let mock = if n < last { mock.up_to_n_times(1) } else { mock };
        mock.mount(server).await;
    }
}

async fn told_when_asked(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Books that tell of the order otherwise than of the key.
async fn told_of_order_and_key(server: &MockServer, order: ResponseTemplate, key: ResponseTemplate) {
    for (call, answer) in [("/orders/", order), ("/test_ok_1$", key)] {
        let asked = Mock::given(method("GET")).and(path_regex(call));
        asked.respond_with(answer).mount(server).await;
    }
}

fn refusal(code: &str) -> ResponseTemplate {
    ResponseTemplate::new(400).set_body_json(json!({"code": code, "message": "..."}))
}

fn lost() -> ResponseTemplate {
    ResponseTemplate::new(200).set_delay(Duration::from_secs(30))
}

fn payment(world: &World, hold: &Hold, status: &str, amount: i64) -> ResponseTemplate {
    payment_of(KEY, world, hold, status, amount)
}

fn payment_of(key: &str, world: &World, hold: &Hold, status: &str, amount: i64) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "paymentKey": key,
        "orderId": world.booking.order_id(hold),
        "status": status,
        "totalAmount": amount,
        "balanceAmount": if status == "CANCELED" { 0 } else { amount },
    }))
}

/// The attempts by which the provider was asked, as their keys end.
async fn attempts(server: &MockServer, call: &str) -> Vec<String> {
    let attempt = |request: &Request| {
        let key = request.headers["idempotency-key"].to_str().unwrap();
        key.rsplit_once('-').unwrap().1.to_owned()
    };
    let requests = server.received_requests().await.unwrap();
    let calls = requests
        .iter()
        .filter(|request| request.url.path().ends_with(call.trim_end_matches('$')));
    calls.map(attempt).collect()
}

async fn resume(world: &World, app: &App) {
    world.database.step_clock(LEASE).await;
    assert_eq!(app.resume_once().await.unwrap(), 1);
}

async fn state(world: &World, payment_id: PaymentId) -> State {
    world.store().payment(payment_id).await.unwrap().unwrap().state
}

#[tokio::test]
async fn a_repeat_keeps_the_key_of_an_unanswered_attempt_and_not_that_of_an_answered_one() {
    let (world, server) = world().await;
    let hold = world.hold().await;
    let done = payment(&world, &hold, "DONE", 6_000);
    told(&server, CONFIRM, vec![lost(), refusal("PROVIDER_ERROR"), done]).await;
    told_when_asked(&server, refusal("NOT_FOUND_PAYMENT")).await;

    let paid = world.pay(&hold, 4_000, Some(KEY)).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(attempts(&server, CONFIRM).await, ["1", "1", "2"]);
}

#[tokio::test]
async fn what_the_order_says_of_another_key_is_not_taken_for_ours() {
    let (world, server) = world().await;
    let hold = world.hold().await;
    told(&server, CONFIRM, vec![lost()]).await;
    // The buyer had a second window open, and left it.
    let left = payment_of("test_ok_2", &world, &hold, "EXPIRED", 6_000);
    told_of_order_and_key(&server, left, payment(&world, &hold, "DONE", 6_000)).await;

    let paid = world.pay(&hold, 4_000, Some(KEY)).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(attempts(&server, CONFIRM).await, ["1"]);
}

#[tokio::test]
async fn a_repeat_that_meets_its_own_capture_is_no_failure() {
    let (world, server) = world().await;
    let hold = world.hold().await;
    told(&server, CONFIRM, vec![lost(), refusal("DUPLICATED_ORDER_ID")]).await;
    let done = payment(&world, &hold, "DONE", 6_000);
    told_of_order_and_key(&server, refusal("NOT_FOUND_PAYMENT"), done).await;

    let paid = world.pay(&hold, 4_000, Some(KEY)).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
}

#[tokio::test]
async fn an_order_that_another_key_was_captured_for_fails_when_the_session_is_over() {
    let (world, server) = world().await;
    let hold = world.hold().await;
    told(&server, CONFIRM, vec![lost(), refusal("DUPLICATED_ORDER_ID")]).await;
    let other = payment_of("test_ok_2", &world, &hold, "DONE", 6_000);
    told_of_order_and_key(&server, other, refusal("NOT_FOUND_PAYMENT")).await;
    let app = world.replica();
    let payment = recorded(&world, &hold, 4_000, KEY).await;
    app.drive(payment.clone(), Duration::ZERO).await.unwrap();
    resume(&world, &app).await;
    assert_eq!(state(&world, payment.payment_id).await, State::Unknown);
    world
        .database
        .step_clock(world.config.settings.provider_session)
        .await;
    resume(&world, &app).await;
    assert_eq!(state(&world, payment.payment_id).await, State::Failed);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
}

#[tokio::test]
async fn a_refund_is_repeated_until_the_provider_gives_the_money_back() {
    let (world, server) = world().await;
    let hold = world.hold().await;
    told(&server, CONFIRM, vec![payment(&world, &hold, "DONE", 6_000)]).await;
    let back = payment(&world, &hold, "CANCELED", 6_000);
    let cancels = vec![
        refusal("PROVIDER_ERROR"),
        lost(),
        refusal("NOT_CANCELABLE_PAYMENT"),
        back,
    ];
    told(&server, CANCEL, cancels).await;
    told_when_asked(&server, payment(&world, &hold, "DONE", 6_000)).await;
    world.booking.fault(Call::Confirm, Fault::LapsedBefore);

    let refused = world.pay(&hold, 4_000, Some(KEY)).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::PaymentWindowClosed);
    assert_eq!(attempts(&server, CANCEL).await, ["1", "2", "2", "3"]);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
}

#[tokio::test]
async fn books_that_do_not_match_are_left_to_people() {
    let (world, server) = world().await;
    let hold = world.hold().await;
    told(&server, CONFIRM, vec![refusal("ALREADY_PROCESSED_PAYMENT")]).await;
    told_when_asked(&server, payment(&world, &hold, "DONE", 5_999)).await;
    let app = world.replica();
    let payment = recorded(&world, &hold, 4_000, KEY).await;
    app.drive(payment.clone(), Duration::ZERO).await.unwrap();
    for _ in 0..3 {
        resume(&world, &app).await;
        assert_eq!(state(&world, payment.payment_id).await, State::Unknown);
    }
    // Nothing was guessed: one capture was asked for, and the points are where they were.
    assert_eq!(attempts(&server, CONFIRM).await.len(), 1);
    assert_eq!(world.wallet(&hold).await, (6_000, 4_000));
}

#[tokio::test]
async fn a_request_that_never_arrived_is_not_repeated_for_a_canceled_date() {
    let world = World::start().await;
    let hold = world.hold().await;
    let app = losing_requests(&world);
    world.booking.fault(Call::MarkUnknown, Fault::DateCanceledBefore);
    let payment = recorded(&world, &hold, 4_000, &card("ok")).await;
    app.drive(payment.clone(), Duration::ZERO).await.unwrap();
    world
        .database
        .step_clock(world.config.settings.provider_session)
        .await;
    resume(&world, &app).await;
    let failed = world.store().payment(payment.payment_id).await.unwrap().unwrap();
    assert_eq!(
        (failed.state, failed.failure),
        (State::Failed, Some(ProblemCode::ScheduleCanceled))
    );
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_request_that_never_arrived_is_not_repeated_for_seats_that_are_gone() {
    let world = World::start().await;
    let hold = world.hold().await;
    let app = losing_requests(&world);
    world.booking.fault(Call::MarkUnknown, Fault::LapsedBefore);
    let payment = recorded(&world, &hold, 4_000, &card("ok")).await;
    app.drive(payment.clone(), Duration::ZERO).await.unwrap();

    // It may still arrive, so the points wait for the end of the buyer's session at the provider.
    resume(&world, &app).await;
    assert_eq!(state(&world, payment.payment_id).await, State::Unknown);
    assert_eq!(world.wallet(&hold).await, (6_000, 4_000));
    world
        .database
        .step_clock(world.config.settings.provider_session)
        .await;
    resume(&world, &app).await;
    assert_eq!(state(&world, payment.payment_id).await, State::Failed);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_balanced(&world).await;
}

//! A provider that fails is left alone: cards are refused at once, everything else goes on, and it heals by itself.

use std::time::Duration;

use contracts::payment::PaymentStatus;
use payment::provider::{Closed, PaymentProvider as _};
use serde_json::json;
use service_kit::problem::Problem;
use test_support::{FaultProxy, eventually};
use tokio_util::sync::CancellationToken;
use vocabulary::ProblemCode;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::booking::Call;
use crate::interruptions::recorded;
use crate::ledger::assert_balanced;
use crate::provider::{charge, provider};
use crate::world::{Hold, World, card, request, simulator, status};

/// A service whose way to the provider can be broken.
async fn behind_a_proxy(settings: &[(&str, &str)]) -> (World, FaultProxy) {
    let stop = CancellationToken::new();
    let url = simulator(stop.clone()).await;
    let addr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = FaultProxy::to(addr).await;
    let world = World::against(format!("http://{}", proxy.addr()), settings, stop).await;
    (world, proxy)
}

async fn payments_of(world: &World, hold: &Hold) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM payments WHERE reservation_id = $1")
        .bind(hold.reservation_id.as_uuid())
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

async fn states(world: &World, state: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM payments WHERE state = $1")
        .bind(state)
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

fn refused(answer: Result<impl Sized, Problem>) -> Option<Problem> {
    let problem = answer.err()?;
    (problem.code == ProblemCode::Unavailable).then_some(problem)
}

#[tokio::test]
async fn a_frozen_provider_is_left_alone_until_it_is_back() {
    let settings = [
        ("PROVIDER_TIMEOUT_MS", "150"),
        ("PROVIDER_BREAKER_FAILURES", "4"),
        ("PROVIDER_BREAKER_OPEN_MS", "200"),
        ("PAY_WAIT_MS", "100"),
    ];
    let (world, mut proxy) = behind_a_proxy(&settings).await;
    let paid = world.hold().await;
    assert!(world.pay(&paid, 4_000, Some(&card("ok"))).await.is_ok());
    world.settle(&world.replica()).await;
    assert_eq!(states(&world, "SUCCEEDED").await, 1);

    proxy.black_hole();
    let problem = eventually("card payments are refused", async || {
        let hold = world.hold().await;
        refused(world.pay(&hold, 4_000, Some(&card("ok"))).await)
    })
    .await;
    assert!(problem.retry_after.is_some());

    // Refused before anything was recorded, taken or begun.
    let (hold, begun) = (world.hold().await, world.booking.calls(Call::Begin));
    assert!(refused(world.pay(&hold, 4_000, Some(&card("ok"))).await).is_some());
    assert_eq!(payments_of(&world, &hold).await, 0);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_eq!(world.booking.calls(Call::Begin), begun);
    // The same hold is paid by points.
    assert!(world.pay(&hold, 10_000, None).await.is_ok());
    eventually("it is paid by points", async || {
        (states(&world, "SUCCEEDED").await == 2).then_some(())
    })
    .await;

    proxy.forward().await;
    let answer = eventually("card payments go through", async || {
        let hold = world.hold().await;
        world.pay(&hold, 4_000, Some(&card("ok"))).await.ok()
    })
    .await;
    assert!(answer.payment.is_some());
    world.settle(&world.replica()).await;
    assert_balanced(&world).await;
}

#[tokio::test]
async fn only_failures_open_it_and_never_a_refusal() {
    let refusal = |status: u16, code: &str| {
        ResponseTemplate::new(status).set_body_json(json!({"code": code, "message": "..."}))
    };
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(5));
    for (answer, opens) in [
        (refusal(403, "REJECT_CARD_PAYMENT"), false),
        (refusal(400, "PROVIDER_ERROR"), false),
        (refusal(401, "UNAUTHORIZED_KEY"), false),
        (refusal(409, "IDEMPOTENT_REQUEST_PROCESSING"), false),
        (refusal(500, "FAILED_INTERNAL_SYSTEM_PROCESSING"), true),
        (ResponseTemplate::new(200).set_body_string("<html>"), true),
        (ResponseTemplate::new(502).set_body_string("bad gateway"), true),
        (late, true),
    ] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(answer.clone())
            .mount(&server)
            .await;
        let provider = provider(&server.uri(), &[("PROVIDER_BREAKER_FAILURES", "3")]);
        for _ in 0..3 {
            assert_eq!(provider.closed(), None, "{answer:?}");
            provider.confirm(&charge()).await;
        }
        let away = matches!(provider.closed(), Some(Closed::Away { .. }));
        assert_eq!(away, opens, "{answer:?}");
        let asked = server.received_requests().await.unwrap().len();
        provider.confirm(&charge()).await;
        let asked_again = server.received_requests().await.unwrap().len() - asked;
        assert_eq!(asked_again, usize::from(!opens), "{answer:?}");
    }
}

#[tokio::test]
async fn a_payment_waits_for_a_provider_that_is_left_alone_and_its_tries_stay() {
    let settings = [
        ("PROVIDER_TIMEOUT_MS", "200"),
        ("PROVIDER_BREAKER_FAILURES", "1"),
        ("PROVIDER_BREAKER_OPEN_MS", "600000"),
    ];
    let world = World::with(&settings).await;
    let hold = world.hold().await;
    let app = world.replica();
    let payment = recorded(&world, &hold, 4_000, &card("lost")).await;
    let payment_id = payment.payment_id;
    app.drive(payment, Duration::ZERO).await.unwrap();
    for _ in 0..5 {
        let payment = world.store().payment(payment_id).await.unwrap().unwrap();
        assert_eq!((payment.state.as_str(), payment.tries), ("UNKNOWN", 0));
        // Longer than the provider is left alone.
        world.database.step_clock(Duration::from_secs(700)).await;
        assert_eq!(app.resume_once().await.unwrap(), 1);
    }
    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_16_a_slow_provider_takes_its_own_places_and_no_others() {
    let settings = [
        ("PROVIDER_TIMEOUT_MS", "60000"),
        ("PROVIDER_MAX_CONCURRENT_CALLS", "4"),
        ("RESUME_CONCURRENCY", "1"),
        ("REFUND_CONCURRENCY", "1"),
    ];
    let (world, mut proxy) = behind_a_proxy(&settings).await;
    proxy.black_hole();
    let mut holds = Vec::new();
    for _ in 0..4 {
        holds.push(world.hold().await);
    }
    let waiting: Vec<_> = holds
        .into_iter()
        .map(|hold| {
            let mut client = world.client.clone();
            let request = request(&hold, 4_000, Some(&card("ok")));
            tokio::spawn(async move { client.pay(request).await })
        })
        .collect();
    let asking = async || (states(&world, "CONFIRMING").await == 4).then_some(());
    eventually("all places at the provider are taken", asking).await;

    let one_more = world.hold().await;
    let problem = eventually("another card payment is refused", async || {
        refused(world.pay(&one_more, 4_000, Some(&card("ok"))).await)
    })
    .await;
    assert!(problem.retry_after.is_some());
    for _ in 0..20 {
        let hold = world.hold().await;
        let answer = world.pay(&hold, 10_000, None).await.unwrap();
        assert_eq!(status(&answer.payment.unwrap()), PaymentStatus::Succeeded);
    }
    // All that happened while the provider was as slow as before.
    assert_eq!(states(&world, "CONFIRMING").await, 4);

    proxy.forward().await;
    for paid in waiting {
        paid.await.unwrap().unwrap();
    }
    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (24_000, 0));
    assert_balanced(&world).await;
}

//! A service that is there and does not answer.

use std::time::{Duration, Instant};

use end_to_end::{Answer, Buyer, Sale, World, invariants, payment};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::{eventually, unique_name};

use crate::large;

/// The gateway's own deadline of a request, and what the way there takes.
const DEADLINE: Duration = Duration::from_millis(5_500);
const PAYMENT_DEADLINE: Duration = Duration::from_millis(15_500);

#[tokio::test]
async fn promise_16_a_frozen_service_is_a_503_or_504_within_the_deadline_and_is_used_again_when_thawed() {
    let world = World::with_env(&[("PROVIDER_TIMEOUT_MS", "1000"), ("PAY_WAIT_MS", "1500")]).await;
    let sale = Sale::open(&world, large(10)).await;
    let (buyer, held) = holder(&world, &sale).await;
    let mut waiting = world.buyer().await;
    waiting.join(&sale.concert_id).await;

    let login = json!({ "email": buyer.email, "password": Buyer::PASSWORD });
    let calls: [(&str, Duration, &dyn Fn() -> RequestBuilder); 5] = [
        ("auth", DEADLINE, &|| world.post("/v1/auth/login", &login)),
        ("queue", DEADLINE, &|| {
            waiting.request(Method::DELETE, "/v1/queue")
        }),
        ("concert", DEADLINE, &|| world.get("/v1/concerts")),
        ("booking", DEADLINE, &|| {
            buyer.request(Method::GET, "/v1/reservations")
        }),
        ("payment", PAYMENT_DEADLINE, &|| pay(&world, &held)),
    ];
    for (service, deadline, call) in calls {
        world.services.pause(service).await;
        let asked = Instant::now();
        let answer = Answer::to(call()).await;
        let took = asked.elapsed();
        // The control: it could not be answered.
        assert!(
            answer.is_temporary() && answer.is_plain(),
            "{service}: {} {}",
            answer.status,
            answer.body
        );
        assert!(took < deadline, "{service}: {took:?}");
        world.services.resume(service).await;
        eventually(&format!("{service} to be used again"), async || {
            Answer::to(call()).await.is_success().then_some(())
        })
        .await;
    }
    invariants::hold(&world).await;
}

#[tokio::test]
async fn promises_5_and_8_booking_frozen_in_mid_payment_settles_once_it_is_thawed() {
    let world = World::with_env(&[("PAY_WAIT_MS", "1500"), ("PAYMENT_RETRY_MAX_MS", "1000")]).await;
    let sale = Sale::open(&world, large(10)).await;
    let (buyer, held) = holder(&world, &sale).await;
    world.services.pause("booking").await;
    let first = Answer::to(pay(&world, &held)).await;
    assert!(
        first.status == 202 || first.is_temporary(),
        "{} {}",
        first.status,
        first.body
    );
    assert!(first.is_plain(), "{}", first.body);
    world.services.resume("booking").await;
    invariants::settled(&world).await;
    if buyer.reservation(&held).await["status"] == "PENDING" {
        let now = buyer.reservation(&held).await;
        buyer
            .pay(&now, 0, Some(&unique_name("test_ok")))
            .await
            .expect(201);
    }
    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
    invariants::hold(&world).await;
}

async fn holder<'a>(world: &'a World, sale: &Sale) -> (Buyer<'a>, Value) {
    let mut buyer = world.buyer().await;
    let held = buyer.enter_and_hold(sale, 1).await;
    (buyer, held)
}

fn pay(world: &World, held: &Value) -> RequestBuilder {
    let request = world.post(
        "/v1/payments",
        &payment(held, 0, Some("test_ok_frozen_and_thawed")),
    );
    request
        .header("Idempotency-Key", "frozen")
        .header("Payment-Token", end_to_end::text(held, "paymentToken"))
}

//! What is wrong with a request is said, by name.

use end_to_end::{Answer, World};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[case::missing("/v1/auth/signup", json!({ "password": "long enough 1", "name": "Kim" }), &["email"])]
#[case::wrong_type("/v1/auth/signup", json!({ "email": 7, "password": "long enough 1", "name": "Kim" }), &["email"])]
#[case::several("/v1/auth/signup", json!({ "email": "x", "password": "short", "name": "" }), &["email", "password", "name"])]
#[case::too_long("/v1/auth/signup", json!({ "email": "a@b.test", "password": "long enough 1", "name": "n".repeat(101) }), &["name"])]
#[case::no_id("/v1/auth/login", json!({ "email": "a@b.test", "password": "x", "concertId": "seven" }), &["concertId"])]
#[tokio::test]
async fn a_wrong_field_is_named(#[case] path: &str, #[case] body: Value, #[case] fields: &[&str]) {
    let world = World::shared().await;
    Answer::to(world.post(path, &body))
        .await
        .expect_fields(422, fields);
}

#[tokio::test]
async fn wrong_fields_of_a_hold_and_a_payment_are_named() {
    let world = World::shared().await;
    let mut buyer = world.buyer().await;
    let sale = end_to_end::Sale::open(world, end_to_end::SaleOptions::default()).await;
    buyer.enter(&sale.concert_id).await;
    let hold = async |body: Value| buyer.post("/v1/reservations", &body).await;
    hold(json!({ "seatIds": [] }))
        .await
        .expect_fields(422, &["scheduleId"]);
    hold(json!({ "scheduleId": sale.schedule_id, "seatIds": ["A-1"] }))
        .await
        .expect_fields(422, &["seatIds[0]"]);
    hold(json!({ "scheduleId": sale.schedule_id, "seatIds": "all" }))
        .await
        .expect_fields(422, &["seatIds"]);
    let pay = async |body: Value| {
        Answer::to(
            world
                .post("/v1/payments", &body)
                .header("Payment-Token", "forged"),
        )
        .await
    };
    pay(json!({ "points": 1 }))
        .await
        .expect_fields(422, &["reservationId"]);
    pay(json!({ "reservationId": sale.schedule_id, "points": -1 }))
        .await
        .expect_fields(422, &["points"]);
}

#[tokio::test]
async fn wrong_fields_of_a_charge_are_named() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let card = json!({ "paymentKey": "test_ok_1" });
    for (body, fields) in [
        (json!({ "card": card }), &["amount"][..]),
        (json!({ "amount": 99, "card": card }), &["amount"]),
        (json!({ "amount": 10_000_001, "card": card }), &["amount"]),
        (json!({ "amount": 1_000 }), &["card"]),
        (json!({ "amount": 1_000, "card": {} }), &["card.paymentKey"]),
        (
            json!({ "amount": 1_000, "card": { "paymentKey": "test_ok_1", "orderId": "12345" } }),
            &["card.orderId"],
        ),
        (
            json!({ "amount": 99, "card": { "paymentKey": "", "orderId": "a b c d" } }),
            &["amount", "card.paymentKey", "card.orderId"],
        ),
    ] {
        buyer
            .post("/v1/wallet/charges", &body)
            .await
            .expect_fields(422, fields);
    }
    assert_eq!(buyer.wallet().await, (0, 0));
}

#[tokio::test]
async fn wrong_tiers_of_a_refund_policy_are_named() {
    let world = World::shared().await;
    let organiser = world.organiser().await;
    let venue = json!({ "name": "Hall", "plan": end_to_end::plan_of((1, 1)) });
    let venue = organiser.post("/v1/admin/venues", &venue).await.expect(201);
    let tier = |hours: i64, percent: i64| json!({ "hoursBeforeStart": hours, "percent": percent });
    for (policy, fields) in [
        (
            json!([tier(24, 50), tier(0, 101)]),
            &["refundPolicy[1].percent"][..],
        ),
        (
            json!([tier(87_601, 0)]),
            &["refundPolicy[0].hoursBeforeStart", "refundPolicy[0].percent"],
        ),
        (
            json!([tier(24, 50), tier(24, 50)]),
            &["refundPolicy[1].hoursBeforeStart"],
        ),
        (json!([tier(0, 100), tier(24, 50)]), &["refundPolicy[1].percent"]),
        (json!(vec![tier(1, 1); 11]), &["refundPolicy"]),
        (json!([{ "percent": 50 }]), &["refundPolicy[0].hoursBeforeStart"]),
        (json!({}), &["refundPolicy"]),
    ] {
        let concert = json!({
            "title": "Refundable", "venueId": venue["venueId"], "currency": "KRW", "prices": { "VIP": 1, "R": 1 },
            "waitingRoom": { "capacity": 1, "admitPerSecond": 1 }, "refundPolicy": policy,
        });
        organiser
            .post("/v1/admin/concerts", &concert)
            .await
            .expect_fields(422, fields);
    }
}

#[tokio::test]
async fn a_hint_of_the_provider_that_names_no_order_is_refused() {
    let world = World::shared().await;
    let event = |data: Value| json!({ "eventType": "PAYMENT_STATUS_CHANGED", "data": data });
    for data in [json!({}), json!({ "orderId": "12345" }), Value::Null] {
        Answer::to(world.post("/v1/webhooks/toss", &event(data)))
            .await
            .expect_fields(422, &["data.orderId"]);
    }
    let large = event(json!({ "orderId": "frontrow-1", "orderName": "x".repeat(65_536) }));
    Answer::to(world.post("/v1/webhooks/toss", &large))
        .await
        .expect_problem(413, "body-too-large");
    // Of what nobody here has asked for nothing comes.
    Answer::to(world.post(
        "/v1/webhooks/toss",
        &event(json!({ "orderId": "nobody-s", "status": "DONE" })),
    ))
    .await
    .expect(200);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_unreadable() {
    let world = World::shared().await;
    let request = |content: &str, body: &str| {
        world
            .request(Method::POST, "/v1/auth/login")
            .header("Content-Type", content)
            .body(body.to_owned())
    };
    Answer::to(request("application/json", "{\"email\":"))
        .await
        .expect_problem(400, "malformed-request");
    Answer::to(request("text/plain", "hello"))
        .await
        .expect_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_body_over_its_bound_is_413() {
    let world = World::shared().await;
    let large = json!({ "email": "a@b.test", "password": "x".repeat(1_100_000) });
    Answer::to(world.post("/v1/auth/login", &large))
        .await
        .expect_problem(413, "body-too-large");
    let organiser = world.organiser().await;
    let plan = json!({ "name": "Vast", "plan": { "name": "x".repeat(17_000_000) } });
    organiser
        .post("/v1/admin/venues", &plan)
        .await
        .expect_problem(413, "body-too-large");
    // A plan may be larger than other bodies.
    let plan = json!({ "name": "Large", "plan": { "name": "x".repeat(2_000_000) } });
    assert_eq!(organiser.post("/v1/admin/venues", &plan).await.status, 422);
}

#[tokio::test]
async fn an_unknown_route_and_an_unknown_method_are_said_so() {
    let world = World::shared().await;
    Answer::to(world.get("/v1/tickets"))
        .await
        .expect_problem(404, "route-not-found");
    let answer = Answer::to(world.request(Method::PATCH, "/v1/auth/login")).await;
    answer.expect_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn promise_16_a_service_that_is_down_is_503_with_retry_after_at_once() {
    let world = World::with_env(&[]).await;
    let buyer = world.buyer().await;
    world.services.kill("payment").await;
    let asked = std::time::Instant::now();
    buyer.get("/v1/wallet").await.expect_problem(503, "unavailable");
    assert!(
        asked.elapsed() < std::time::Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    // What does not need it goes on.
    Answer::to(world.get("/v1/concerts")).await.expect(200);
    Answer::to(world.get("/readyz")).await.expect(503);
    Answer::to(world.get("/healthz")).await.expect(200);
    world.services.start("payment").await;
    buyer.get("/v1/wallet").await.expect(200);
}

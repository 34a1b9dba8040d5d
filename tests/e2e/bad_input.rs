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

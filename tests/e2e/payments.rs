//! Paying.

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, captured, payment, payment_key, text};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::eventually;

/// A buyer with a hold of two VIP seats: 300,000 KRW.
async fn hold(world: &World, mut buyer: Buyer<'_>) -> (Sale, Value, String) {
    let sale = Sale::open(world, SaleOptions::default()).await;
    let held = buyer.enter_and_hold(&sale, 2).await;
    (sale, held, buyer.queue_token)
}

async fn pay_with_queue_token(buyer: &Buyer<'_>, token: &str, body: &Value) -> Answer {
    Answer::to(
        buyer
            .world
            .request(Method::POST, "/v1/payments")
            .header("Queue-Token", token)
            .json(body),
    )
    .await
}

#[tokio::test]
async fn points_alone_pay_a_hold() {
    let world = World::with_env(&[]).await;
    let buyer = world.buyer_with_points().await;
    let (balance, _) = buyer.wallet().await;
    let (_, held, _) = hold(&world, buyer.clone()).await;
    let paid = buyer.pay(&held, 300_000, None).await.expect(201);
    assert_eq!(
        (&paid["status"], &paid["reservation"]["status"]),
        (&json!("SUCCEEDED"), &json!("CONFIRMED"))
    );
    assert_eq!(buyer.wallet().await, (balance - 300_000, 0));
    let entries = buyer.get("/v1/wallet/entries").await.expect(200);
    assert_eq!(entries["entries"][0]["amount"], -300_000);
    let sum: i64 = entries["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(
        sum,
        balance - 300_000,
        "promise 7: the balance is the sum of the entries"
    );
}

#[tokio::test]
async fn the_queue_token_that_made_the_hold_pays_it_too_and_no_other_does() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let (sale, held, token) = hold(world, buyer.clone()).await;
    let body = payment(&held, 0, Some(&payment_key("ok")));

    let mut other = world.buyer().await;
    other.enter(&sale.concert_id).await;
    let foreign = pay_with_queue_token(&other, &other.queue_token, &body).await;
    assert!(matches!(foreign.status, 401 | 404), "{}", foreign.body);
    let none = Answer::to(world.post("/v1/payments", &body)).await;
    none.expect_problem(401, "payment-token-invalid");

    let paid = pay_with_queue_token(&buyer, &token, &body).await.expect(201);
    assert_eq!(paid["reservation"]["status"], "CONFIRMED");
}

#[tokio::test]
async fn a_payment_token_of_another_hold_is_refused() {
    let world = World::shared().await;
    let (_, mine, _) = hold(world, world.buyer().await).await;
    let (_, theirs, _) = hold(world, world.buyer().await).await;
    let request = world.post("/v1/payments", &payment(&mine, 0, Some(&payment_key("ok"))));
    let request = request.header("Payment-Token", text(&theirs, "paymentToken"));
    Answer::to(request)
        .await
        .expect_problem(401, "payment-token-invalid");
}

#[tokio::test]
async fn too_few_points_are_402_and_the_hold_stays() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let (_, held, _) = hold(world, buyer.clone()).await;
    buyer
        .pay(&held, 300_000, None)
        .await
        .expect_problem(402, "insufficient-points");
    assert_eq!(buyer.reservation(&held).await["status"], "PENDING");
    let now = buyer.reservation(&held).await;
    buyer.pay(&now, 0, Some(&payment_key("ok"))).await.expect(201);
}

#[tokio::test]
async fn points_that_do_not_cover_the_total_need_a_card() {
    let world = World::shared().await;
    let buyer = world.buyer_with_points().await;
    let (_, held, _) = hold(world, buyer.clone()).await;
    buyer
        .pay(&held, 299_900, None)
        .await
        .expect_problem(422, "card-required");
    // The provider charges no card the 99 won that would be left.
    buyer
        .pay(&held, 299_901, Some("test_ok_too_little"))
        .await
        .expect_fields(422, &["points"]);
    buyer
        .pay(&held, 300_001, None)
        .await
        .expect_fields(422, &["points"]);
    assert_eq!(buyer.reservation(&held).await["status"], "PENDING");
}

#[tokio::test]
async fn a_declined_card_gives_the_points_back_and_names_the_next_order() {
    let world = World::with_env(&[]).await;
    let buyer = world.buyer_with_points().await;
    let before = buyer.wallet().await;
    let (_, held, _) = hold(&world, buyer.clone()).await;
    let declined = buyer
        .pay(&held, 100_000, Some(&payment_key("declined")))
        .await
        .expect_problem(500, "payment-failed");
    assert!(
        declined["orderId"].is_string() && declined["orderId"] != held["orderId"],
        "{declined}"
    );
    assert_eq!(buyer.wallet().await, before);
    assert_eq!(buyer.reservation(&held).await["status"], "PENDING");
    assert_eq!(captured(&world, &held).await, (0, 0));

    let mut again = payment(&held, 100_000, Some(&payment_key("ok")));
    again["card"]["orderId"] = declined["orderId"].clone();
    let request = world
        .post("/v1/payments", &again)
        .header("Payment-Token", text(&held, "paymentToken"));
    assert_eq!(Answer::to(request).await.expect(201)["status"], "SUCCEEDED");
}

#[tokio::test]
async fn promise_8_paying_twice_is_one_payment() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let (_, held, _) = hold(world, buyer.clone()).await;
    let keys: Vec<_> = (0..8).map(|_| payment_key("ok")).collect();
    let answers = join_all(keys.iter().map(|key| buyer.pay(&held, 0, Some(key)))).await;
    let paid = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| {
        answer.status == 409 && ["payment-in-progress", "already-paid"].contains(&answer.text("code"))
    });
    assert_eq!(
        (paid, refused.count()),
        (1, 7),
        "{:?}",
        answers.iter().map(|one| one.status).collect::<Vec<_>>()
    );
    assert_eq!(captured(world, &held).await, (1, 300_000));
    buyer
        .pay(&held, 0, Some(&payment_key("ok")))
        .await
        .expect_problem(409, "already-paid");
}

#[tokio::test]
async fn promise_9_a_payment_asked_for_again_with_its_key_answers_the_same() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let (_, held, _) = hold(world, buyer.clone()).await;
    let body = payment(&held, 0, Some(&payment_key("ok")));
    let pay = async |body: &Value| {
        let request = world
            .post("/v1/payments", body)
            .header("Payment-Token", text(&held, "paymentToken"));
        Answer::to(request.header("Idempotency-Key", "pay-once")).await
    };
    let first = pay(&body).await.expect(201);
    assert_eq!(pay(&body).await.expect(201)["paymentId"], first["paymentId"]);
    pay(&payment(&held, 0, Some(&payment_key("ok"))))
        .await
        .expect_problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn after_the_window_nothing_is_taken_and_the_seat_is_free() {
    let world = World::with_env(&[("HOLD_SECONDS", "120"), ("SWEEP_SECONDS", "1")]).await;
    let buyer = world.buyer_with_points().await;
    let before = buyer.wallet().await;
    let (sale, held, _) = hold(&world, buyer.clone()).await;
    world.step_clock("booking", 121).await;
    buyer
        .pay(&held, 100_000, Some(&payment_key("ok")))
        .await
        .expect_problem(410, "payment-window-closed");
    assert_eq!(
        (buyer.wallet().await, captured(&world, &held).await),
        (before, (0, 0))
    );
    until_lapsed(&buyer, &held).await;
    let mut next = world.buyer().await;
    next.enter(&sale.concert_id).await;
    assert_eq!(next.available(&sale.schedule_id).await.len(), 12);
}

#[tokio::test]
async fn a_slow_provider_is_202_and_succeeds_later() {
    let world = World::with_env(&[("PAY_WAIT_MS", "500"), ("SIMULATOR_SLOW_SECONDS", "2")]).await;
    let buyer = world.buyer().await;
    let (_, held, _) = hold(&world, buyer.clone()).await;
    let accepted = buyer.pay(&held, 0, Some(&payment_key("slow"))).await;
    let location = accepted.header("location").unwrap().to_owned();
    let accepted = accepted.expect(202);
    assert_eq!(location, format!("/v1/payments/{}", text(&accepted, "paymentId")));
    assert_eq!(accepted["status"], "CONFIRMING");
    until_succeeded(&buyer, &location).await;
    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
}

#[tokio::test]
async fn promise_8_a_lost_answer_is_unknown_until_the_provider_says() {
    let world = World::with_env(&[("PAY_WAIT_MS", "3000"), ("PROVIDER_TIMEOUT_MS", "1000")]).await;
    let buyer = world.buyer_with_points().await;
    let (balance, _) = buyer.wallet().await;
    let (_, held, _) = hold(&world, buyer.clone()).await;
    let answer = buyer.pay(&held, 100_000, Some(&payment_key("lost"))).await;
    assert!(matches!(answer.status, 201 | 202), "{}", answer.body);
    until_succeeded(&buyer, answer.header("location").unwrap()).await;
    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
    assert_eq!(
        (captured(&world, &held).await, buyer.wallet().await),
        ((1, 200_000), (balance - 100_000, 0))
    );
}

#[tokio::test]
async fn while_the_provider_is_away_the_outcome_is_unknown_and_is_asked_for_until_known() {
    let world = World::with_env(&[("PAY_WAIT_MS", "1500"), ("PROVIDER_TIMEOUT_MS", "1000")]).await;
    let buyer = world.buyer().await;
    let (_, held, _) = hold(&world, buyer.clone()).await;
    world.services.pause("psp-simulator").await;
    let accepted = buyer.pay(&held, 0, Some(&payment_key("ok"))).await;
    let location = accepted.header("location").unwrap().to_owned();
    assert_eq!(accepted.expect(202)["status"], "UNKNOWN");
    // An unknown outcome keeps the hold from lapsing.
    world.step_clock("booking", 3_600).await;
    assert_eq!(buyer.reservation(&held).await["status"], "PAYING");
    buyer
        .pay(&held, 0, Some(&payment_key("ok")))
        .await
        .expect_problem(409, "payment-in-progress");

    world.services.resume("psp-simulator").await;
    until_succeeded(&buyer, &location).await;
    assert_eq!(captured(&world, &held).await, (1, 300_000));
    world.services.kill("psp-simulator").await;
}

#[tokio::test]
async fn promise_15_a_payment_outlives_the_process_that_began_it() {
    let world = World::with_env(&[("PAY_WAIT_MS", "200"), ("SIMULATOR_SLOW_SECONDS", "1")]).await;
    let buyer = world.buyer_with_points().await;
    let (balance, _) = buyer.wallet().await;
    let (_, held, _) = hold(&world, buyer.clone()).await;
    let accepted = buyer.pay(&held, 100_000, Some(&payment_key("slow"))).await;
    let location = accepted.header("location").unwrap().to_owned();
    accepted.expect(202);
    world.services.kill("payment").await;
    // A lease of the dead process is over by Postgres' clock.
    world.step_clock("payment", 120).await;
    world.services.start("payment").await;
    until_succeeded(&buyer, &location).await;
    assert_eq!(
        (captured(&world, &held).await, buyer.wallet().await),
        ((1, 200_000), (balance - 100_000, 0))
    );
}

#[tokio::test]
async fn promise_17_nobody_sees_anothers_payment() {
    let world = World::shared().await;
    let (owner, other) = (world.buyer().await, world.buyer().await);
    let (_, held, _) = hold(world, owner.clone()).await;
    let paid = owner.pay(&held, 0, Some(&payment_key("ok"))).await.expect(201);
    let path = format!("/v1/payments/{}", text(&paid, "paymentId"));
    owner.get(&path).await.expect(200);
    other.get(&path).await.expect_problem(404, "not-found");
}

async fn until_succeeded(buyer: &Buyer<'_>, location: &str) {
    eventually("the payment to succeed", async || {
        let payment = buyer.get(location).await.expect(200);
        assert!(
            !["FAILED", "REFUNDED"].contains(&payment["status"].as_str().unwrap()),
            "{payment}"
        );
        (payment["status"] == "SUCCEEDED").then_some(())
    })
    .await;
}

async fn until_lapsed(buyer: &Buyer<'_>, held: &Value) {
    eventually("the hold to lapse", async || {
        (buyer.reservation(held).await["status"] == "EXPIRED").then_some(())
    })
    .await;
}

//! Points: bought by card, and spent.

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, captures, payment_key, text};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{eventually, unique_name};

/// A request to buy points under an order of one's own.
fn charge(amount: i64, fate: &str) -> Value {
    json!({ "amount": amount, "card": { "paymentKey": payment_key(fate), "orderId": unique_name("charge") } })
}

async fn send(buyer: &Buyer<'_>, key: &str, body: &Value) -> Answer {
    let request = buyer.request(Method::POST, "/v1/wallet/charges").json(body);
    Answer::to(request.header("Idempotency-Key", key)).await
}

/// What the provider captured for a charge's order and still has, capture by capture.
async fn captured(world: &World, body: &Value) -> Vec<i64> {
    let captures = captures(world).await.into_iter();
    captures
        .filter(|payment| payment["orderId"] == body["card"]["orderId"])
        .map(|payment| payment["balanceAmount"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn points_are_bought_by_card_and_pay_a_hold() {
    let world = World::shared().await;
    let mut buyer = world.buyer().await;
    let body = charge(300_000, "ok");
    let answer = buyer.post("/v1/wallet/charges", &body).await;
    let location = answer.header("location").unwrap().to_owned();
    let charged = answer.expect(201);
    assert_eq!(
        location,
        format!("/v1/wallet/charges/{}", text(&charged, "chargeId"))
    );
    assert_eq!(charged["wallet"], json!({ "balance": 300_000, "pending": 0 }));
    assert_eq!(buyer.get(&location).await.expect(200)["status"], "SUCCEEDED");
    assert_eq!(captured(world, &body).await, [300_000]);
    let history = buyer.get("/v1/wallet/entries").await.expect(200);
    let entry = &history["entries"][0];
    assert_eq!(
        (&entry["kind"], &entry["amount"], &entry["chargeId"]),
        (&json!("CHARGE"), &json!(300_000), &charged["chargeId"])
    );

    let sale = Sale::open(world, SaleOptions::default()).await;
    let held = buyer.enter_and_hold(&sale, 2).await;
    buyer.pay(&held, 300_000, None).await.expect(201);
    assert_eq!(buyer.wallet().await, (0, 0));
}

#[tokio::test]
async fn a_declined_charge_is_500_and_gives_no_points() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let body = charge(50_000, "declined");
    let declined = buyer.post("/v1/wallet/charges", &body).await;
    let declined = declined.expect_problem(500, "payment-failed");
    let path = format!("/v1/wallet/charges/{}", text(&declined, "chargeId"));
    let charge = buyer.get(&path).await.expect(200);
    assert_eq!(
        (&charge["status"], &charge["failureCode"]),
        (&json!("FAILED"), &json!("payment-failed"))
    );
    assert_eq!(buyer.wallet().await, (0, 0));
    assert!(captured(world, &body).await.is_empty());
}

#[tokio::test]
async fn a_lost_charge_is_202_until_the_provider_says() {
    let world = World::with_env(&[("PAY_WAIT_MS", "500"), ("PROVIDER_TIMEOUT_MS", "1000")]).await;
    let buyer = world.buyer().await;
    let body = charge(50_000, "lost");
    let accepted = buyer.post("/v1/wallet/charges", &body).await;
    let location = accepted.header("location").unwrap().to_owned();
    assert_eq!(accepted.expect(202)["amount"], 50_000);
    eventually("the charge to succeed", async || {
        let charge = buyer.get(&location).await.expect(200);
        assert_ne!(charge["status"], "FAILED", "{charge}");
        (charge["status"] == "SUCCEEDED").then_some(())
    })
    .await;
    assert_eq!(buyer.wallet().await, (50_000, 0));
    assert_eq!(captured(&world, &body).await, [50_000]);
}

#[tokio::test]
async fn promise_9_a_charge_asked_for_again_with_its_key_answers_the_same() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let body = charge(50_000, "ok");
    let first = send(&buyer, "charge-once", &body).await.expect(201);
    let answers = join_all((0..4).map(|_| send(&buyer, "charge-once", &body))).await;
    for again in answers {
        assert_eq!(again.expect(201)["chargeId"], first["chargeId"]);
    }
    assert_eq!(buyer.wallet().await, (50_000, 0));
    assert_eq!(captured(world, &body).await, [50_000]);
    send(&buyer, "charge-once", &charge(50_000, "ok"))
        .await
        .expect_problem(422, "idempotency-key-reused");
    // Another buyer's key is another key.
    send(&world.buyer().await, "charge-once", &charge(50_000, "ok"))
        .await
        .expect(201);
}

#[tokio::test]
async fn an_order_is_good_for_one_charge() {
    let world = World::shared().await;
    let (buyer, other) = (world.buyer().await, world.buyer().await);
    let first = charge(50_000, "ok");
    buyer.post("/v1/wallet/charges", &first).await.expect(201);
    let mut second = charge(50_000, "ok");
    second["card"]["orderId"] = first["card"]["orderId"].clone();
    let again = buyer.post("/v1/wallet/charges", &second).await;
    again.expect_problem(409, "order-used");
    // Not taken from its owner by naming it; the provider captures it for one payment key only.
    let anothers = other.post("/v1/wallet/charges", &second).await;
    anothers.expect_problem(500, "payment-failed");
    assert_eq!(captured(world, &first).await, [50_000]);
}

#[tokio::test]
async fn promise_17_nobody_sees_anothers_charge() {
    let world = World::shared().await;
    let (owner, other) = (world.buyer().await, world.buyer().await);
    let charged = owner.charge(50_000, &payment_key("ok")).await.expect(201);
    let path = format!("/v1/wallet/charges/{}", text(&charged, "chargeId"));
    owner.get(&path).await.expect(200);
    other.get(&path).await.expect_problem(404, "not-found");
}

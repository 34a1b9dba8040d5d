//! Paid reservations that their owners give back.

use std::collections::BTreeSet;

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, cancellation_path, captured, payment_key, text};
use futures::future::join_all;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// A sale of a date in 30 days, with this refund policy.
async fn sale(world: &World, refund_policy: Option<&'static [(u32, u32)]>) -> Sale {
    let options = SaleOptions {
        refund_policy,
        ..SaleOptions::default()
    };
    Sale::open(world, options).await
}

/// A new buyer who paid two VIP seats: 100,000 points and 200,000 KRW by card.
async fn paid<'a>(world: &'a World, sale: &Sale) -> (Buyer<'a>, Value) {
    let mut buyer = world.buyer().await;
    buyer.charge(100_000, &payment_key("ok")).await.expect(201);
    let held = buyer.enter_and_hold(sale, 2).await;
    buyer
        .pay(&held, 100_000, Some(&payment_key("ok")))
        .await
        .expect(201);
    assert_eq!(buyer.wallet().await, (0, 0));
    (buyer, held)
}

#[tokio::test]
async fn a_canceled_reservation_gives_seats_points_and_card_money_back() {
    let world = World::shared().await;
    let sale = sale(world, None).await;
    let (buyer, held) = paid(world, &sale).await;
    let path = cancellation_path(&held);
    buyer.get(&path).await.expect_problem(404, "not-found");

    let answer = buyer.cancel(&held).await;
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert!(matches!(answer.status, 201 | 202), "{}", answer.body);
    let canceled = buyer.until_refunded(&held).await;
    let said = |member: &str| canceled[member].clone();
    assert_eq!(
        [said("percent"), said("points"), said("cardAmount"), said("total")],
        [json!(100), json!(100_000), json!(200_000), json!(300_000)]
    );
    assert!(canceled["endedAt"].is_string());
    assert_eq!(buyer.wallet().await, (100_000, 0));
    assert_eq!(captured(world, &held).await, (1, 0));
    let history = buyer.get("/v1/wallet/entries").await.expect(200);
    let entry = &history["entries"][0];
    assert_eq!(
        (&entry["kind"], &entry["amount"], &entry["refundId"]),
        (&json!("REFUND_POINTS"), &json!(100_000), &canceled["refundId"])
    );

    let reservation = buyer.reservation(&held).await;
    let cancellation = &reservation["cancellation"];
    assert_eq!(reservation["status"], "CANCELED");
    assert_eq!(
        (
            &cancellation["refundId"],
            &cancellation["percent"],
            &cancellation["refund"]
        ),
        (&canceled["refundId"], &json!(100), &json!(300_000))
    );
    assert!(cancellation["refundedAt"].is_string(), "{reservation}");

    let mut next = world.buyer().await;
    let again = next.enter_and_hold(&sale, 2).await;
    let seats = |of: &Value| -> BTreeSet<String> {
        let seats = of["seats"].as_array().unwrap().iter();
        seats.map(|seat| text(seat, "seatId")).collect()
    };
    assert_eq!(seats(&again), seats(&held));
    next.pay(&again, 0, Some(&payment_key("ok"))).await.expect(201);
}

#[tokio::test]
async fn a_policy_gives_its_share_of_each_part_back() {
    let world = World::shared().await;
    let sale = sale(world, Some(&[(24, 50), (1_000, 100)])).await;
    let concert = Answer::to(world.get(&format!("/v1/concerts/{}", sale.concert_id)));
    assert_eq!(
        concert.await.expect(200)["refundPolicy"],
        json!([{ "hoursBeforeStart": 1_000, "percent": 100 }, { "hoursBeforeStart": 24, "percent": 50 }])
    );
    let (buyer, held) = paid(world, &sale).await;
    buyer.cancel(&held).await;
    let canceled = buyer.until_refunded(&held).await;
    assert_eq!(
        (&canceled["percent"], &canceled["points"], &canceled["cardAmount"]),
        (&json!(50), &json!(50_000), &json!(100_000))
    );
    assert_eq!(buyer.wallet().await, (50_000, 0));
    assert_eq!(captured(world, &held).await, (1, 100_000));
}

#[rstest]
#[case::before_the_last_tier(&[(1_000, 100)])]
#[case::of_no_tier(&[])]
#[tokio::test]
async fn when_the_policy_gives_nothing_back_nothing_is_canceled(#[case] policy: &'static [(u32, u32)]) {
    let world = World::shared().await;
    let sale = sale(world, Some(policy)).await;
    let (buyer, held) = paid(world, &sale).await;
    for _ in 0..2 {
        buyer
            .cancel(&held)
            .await
            .expect_problem(410, "cancellation-window-closed");
    }
    buyer
        .get(&cancellation_path(&held))
        .await
        .expect_problem(404, "not-found");
    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
    assert_eq!(buyer.wallet().await, (0, 0));
    assert_eq!(captured(world, &held).await, (1, 200_000));
}

#[tokio::test]
async fn promise_8_canceling_again_and_again_is_one_refund() {
    let world = World::shared().await;
    let sale = sale(world, None).await;
    let (buyer, held) = paid(world, &sale).await;
    let answers = join_all((0..6).map(|_| buyer.cancel(&held))).await;
    let canceled = buyer.until_refunded(&held).await;
    for answer in &answers {
        assert!(matches!(answer.status, 200..=202), "{}", answer.body);
        assert_eq!(answer.body["refundId"], canceled["refundId"]);
    }
    let again = buyer.cancel(&held).await;
    assert_eq!(again.expect(200), canceled);
    assert_eq!(buyer.wallet().await, (100_000, 0));
    assert_eq!(captured(world, &held).await, (1, 0));
}

#[tokio::test]
async fn promise_9_a_key_names_one_cancellation() {
    let world = World::shared().await;
    let sale = sale(world, None).await;
    let (buyer, held) = paid(world, &sale).await;
    let cancel = async |of: &Value| {
        let request = buyer.request(Method::POST, &cancellation_path(of));
        Answer::to(request.header("Idempotency-Key", "cancel-once")).await
    };
    let first = cancel(&held).await;
    assert!(matches!(first.status, 201 | 202), "{}", first.body);
    let canceled = buyer.until_refunded(&held).await;
    let again = cancel(&held).await;
    assert!(again.is_success(), "{}", again.body);
    assert_eq!(again.body["refundId"], canceled["refundId"]);

    let mut buyer = buyer.clone();
    let other = buyer.enter_and_hold(&sale, 1).await;
    buyer.pay(&other, 0, Some(&payment_key("ok"))).await.expect(201);
    cancel(&other).await.expect_problem(422, "idempotency-key-reused");
    assert_eq!(buyer.reservation(&other).await["status"], "CONFIRMED");
}

#[tokio::test]
async fn what_is_not_paid_cannot_be_canceled() {
    let world = World::shared().await;
    let sale = sale(world, None).await;
    let mut buyer = world.buyer().await;
    let held = buyer.enter_and_hold(&sale, 1).await;
    buyer
        .cancel(&held)
        .await
        .expect_problem(409, "reservation-not-cancelable");
    assert_eq!(buyer.reservation(&held).await["status"], "PENDING");
}

#[tokio::test]
async fn promise_17_nobody_cancels_what_is_anothers() {
    let world = World::shared().await;
    let sale = sale(world, None).await;
    let (owner, held) = paid(world, &sale).await;
    let other = world.buyer().await;
    other.cancel(&held).await.expect_problem(404, "not-found");
    assert_eq!(owner.reservation(&held).await["status"], "CONFIRMED");
    owner.cancel(&held).await;
    owner.until_refunded(&held).await;
    for answer in [
        other.cancel(&held).await,
        other.get(&cancellation_path(&held)).await,
    ] {
        answer.expect_problem(404, "not-found");
    }
}

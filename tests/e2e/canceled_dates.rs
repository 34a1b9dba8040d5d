//! A date that its organiser cancels while people buy.

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, captured, invariants, payment_key};
use serde_json::{Value, json};
use test_support::eventually;

/// A new buyer who paid one VIP seat: 50,000 points and 100,000 KRW by card.
async fn paid<'a>(world: &'a World, sale: &Sale) -> (Buyer<'a>, Value) {
    let mut buyer = world.buyer().await;
    buyer.charge(50_000, &payment_key("ok")).await.expect(201);
    let held = buyer.enter_and_hold(sale, 1).await;
    let paid = buyer.pay(&held, 50_000, Some(&payment_key("ok"))).await;
    assert!(paid.is_success(), "{}", paid.body);
    eventually("the payment to succeed", async || {
        (buyer.reservation(&held).await["status"] == "CONFIRMED").then_some(())
    })
    .await;
    (buyer, held)
}

#[tokio::test]
async fn a_canceled_date_gives_everything_back_at_a_bounded_pace() {
    // One refund a round, so that its progress can be watched; a payment that takes long enough to be caught under way.
    let world = World::with_env(&[
        ("REFUND_SCHEDULES_BATCH", "1"),
        ("REFUND_SCHEDULES_EVERY_MS", "700"),
        ("PAY_WAIT_MS", "2000"),
        ("SIMULATOR_SLOW_SECONDS", "6"),
    ])
    .await;
    // Nobody could cancel by themselves: a canceled date gives everything back all the same.
    let options = SaleOptions {
        refund_policy: Some(&[]),
        ..SaleOptions::default()
    };
    let sale = Sale::open(&world, options).await;
    let mut owners = Vec::new();
    for _ in 0..3 {
        owners.push(paid(&world, &sale).await);
    }
    let mut late = world.buyer().await;
    late.enter(&sale.concert_id).await;
    let free = late.available(&sale.schedule_id).await;
    let mut holder = world.buyer().await;
    let held = holder.enter_and_hold(&sale, 1).await;
    let mut payer = world.buyer().await;
    let paying = payer.enter_and_hold(&sale, 1).await;
    let under_way = payer.pay(&paying, 0, Some(&payment_key("slow"))).await;
    let location = under_way.header("location").unwrap().to_owned();
    under_way.expect(202);

    let organiser = world.organiser().await;
    let path = sale.cancellation_path();
    organiser.get(&path).await.expect_problem(404, "not-found");
    let answer = organiser.post(&path, &json!({})).await;
    assert_eq!(answer.header("location"), Some(path.as_str()));
    let begun = answer.expect(202);
    assert_eq!(begun["status"], "PENDING");
    late.hold(&sale.schedule_id, &free[free.len() - 1..])
        .await
        .expect_problem(410, "schedule-canceled");

    let mut seen = vec![begun];
    let ended = eventually("all refunds to have ended", async || {
        let progress = organiser.get(&path).await.expect(200);
        seen.push(progress.clone());
        (progress["status"] == "COMPLETED").then_some(progress)
    })
    .await;
    let counts: Vec<_> = seen
        .iter()
        .map(|progress| progress["refunded"].as_u64().unwrap())
        .collect();
    assert!(counts.is_sorted(), "{counts:?}");
    assert!(counts.iter().any(|count| (1..3).contains(count)), "{counts:?}");
    let said = |member: &str| ended[member].clone();
    assert_eq!(
        [
            said("unpaidLeft"),
            said("reservations"),
            said("refunded"),
            said("amount"),
            said("amountRefunded")
        ],
        [json!(0), json!(3), json!(3), json!(450_000), json!(450_000)]
    );
    assert_eq!(organiser.post(&path, &json!({})).await.expect(202), ended);

    for (owner, held) in &owners {
        let canceled = owner.until_refunded(held).await;
        assert_eq!(
            (&canceled["percent"], &canceled["points"], &canceled["cardAmount"]),
            (&json!(100), &json!(50_000), &json!(100_000))
        );
        assert_eq!(owner.wallet().await, (50_000, 0));
        assert_eq!(captured(&world, held).await, (1, 0));
        let reservation = owner.reservation(held).await;
        assert_eq!(reservation["status"], "CANCELED");
        assert_eq!(reservation["cancellation"]["refund"], 150_000);
    }
    assert_eq!(holder.reservation(&held).await["status"], "CANCELED");
    let refused = eventually("the payment under way to end", async || {
        let payment = payer.get(&location).await.expect(200);
        ["SUCCEEDED", "FAILED", "REFUNDED"]
            .contains(&payment["status"].as_str().unwrap())
            .then_some(payment)
    })
    .await;
    assert_eq!(
        (&refused["status"], &refused["failureCode"]),
        (&json!("REFUNDED"), &json!("schedule-canceled"))
    );
    assert_eq!(captured(&world, &paying).await.1, 0);

    let concert = Answer::to(world.get(&format!("/v1/concerts/{}", sale.concert_id)));
    let date = concert.await.expect(200)["schedules"][0].clone();
    assert!(
        date["canceledAt"].is_string() && date["closedAt"].is_string(),
        "{date}"
    );
    let log = organiser.get("/v1/admin/audit-log?limit=1").await.expect(200);
    assert_eq!(log["entries"][0]["act"], "SCHEDULE_CANCELED");
    invariants::hold(&world).await;
}

#[tokio::test]
async fn promise_17_a_date_is_canceled_by_its_organiser_alone() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let (owner, held) = paid(world, &sale).await;
    let stranger = world.organiser_of_their_own().await;
    let path = sale.cancellation_path();
    stranger
        .post(&path, &json!({}))
        .await
        .expect_problem(404, "not-found");
    owner
        .post(&path, &json!({}))
        .await
        .expect_problem(403, "forbidden");
    let concert = Answer::to(world.get(&format!("/v1/concerts/{}", sale.concert_id)));
    assert_eq!(concert.await.expect(200)["schedules"][0].get("canceledAt"), None);

    let organiser = world.organiser().await;
    organiser.post(&path, &json!({})).await.expect(202);
    stranger.get(&path).await.expect_problem(404, "not-found");
    owner.until_refunded(&held).await;
}

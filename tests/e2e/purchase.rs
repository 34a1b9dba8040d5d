//! A purchase from the login to the seat, in one go.

use end_to_end::{Buyer, Sale, SaleOptions, World, WorldOptions, text};
use serde_json::json;
use vocabulary::demo;

#[tokio::test]
async fn a_buyer_logs_in_stands_in_line_sees_seats_holds_two_pays_and_owns_them() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let mut buyer = world.buyer_with_points().await;

    let joined = buyer.join(&sale.concert_id).await.expect(201);
    assert!(joined["number"].as_u64().unwrap() >= 1);
    let admitted = buyer.poll_until("PROCESSING").await;
    assert_eq!(admitted["phase"], "PAGE");

    let dates = buyer
        .get(&format!("/v1/concerts/{}/schedules", sale.concert_id))
        .await
        .expect(200);
    assert_eq!(dates["schedules"][0]["scheduleId"], sale.schedule_id);
    let seats = buyer.available(&sale.schedule_id).await;
    let held = buyer.hold(&sale.schedule_id, &seats[..2]).await.expect(201);
    assert_eq!(
        (&held["status"], &held["total"], &held["currency"]),
        (&json!("PENDING"), &json!(300_000), &json!("KRW"))
    );
    assert_eq!(buyer.poll().await["phase"], "PAYMENT");

    let (balance, _) = buyer.wallet().await;
    let paid = buyer.pay(&held, 100_000, Some("test_ok_purchase")).await;
    let location = paid.header("location").map(str::to_owned);
    let paid = paid.expect(201);
    assert_eq!(
        (&paid["status"], &paid["reservation"]["status"]),
        (&json!("SUCCEEDED"), &json!("CONFIRMED"))
    );
    assert_eq!(
        location,
        Some(format!("/v1/payments/{}", text(&paid, "paymentId")))
    );

    assert_eq!(buyer.reservation(&held).await["status"], "CONFIRMED");
    buyer.poll_until("COMPLETED").await;
    assert!(buyer.wallet().await.0 <= balance - 100_000);
    let mut other = world.buyer().await;
    other.enter(&sale.concert_id).await;
    assert_eq!(other.seat_status(&sale.schedule_id, &seats[0]).await, "OCCUPIED");
}

#[tokio::test]
async fn a_seeded_system_is_ready_to_be_bought_from() {
    let world = World::start(WorldOptions {
        seed_concerts: true,
        ..WorldOptions::default()
    })
    .await;
    let concerts = end_to_end::Answer::to(world.get("/v1/concerts"))
        .await
        .expect(200);
    let concert = &concerts["concerts"][0];
    let mut buyer = Buyer::log_in(&world, demo::BUYER_EMAIL, demo::PASSWORD).await;
    buyer.enter(&text(concert, "concertId")).await;
    let schedule = text(&concert["schedules"][0], "scheduleId");
    assert!(buyer.available(&schedule).await.len() >= 1_000);
    assert_eq!(buyer.wallet().await, (demo::BUYER_POINTS, 0));
}

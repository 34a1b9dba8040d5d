//! What is not paid goes back on sale: by the message, by the sweep, and by each alone.

use end_to_end::{Buyer, Sale, SaleOptions, World, WorldOptions};
use serde_json::Value;
use test_support::eventually;

/// A minute: longer than a test here lives, so that its sweep plays no part.
const NO_SWEEP: (&str, &str) = ("SWEEP_SECONDS", "60");

async fn hold_one<'a>(world: &'a World, sale: &Sale) -> (Buyer<'a>, Value, String) {
    let mut buyer = world.buyer().await;
    buyer.enter(&sale.concert_id).await;
    let seat = buyer.available(&sale.schedule_id).await.remove(0);
    let held = buyer
        .hold(&sale.schedule_id, std::slice::from_ref(&seat))
        .await
        .expect(201);
    (buyer, held, seat)
}

async fn until_expired(buyer: &Buyer<'_>, held: &Value) {
    eventually("the reservation to expire", async || {
        (buyer.reservation(held).await["status"] == "EXPIRED").then_some(())
    })
    .await;
}

async fn assert_back_on_sale(world: &World, sale: &Sale, buyer: &Buyer<'_>, seat: &String) {
    buyer.poll_until("EXPIRED").await;
    let mut next = world.buyer().await;
    next.enter(&sale.concert_id).await;
    assert_eq!(next.seat_status(&sale.schedule_id, seat).await, "AVAILABLE");
    next.hold(&sale.schedule_id, std::slice::from_ref(seat))
        .await
        .expect(201);
}

#[tokio::test]
async fn promise_4_an_unpaid_hold_expires_by_its_message_alone() {
    let world = World::with_env(&[("HOLD_SECONDS", "2"), NO_SWEEP]).await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let (buyer, held, seat) = hold_one(&world, &sale).await;
    until_expired(&buyer, &held).await;
    assert_back_on_sale(&world, &sale, &buyer, &seat).await;
}

#[tokio::test]
async fn control_without_the_worker_and_without_the_sweep_a_hold_outlives_its_end() {
    let world = World::with_env(&[("HOLD_SECONDS", "120"), NO_SWEEP]).await;
    world.services.kill("expire-worker").await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let (buyer, held, seat) = hold_one(&world, &sale).await;
    world.step_clock("booking", 121).await;
    assert_eq!(buyer.reservation(&held).await["status"], "PENDING");
    let mut next = world.buyer().await;
    next.enter(&sale.concert_id).await;
    next.hold(&sale.schedule_id, &[seat])
        .await
        .expect_problem(409, "seat-unavailable");
    // It is late, not payable: the clock decides that by itself.
    buyer
        .pay(&held, 0, Some("test_ok_late"))
        .await
        .expect_problem(410, "payment-window-closed");
}

#[tokio::test]
async fn promise_3_with_rabbitmq_stopped_the_sweep_expires_an_unpaid_hold() {
    let world = World::start(WorldOptions {
        env: vec![("HOLD_SECONDS", "120"), ("SWEEP_SECONDS", "1")],
        own_rabbitmq: true,
        ..WorldOptions::default()
    })
    .await;
    world.rabbitmq.as_ref().unwrap().stop().await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    let (buyer, held, seat) = hold_one(&world, &sale).await;
    assert_eq!(buyer.reservation(&held).await["status"], "PENDING");
    world.step_clock("booking", 121).await;
    until_expired(&buyer, &held).await;
    assert_back_on_sale(&world, &sale, &buyer, &seat).await;
}

#[tokio::test]
async fn a_message_that_waited_for_the_broker_is_published_when_it_is_back() {
    let world = World::start(WorldOptions {
        env: vec![("HOLD_SECONDS", "2"), NO_SWEEP],
        own_rabbitmq: true,
        ..WorldOptions::default()
    })
    .await;
    let sale = Sale::open(&world, SaleOptions::default()).await;
    world.rabbitmq.as_ref().unwrap().stop().await;
    let (buyer, held, _) = hold_one(&world, &sale).await;
    world.rabbitmq.as_ref().unwrap().start().await;
    until_expired(&buyer, &held).await;
}

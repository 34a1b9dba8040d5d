//! The waiting room, pushed instead of asked for.

use std::time::{Duration, Instant};

use end_to_end::{Buyer, Sale, SaleOptions, World};
use test_support::Events;

fn room_for_one() -> SaleOptions {
    SaleOptions {
        capacity: 1,
        prices: (0, 0),
        ..SaleOptions::default()
    }
}

/// Somebody inside a room for one, and so many who wait for it and watch; each stream has told of the place.
async fn line<'a>(world: &'a World, sale: &Sale, waiting: usize) -> (Buyer<'a>, Vec<(Buyer<'a>, Events)>) {
    let mut inside = world.buyer().await;
    inside.enter(&sale.concert_id).await;
    let mut line = Vec::new();
    for position in 1..=waiting {
        let mut buyer = world.buyer().await;
        buyer.join(&sale.concert_id).await.expect(201);
        let mut events = buyer.watch().await;
        events
            .until("the place", |data| data["position"] == position)
            .await;
        line.push((buyer, events));
    }
    (inside, line)
}

#[tokio::test]
async fn who_watches_the_line_sees_it_move_is_let_in_without_asking_and_is_told_of_the_end() {
    let world = World::shared().await;
    let sale = Sale::open(world, room_for_one()).await;
    let (inside, mut line) = line(world, &sale, 2).await;
    let (buyer, mut last) = line.pop().unwrap();
    let (next, mut first) = line.pop().unwrap();

    inside.leave().await;
    let page = first
        .until("the turn", |data| data["status"] == "PROCESSING")
        .await;
    assert_eq!(page.data["phase"], "PAGE");
    assert!(page.data["expiresAt"].is_string(), "{page:?}");
    last.until("a move", |data| data["position"] == 1).await;

    next.leave().await;
    first.until("the end", |data| data["status"] == "EXPIRED").await;
    assert_eq!(first.next().await, None);

    last.until("the turn", |data| data["status"] == "PROCESSING")
        .await;
    let held = buyer.hold_one(&sale).await;
    last.until("the payment", |data| data["phase"] == "PAYMENT").await;
    buyer.pay(&held, 0, None).await.expect(201);
    last.until("the end", |data| data["status"] == "COMPLETED").await;
    assert_eq!(last.next().await, None);
}

#[tokio::test]
async fn a_freed_place_is_taken_by_the_next_who_watches_within_a_second() {
    let world = World::with_env(&[]).await;
    let sale = Sale::open(&world, room_for_one()).await;
    let (mut inside, line) = line(&world, &sale, 5).await;
    let mut lags = Vec::new();
    for (buyer, mut events) in line {
        inside.leave().await;
        let freed = Instant::now();
        events
            .until("the turn", |data| data["status"] == "PROCESSING")
            .await;
        lags.push(freed.elapsed());
        inside = buyer;
    }
    // One of them may have met a machine that was busy with something else.
    lags.sort();
    assert!(lags[lags.len() / 2] < Duration::from_secs(1), "{lags:?}");
}

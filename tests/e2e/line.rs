//! The waiting room.

use end_to_end::{Answer, Sale, SaleOptions, World};
use test_support::eventually;

fn room_for(capacity: u32) -> SaleOptions {
    SaleOptions {
        capacity,
        ..SaleOptions::default()
    }
}

#[tokio::test]
async fn a_room_for_two_lets_two_in_and_tells_the_third_where_it_stands() {
    let world = World::shared().await;
    let sale = Sale::open(world, room_for(2)).await;
    let mut buyers = [
        world.buyer().await,
        world.buyer().await,
        world.buyer().await,
        world.buyer().await,
    ];
    for (index, buyer) in buyers.iter_mut().enumerate() {
        assert_eq!(
            buyer.join(&sale.concert_id).await.expect(201)["number"],
            index + 1
        );
    }
    buyers[0].poll_until("PROCESSING").await;
    let page = buyers[1].poll_until("PROCESSING").await;
    assert_eq!(page["phase"], "PAGE");
    assert!(page["expiresAt"].is_string(), "{page}");

    for (index, ahead) in [(2, 0), (3, 1)] {
        let waiting = buyers[index].poll().await;
        assert_eq!(waiting["status"], "WAITING");
        assert_eq!(
            (&waiting["ahead"], &waiting["position"]),
            (&ahead.into(), &(ahead + 1).into())
        );
        assert!(waiting["pollAfterMs"].as_u64().unwrap() > 0);
    }
    // What everybody sees may be a moment older.
    eventually("the room shows who waits", async || {
        let room = Answer::to(world.get(&format!("/v1/concerts/{}/queue", sale.concert_id)))
            .await
            .expect(200);
        assert!(
            room["servingNumber"].as_u64() <= room["lastNumber"].as_u64(),
            "{room}"
        );
        (room["servingNumber"] == 2 && room["waiting"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn promise_13_asking_again_gives_the_same_place() {
    let world = World::shared().await;
    let sale = Sale::open(world, room_for(1)).await;
    world.buyer().await.enter(&sale.concert_id).await;
    let mut buyer = world.buyer().await;
    let first = buyer.join(&sale.concert_id).await.expect(201);
    let again = buyer.join(&sale.concert_id).await.expect(200);
    assert_eq!(first["number"], again["number"]);
}

#[tokio::test]
async fn leaving_the_page_lets_the_next_one_in() {
    let world = World::shared().await;
    let sale = Sale::open(world, room_for(1)).await;
    let (mut first, mut second) = (world.buyer().await, world.buyer().await);
    first.enter(&sale.concert_id).await;
    second.join(&sale.concert_id).await.expect(201);
    assert_eq!(second.poll().await["status"], "WAITING");
    assert_eq!(first.leave().await.status, 204);
    assert_eq!(first.poll().await["status"], "EXPIRED");
    second.poll_until("PROCESSING").await;
}

#[tokio::test]
async fn leaving_the_line_gives_the_place_up() {
    let world = World::shared().await;
    let sale = Sale::open(world, room_for(1)).await;
    let (mut inside, mut leaver, mut next) = (world.buyer().await, world.buyer().await, world.buyer().await);
    inside.enter(&sale.concert_id).await;
    leaver.join(&sale.concert_id).await.expect(201);
    next.join(&sale.concert_id).await.expect(201);
    assert_eq!(leaver.leave().await.status, 204);
    inside.leave().await;
    // Called past the one who left, without waiting for the claim window.
    next.poll_until("PROCESSING").await;
    assert_eq!(leaver.poll().await["status"], "EXPIRED");
}

#[tokio::test]
async fn when_the_page_time_is_over_the_token_expires_and_the_next_is_called() {
    let world = World::with_env(&[("PAGE_SECONDS", "60")]).await;
    let sale = Sale::open(&world, room_for(1)).await;
    let (mut first, mut second) = (world.buyer().await, world.buyer().await);
    first.enter(&sale.concert_id).await;
    second.join(&sale.concert_id).await.expect(201);

    world.step_clock("queue", 59).await;
    assert_eq!(first.poll().await["status"], "PROCESSING");
    world.step_clock("queue", 2).await;
    assert_eq!(first.poll().await["status"], "EXPIRED");
    let dates = first
        .get(&format!("/v1/concerts/{}/schedules", sale.concert_id))
        .await;
    dates.expect_problem(410, "queue-token-expired");
    second.poll_until("PROCESSING").await;
}

#[tokio::test]
async fn a_called_number_that_does_not_come_in_time_is_passed_over_and_may_come_late() {
    let world = World::with_env(&[("CLAIM_SECONDS", "20"), ("LATE_SECONDS", "100")]).await;
    let sale = Sale::open(&world, room_for(1)).await;
    let (mut inside, mut absent, mut next) = (world.buyer().await, world.buyer().await, world.buyer().await);
    inside.enter(&sale.concert_id).await;
    absent.join(&sale.concert_id).await.expect(201);
    inside.leave().await;
    serving(&world, &sale, 2).await;
    world.step_clock("queue", 21).await;
    next.join(&sale.concert_id).await.expect(201);
    next.poll_until("PROCESSING").await;

    let late = absent.poll().await;
    assert_eq!(
        (&late["status"], &late["turnMissed"]),
        (&"WAITING".into(), &true.into()),
        "{late}"
    );
    next.leave().await;
    absent.poll_until("PROCESSING").await;
}

#[tokio::test]
async fn a_called_number_that_stays_away_expires() {
    let world = World::with_env(&[("CLAIM_SECONDS", "20"), ("LATE_SECONDS", "100")]).await;
    let sale = Sale::open(&world, room_for(1)).await;
    let (mut inside, mut absent) = (world.buyer().await, world.buyer().await);
    inside.enter(&sale.concert_id).await;
    absent.join(&sale.concert_id).await.expect(201);
    inside.leave().await;
    serving(&world, &sale, 2).await;
    world.step_clock("queue", 121).await;
    let state = absent.poll().await;
    assert_eq!(state["status"], "EXPIRED", "{state}");
}

async fn room(world: &World, sale: &Sale) -> serde_json::Value {
    Answer::to(world.get(&format!("/v1/concerts/{}/queue", sale.concert_id)))
        .await
        .expect(200)
}

async fn serving(world: &World, sale: &Sale, number: u64) {
    eventually(&format!("number {number} to be called"), async || {
        (room(world, sale).await["servingNumber"] == number).then_some(())
    })
    .await;
}

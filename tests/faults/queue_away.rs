//! Those who wait, while queue is killed or frozen.

use std::time::{Duration, Instant};

use end_to_end::{Answer, Buyer, Sale, World};
use futures::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use test_support::eventually;

use crate::{QUICK, large};

/// How queue goes away.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Frozen,
}

impl Fault {
    async fn happen(self, world: &World) {
        match self {
            Self::Killed => world.services.kill("queue").await,
            Self::Frozen => world.services.pause("queue").await,
        }
    }

    async fn end(self, world: &World) {
        match self {
            Self::Killed => world.services.start("queue").await,
            Self::Frozen => world.services.resume("queue").await,
        }
    }
}

/// A poll, which is answered soon.
async fn poll(buyer: &Buyer<'_>) -> Answer {
    let asked = Instant::now();
    let answer = buyer.get("/v1/queue").await;
    assert!(asked.elapsed() < QUICK, "{:?}", asked.elapsed());
    answer
}

async fn until_old(what: &str, age_ms: u64, mut ask: impl AsyncFnMut() -> Value) -> Value {
    eventually(what, async || {
        let answer = ask().await;
        let age = answer["stateAgeMs"].as_u64();
        age.is_some_and(|age| age > age_ms).then_some(answer)
    })
    .await
}

#[rstest]
#[case(Fault::Killed)]
#[case(Fault::Frozen)]
#[tokio::test]
async fn promises_12_and_13_those_who_wait_are_answered_from_memory_while_queue_is_away_and_let_in_after_it(
    #[case] fault: Fault,
) {
    let world = World::with_env(&[]).await;
    let sale = Sale::open(&world, large(1)).await;
    // So slow that the last of them cannot have been called for a while.
    let path = format!("/v1/admin/concerts/{}/waiting-room", sale.concert_id);
    let slow = json!({ "capacity": 1, "admitPerSecond": 1 });
    world.organiser().await.put(&path, &slow).await.expect(200);
    let mut inside = world.buyer().await;
    inside.enter(&sale.concert_id).await;
    let mut line = Vec::new();
    for _ in 0..4 {
        let mut buyer = world.buyer().await;
        buyer.join(&sale.concert_id).await.expect(201);
        line.push(buyer);
    }
    let (first, last) = (&line[0], &line[3]);
    let mut events = first.watch().await;
    events.until("the place", |data| data["position"] == 1).await;
    eventually("the gateway to have heard of them", async || {
        let room = Answer::to(world.get(&format!("/v1/concerts/{}/queue", sale.concert_id))).await;
        (room.body["waiting"] == 4).then_some(())
    })
    .await;

    fault.happen(&world).await;
    // The control: who was let in needs queue.
    let refused = inside.get("/v1/queue").await;
    assert!(
        refused.is_temporary() && refused.is_plain(),
        "{} {}",
        refused.status,
        refused.body
    );
    for (buyer, position) in [(first, 1), (last, 4)] {
        for age_ms in [1_500, 3_000] {
            let standing = until_old("an old standing", age_ms, async || poll(buyer).await.expect(200)).await;
            assert_eq!(
                (&standing["status"], &standing["position"]),
                (&"WAITING".into(), &position.into())
            );
        }
    }
    // The next could have been called since, so these ask queue, and one that hangs holds none of them up.
    join_all((0..100).map(|_| async {
        assert_eq!(poll(first).await.expect(200)["status"], "WAITING");
    }))
    .await;
    let room = until_old("an old room", 3_000, async || {
        Answer::to(world.get(&format!("/v1/concerts/{}/queue", sale.concert_id)))
            .await
            .expect(200)
    })
    .await;
    assert_eq!((&room["servingNumber"], &room["waiting"]), (&1.into(), &4.into()));
    events
        .until("an old state", |data| !data["stateAgeMs"].is_null())
        .await;

    fault.end(&world).await;
    let back = Instant::now();
    eventually("a young standing", async || {
        let standing = poll(last).await.expect(200);
        assert_eq!(standing["position"], 4);
        standing["stateAgeMs"].is_null().then_some(())
    })
    .await;
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    assert_eq!(inside.poll().await["status"], "PROCESSING");
    inside.leave().await;
    // The stream that was open all the time lets its reader in.
    events
        .until("the turn", |data| data["status"] == "PROCESSING")
        .await;
    eventually("the line to move", async || {
        (last.poll().await["position"] == 3).then_some(())
    })
    .await;
}

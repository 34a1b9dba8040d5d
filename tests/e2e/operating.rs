//! A room that its operator pauses, drains and changes while people wait.

use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, text};
use serde_json::{Value, json};
use test_support::eventually;

/// A sale, and who runs it.
struct Operator<'a> {
    world: &'a World,
    sale: Sale,
}

impl Operator<'_> {
    async fn set(&self, capacity: u32, admit_per_second: u32, mode: &str) {
        let path = format!("/v1/admin/concerts/{}/waiting-room", self.sale.concert_id);
        let room = json!({ "capacity": capacity, "admitPerSecond": admit_per_second, "mode": mode });
        let organiser = self.world.organiser().await;
        assert_eq!(organiser.put(&path, &room).await.expect(200), room);
        eventually(&format!("everybody to see that the room is {mode}"), async || {
            (self.room().await["state"] == mode).then_some(())
        })
        .await;
    }

    async fn room(&self) -> Value {
        let path = format!("/v1/concerts/{}/queue", self.sale.concert_id);
        Answer::to(self.world.get(&path)).await.expect(200)
    }

    async fn stats(&self) -> Value {
        let path = format!("/v1/admin/concerts/{}/stats", self.sale.concert_id);
        self.world.organiser().await.get(&path).await.expect(200)
    }

    /// Waits for these counts.
    async fn counts(&self, expected: Value) {
        let expected = expected.as_object().unwrap();
        let mut seen = Value::Null;
        let wanted = eventually("the counts of the room", async || {
            seen = self.stats().await;
            let right = expected.iter().all(|(name, count)| seen[name] == *count);
            right.then_some(())
        });
        wanted.await;
    }

    async fn joined(&self) -> Buyer<'_> {
        let mut buyer = self.world.buyer().await;
        buyer.join(&self.sale.concert_id).await.expect(201);
        buyer
    }
}

#[tokio::test]
async fn an_operator_pauses_drains_and_changes_a_room_while_people_wait() {
    let world = World::with_env(&[]).await;
    let sale = Sale::open(
        &world,
        SaleOptions {
            capacity: 1,
            prices: (0, 0),
            ..SaleOptions::default()
        },
    )
    .await;
    let operator = Operator { world: &world, sale };
    let first = operator.joined().await;
    first.poll_until("PROCESSING").await;
    let (second, third) = (operator.joined().await, operator.joined().await);
    operator
        .counts(json!({ "waiting": 2, "called": 0, "inside": 1, "admitted": 1, "admittedLastMinute": 1 }))
        .await;

    // Room for all, but nobody is called.
    operator.set(3, 1_000, "PAUSED").await;
    let fourth = operator.joined().await;
    let held = first.hold_one(&operator.sale).await;
    operator
        .counts(json!({ "waiting": 3, "called": 0, "inside": 0, "paying": 1 }))
        .await;
    for (buyer, position) in [(&second, 1), (&third, 2), (&fourth, 3)] {
        let standing = buyer.poll().await;
        assert_eq!(
            (&standing["status"], &standing["position"], &standing["paused"]),
            (&"WAITING".into(), &position.into(), &true.into())
        );
        assert!(standing.get("etaSeconds").is_none(), "{standing}");
    }
    assert_eq!(operator.room().await["servingNumber"], 1);
    // Who is inside goes on.
    assert_eq!(first.pay(&held, 0, None).await.expect(201)["status"], "SUCCEEDED");

    operator.set(3, 1_000, "OPEN").await;
    for buyer in [&second, &third, &fourth] {
        let standing = buyer.poll_until("PROCESSING").await;
        assert!(standing.get("paused").is_none(), "{standing}");
    }
    operator
        .counts(json!({ "waiting": 0, "inside": 3, "paying": 0, "completed": 1, "admitted": 4 }))
        .await;

    // Who is in line when a room drains is called; nobody joins anew.
    let fifth = operator.joined().await;
    operator.set(3, 1_000, "DRAINING").await;
    let mut again = fifth.clone();
    again.join(&operator.sale.concert_id).await.expect(200);
    eventually("new joins to be refused", async || {
        let mut late = world.buyer().await;
        let answer = late.join(&operator.sale.concert_id).await;
        if answer.status == 201 {
            late.leave().await;
            return None;
        }
        answer.expect_problem(409, "room-closed");
        Some(())
    })
    .await;
    assert_eq!(second.leave().await.status, 204);
    fifth.poll_until("PROCESSING").await;
    operator.counts(json!({ "inside": 3, "expired": 1 })).await;

    // One who is called and does not come has missed the turn.
    operator.set(4, 1, "OPEN").await;
    let absent = operator.joined().await;
    operator.counts(json!({ "waiting": 0, "called": 1 })).await;
    world.step_clock("queue", 31).await;
    operator.counts(json!({ "called": 0, "lapsed": 1 })).await;
    // The turn comes again for one who comes late.
    absent.poll_until("PROCESSING").await;
    operator.counts(json!({ "inside": 4, "lapsed": 1 })).await;
    let room = operator.room().await;
    assert_eq!(
        (&room["capacity"], &room["admitPerSecond"]),
        (&4.into(), &1.into())
    );

    let log = world.organiser().await.get("/v1/admin/audit-log?limit=4").await;
    let log = log.expect(200);
    let modes: Vec<_> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(entry, "act"), text(&entry["details"], "mode")))
        .collect();
    let expected = ["OPEN", "DRAINING", "OPEN", "PAUSED"]
        .map(|mode| ("WAITING_ROOM_CHANGED".to_owned(), mode.to_owned()));
    assert_eq!(modes, expected);
}

//! RabbitMQ emptied, killed and stopped.

use end_to_end::{Buyer, Sale, World, WorldOptions, invariants};
use lapin::options::QueuePurgeOptions;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;
use test_support::eventually;

use crate::large;

const HOLD_SECONDS: u32 = 120;

async fn broker(world: &World) -> lapin::Result<Connection> {
    let url = world.rabbitmq.as_ref().unwrap().url().await;
    Connection::connect(url.as_str(), ConnectionProperties::default()).await
}

async fn hold_one<'a>(world: &'a World, sale: &Sale) -> (Buyer<'a>, Value) {
    let mut buyer = world.buyer().await;
    let held = buyer.enter_and_hold(sale, 1).await;
    (buyer, held)
}

/// Messages that booking still has to publish.
async fn unpublished(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM expiry_outbox")
        .fetch_one(&mut world.database("booking").await)
        .await
        .unwrap()
}

async fn until_published(world: &World) {
    eventually("every message to be published", async || {
        (unpublished(world).await == 0).then_some(())
    })
    .await;
}

/// Nothing is lost: the hold is there, and by the end of its time it is back on sale.
async fn expires_by_the_sweep(world: &World, buyer: &Buyer<'_>, held: &Value) {
    assert_eq!(buyer.reservation(held).await["status"], "PENDING");
    world.step_clock("booking", HOLD_SECONDS + 1).await;
    eventually("the hold to expire", async || {
        (buyer.reservation(held).await["status"] == "EXPIRED").then_some(())
    })
    .await;
}

#[tokio::test]
async fn promises_3_and_4_with_messages_deleted_or_the_broker_killed_or_stopped_holds_are_made_and_expire() {
    let world = World::start(WorldOptions {
        env: vec![("HOLD_SECONDS", "120"), ("SWEEP_SECONDS", "1")],
        own_rabbitmq: true,
        ..WorldOptions::default()
    })
    .await;
    let rabbitmq = world.rabbitmq.as_ref().unwrap();
    let sale = Sale::open(&world, large(10)).await;

    // Every message deleted. The control: there was one.
    let (buyer, held) = hold_one(&world, &sale).await;
    until_published(&world).await;
    let connection = broker(&world).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let waiting = format!(
        "{}.hold-expiry.waiting-{}ms",
        world.amqp_prefix,
        HOLD_SECONDS * 1_000
    );
    let purged = channel
        .queue_purge(waiting.as_str().into(), QueuePurgeOptions::default())
        .await
        .unwrap();
    assert_eq!(purged, 1);
    expires_by_the_sweep(&world, &buyer, &held).await;

    // Killed. The control: nobody is there, and the message cannot leave.
    rabbitmq.kill().await;
    assert!(broker(&world).await.is_err());
    let (buyer, held) = hold_one(&world, &sale).await;
    assert_eq!(unpublished(&world).await, 1);
    expires_by_the_sweep(&world, &buyer, &held).await;
    let (_, kept) = hold_one(&world, &sale).await;
    rabbitmq.start().await;
    until_published(&world).await;
    drop(kept);

    // Frozen: connections stay open and nothing is confirmed.
    rabbitmq.pause().await;
    let (buyer, held) = hold_one(&world, &sale).await;
    expires_by_the_sweep(&world, &buyer, &held).await;
    rabbitmq.resume().await;
    until_published(&world).await;

    // Stopped in an orderly way.
    rabbitmq.stop().await;
    assert!(broker(&world).await.is_err());
    let (buyer, held) = hold_one(&world, &sale).await;
    assert_eq!(unpublished(&world).await, 1);
    expires_by_the_sweep(&world, &buyer, &held).await;
    rabbitmq.start().await;
    until_published(&world).await;
    invariants::hold(&world).await;
}

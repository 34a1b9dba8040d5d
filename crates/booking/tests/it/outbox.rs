//! What others must hear is heard, whoever was away.

use std::time::Duration;

use contracts::events::HoldExpiryDue;
use lapin::options::{BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use prost::Message as _;
use service_kit::amqp::AmqpConfig;
use service_kit::config::load_from;
use test_support::eventually;
use vocabulary::ProblemCode;

use crate::queue_peer::Told;
use crate::world::{HOLD, World, code};

async fn waiting_rows(world: &World, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_queue_did_not_hear_of_a_hold_it_hears_from_the_relay() {
    let world = World::with_seats(1).await;
    world.queue.set_deaf(true);
    let held = world.held(&world.seats).await;
    assert!(world.queue.told(held.visitor.visit_id).is_empty());
    world.queue.set_deaf(false);
    // The hold's own process has 2 s before the relay takes the notice up.
    world.database.step_clock(Duration::from_secs(2)).await;
    eventually("the relay's word", async || {
        (world.queue.told(held.visitor.visit_id) == [Told::PageEnded]).then_some(())
    })
    .await;
    eventually("an empty outbox", async || {
        (waiting_rows(&world, "visit_outbox").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_queue_heard_at_once_leaves_the_outbox() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    world.release(&held).await.unwrap();
    assert_eq!(
        world.booking.relay_notices().await.unwrap(),
        0,
        "nothing is left to tell"
    );
    eventually("an empty outbox", async || {
        (waiting_rows(&world, "visit_outbox").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_relay_tries_again_until_queue_hears() {
    let world = World::with_seats(1).await;
    world.queue.set_deaf(true);
    let held = world.held(&world.seats).await;
    for _ in 0..8 {
        world.database.step_clock(Duration::from_secs(60)).await;
        world.booking.relay_notices().await.unwrap();
    }
    world.queue.set_deaf(false);
    world.database.step_clock(Duration::from_secs(60)).await;
    eventually("the relay's word", async || {
        (world.queue.told(held.visitor.visit_id) == [Told::PageEnded]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hold_needs_no_rabbitmq_and_its_message_is_published_later() {
    let world = World::with(1, &[("AMQP_URL", "amqp://app:app@127.0.0.1:1")]).await;
    let held = world.held(&world.seats).await;
    assert_eq!(waiting_rows(&world, "expiry_outbox").await, 1);

    let amqp_url = test_support::amqp_url().await;
    let _another = world.start_another(&[("AMQP_URL", &amqp_url)]).await;
    eventually("an empty outbox", async || {
        (waiting_rows(&world, "expiry_outbox").await == 0).then_some(())
    })
    .await;
    let message = published(&world, &amqp_url, HOLD).await;
    assert_eq!(message.reservation_id, held.id.to_string());
    assert_eq!(message.expires_at, held.reservation.expires_at);
}

#[tokio::test]
async fn queues_that_are_missing_or_have_other_arguments_are_found_out() {
    let values = test_support::environment([
        ("AMQP_URL", test_support::amqp_url().await.as_str()),
        ("AMQP_NAME_PREFIX", test_support::unique_name("check").as_str()),
    ]);
    let config = load_from(values, AmqpConfig::read).unwrap();
    let queue = config.delay_queue(contracts::expiry::PURPOSE, HOLD);
    let said = async || {
        let checked = queue.check(&config).await;
        checked.err().map(|error| error.to_string())
    };
    let missing = said().await.unwrap();
    assert!(
        missing.contains("NOT_FOUND") && missing.contains(&queue.waiting),
        "{missing}"
    );

    let amqp_url = test_support::amqp_url().await;
    let connection = Connection::connect(&amqp_url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    queue.declare(&channel).await.unwrap();
    assert_eq!(said().await, None);

    // As right, but for one argument: at-least-once has silently become at-most-once.
    channel
        .queue_delete(queue.waiting.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    let mut arguments = FieldTable::default();
    let text = |value: &str| AMQPValue::LongString(value.into());
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert(
        "x-message-ttl".into(),
        AMQPValue::LongLongInt(HOLD.as_millis().try_into().unwrap()),
    );
    arguments.insert("x-dead-letter-exchange".into(), text(&queue.due.exchange));
    arguments.insert("x-dead-letter-routing-key".into(), text(&queue.due.queue));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.waiting.as_str().into(), durable, arguments)
        .await
        .unwrap();
    let differs = said().await.unwrap();
    assert!(
        differs.contains("PRECONDITION_FAILED") && differs.contains("x-overflow"),
        "{differs}"
    );
}

/// What waits in the delayed queue.
async fn published(world: &World, amqp_url: &str, delay: Duration) -> HoldExpiryDue {
    let mut values = world.environment.clone();
    values.insert("AMQP_URL".to_owned(), amqp_url.to_owned());
    let queue = load_from(values, AmqpConfig::read)
        .unwrap()
        .delay_queue(contracts::expiry::PURPOSE, delay);
    let connection = Connection::connect(amqp_url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let message = channel
        .basic_get(queue.waiting.as_str().into(), BasicGetOptions { no_ack: true })
        .await
        .unwrap()
        .expect("a message waits");
    HoldExpiryDue::decode(message.delivery.data.as_slice()).unwrap()
}

#[tokio::test]
async fn a_hold_without_queue_is_refused_as_unavailable() {
    let world = World::with_seats(1).await;
    let client = world.start_another(&[("QUEUE_URL", "http://127.0.0.1:1")]).await;
    let request = world.hold_request(&world.visitor(), &world.seats);
    let refusal = client
        .clone()
        .hold_seats(request)
        .await
        .map_err(service_kit::problem::Problem::from);
    assert_eq!(code(refusal), ProblemCode::Unavailable);
}

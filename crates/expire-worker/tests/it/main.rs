//! The worker against a real RabbitMQ; booking is played.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod booking_peer;

use std::time::Duration;

use contracts::events::HoldExpiryDue;
use contracts::{expiry, timestamp};
use expire_worker::config::Config;
use expire_worker::startup::Application;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use prost::Message as _;
use service_kit::admin;
use service_kit::amqp::{AmqpConfig, DueQueue};
use service_kit::config::load_from;
use test_support::{environment, eventually, unique_name};
use time::OffsetDateTime;
use vocabulary::ReservationId;

use booking_peer::BookingPeer;

struct World {
    booking: BookingPeer,
    queue: DueQueue,
    channel: Channel,
    admin_addr: std::net::SocketAddr,
}

impl World {
    async fn new() -> Self {
        let booking = BookingPeer::default();
        let (amqp_url, booking_url, prefix) = (
            test_support::amqp_url().await,
            booking.serve().await,
            unique_name("worker"),
        );
        let values = environment([
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("AMQP_URL", amqp_url.as_str()),
            ("AMQP_NAME_PREFIX", prefix.as_str()),
            ("BOOKING_URL", booking_url.as_str()),
        ]);
        let queue = load_from(values.clone(), AmqpConfig::read)
            .unwrap()
            .due_queue(expiry::PURPOSE);
        let connection = Connection::connect(&amqp_url, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        queue.declare(&channel).await.unwrap();

        let application = Application::build(load_from(values, Config::read).unwrap())
            .await
            .unwrap();
        let admin_addr = application.admin_addr();
        tokio::spawn(application.run_until_stopped(std::future::pending()));
        Self {
            booking,
            queue,
            channel,
            admin_addr,
        }
    }

    /// Puts a message where the delay would have put it.
    async fn publish(&self, payload: &[u8]) {
        self.channel
            .basic_publish(
                self.queue.exchange.as_str().into(),
                self.queue.queue.as_str().into(),
                BasicPublishOptions::default(),
                payload,
                lapin::BasicProperties::default(),
            )
            .await
            .unwrap();
    }

    /// Messages of the queue that nobody has taken; a worker that holds some has taken them.
    async fn messages(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        self.channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await
            .unwrap()
            .message_count()
    }
}

fn due(expires_at: OffsetDateTime) -> Vec<u8> {
    let message = HoldExpiryDue {
        reservation_id: ReservationId::new().to_string(),
        expires_at: Some(timestamp(expires_at)),
    };
    message.encode_to_vec()
}

#[tokio::test]
async fn a_message_has_booking_expire_what_is_due() {
    let world = World::new().await;
    world.publish(&due(OffsetDateTime::now_utc())).await;
    eventually("a call", async || (world.booking.calls() >= 1).then_some(())).await;
}

#[tokio::test]
async fn many_messages_are_one_look() {
    let world = World::new().await;
    for _ in 0..500 {
        world.publish(&due(OffsetDateTime::now_utc())).await;
    }
    world.booking.expires(500);
    eventually("all expired", async || (world.booking.left() == 0).then_some(())).await;
    assert!(world.booking.calls() < 250, "{} calls", world.booking.calls());
}

#[tokio::test]
async fn while_booking_is_away_messages_go_back_and_come_again_without_haste() {
    let world = World::new().await;
    world.booking.set_away(true);
    world.publish(&due(OffsetDateTime::now_utc())).await;
    eventually("two tries", async || (world.booking.calls() >= 2).then_some(())).await;
    let (first, second) = world.booking.first_two_calls();
    assert!(
        second - first >= Duration::from_millis(900),
        "{:?}",
        second - first
    );

    world.booking.set_away(false);
    let tries = world.booking.calls();
    eventually("the message again", async || {
        (world.booking.calls() > tries && world.messages(&world.queue.queue).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_message_before_its_time_by_bookings_clock_is_waited_for() {
    let world = World::new().await;
    let expires_at = OffsetDateTime::now_utc();
    world.booking.is_due_only_at_call(4, expires_at);
    world.publish(&due(expires_at)).await;
    eventually("a fourth look", async || {
        (world.booking.calls() >= 4).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_parked_and_the_rest_goes_on() {
    let world = World::new().await;
    let garbage = b"\xff\xff no message of ours";
    world.publish(garbage).await;
    world.publish(&due(OffsetDateTime::now_utc())).await;
    eventually("the readable one", async || {
        (world.booking.calls() >= 1).then_some(())
    })
    .await;
    let parked = eventually("the parked one", async || {
        let options = BasicGetOptions { no_ack: true };
        let parked = world
            .channel
            .basic_get(world.queue.parked.as_str().into(), options)
            .await;
        parked.unwrap()
    })
    .await;
    assert_eq!(parked.delivery.data, garbage);
    assert_eq!(world.messages(&world.queue.queue).await, 0);
}

#[tokio::test]
async fn the_worker_is_ready_while_it_consumes() {
    let world = World::new().await;
    eventually("readiness", async || {
        admin::healthcheck(world.admin_addr).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_worker_without_a_broker_starts_is_not_ready_and_stops() {
    let values = environment([
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("AMQP_URL", "amqp://127.0.0.1:1"),
        ("BOOKING_URL", "http://127.0.0.1:1"),
    ]);
    let application = Application::build(load_from(values, Config::read).unwrap())
        .await
        .unwrap();
    let admin_addr = application.admin_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(application.run_until_stopped(async { drop(stopped.await) }));
    eventually("the admin port", async || {
        let refusal = admin::healthcheck(admin_addr).await.unwrap_err();
        format!("{refusal:#}").contains("broker").then_some(())
    })
    .await;
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

//! Unpaid holds go back on sale: by RabbitMQ's prompt, and without it.

use std::time::Duration;

use contracts::booking::ReservationStatus;
use expire_worker::config::Config;
use expire_worker::startup::Application;
use service_kit::config::load_from;
use test_support::{environment, eventually};

use crate::queue_peer::Told;
use crate::world::{HOLD, World};

#[tokio::test]
async fn the_sweep_alone_puts_an_unpaid_hold_back_on_sale() {
    let world = World::with_seats(2).await;
    let held = world.held(&world.seats).await;
    world.database.step_clock(HOLD - Duration::from_secs(1)).await;
    assert_eq!(world.booking.sweep().await.unwrap(), 0);
    assert_eq!(world.status(&held).await, ReservationStatus::Pending);

    world.database.step_clock(Duration::from_secs(1)).await;
    assert_eq!(world.booking.sweep().await.unwrap(), 1);
    let read = world.get(&held).await.unwrap();
    assert_eq!(read.status(), ReservationStatus::Expired);
    assert!(read.payment_token.is_empty());
    assert_eq!(world.seat_states().await, (4, "AA".to_owned()));
    assert_eq!(world.counted(held.visitor.user_id).await, 0);
    assert_eq!(
        world.queue.told(held.visitor.visit_id),
        [Told::PageEnded, Told::Expired]
    );
    // Its locks went too: somebody else holds the seats at once.
    world.held(&world.seats).await;
}

#[tokio::test]
async fn promise_4_the_sweep_comes_by_itself() {
    let world = World::with(
        1,
        &[
            ("HOLD_SECONDS", "1"),
            ("SWEEP_SECONDS", "1"),
            ("AMQP_URL", NOBODY),
        ],
    )
    .await;
    let held = world.held(&world.seats).await;
    eventually("the hold's end", async || {
        (world.status(&held).await == ReservationStatus::Expired).then_some(())
    })
    .await;
    assert_eq!(world.seat_states().await.1, "A");
}

/// A broker that is away.
const NOBODY: &str = "amqp://app:app@127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_through_rabbitmq_puts_an_unpaid_hold_back_on_sale() {
    // The sweep of this world comes once a minute: whatever expires here was prompted.
    let world = World::with(3, &[("HOLD_SECONDS", "1")]).await;
    let mut values = environment([("ADMIN_ADDR", "127.0.0.1:0"), ("BOOKING_URL", &world.url)]);
    for key in ["AMQP_URL", "AMQP_NAME_PREFIX"] {
        values.insert(key.to_owned(), world.environment[key].clone());
    }
    let worker = Application::build(load_from(values, Config::read).unwrap())
        .await
        .unwrap();
    tokio::spawn(worker.run_until_stopped(std::future::pending()));

    let first = world.held(&world.seats[..1]).await;
    let second = world.held(&world.seats[1..]).await;
    for held in [&first, &second] {
        eventually("the hold's end", async || {
            (world.status(held).await == ReservationStatus::Expired).then_some(())
        })
        .await;
    }
    assert_eq!(world.seat_states().await, (6, "AAA".to_owned()));
}

#[tokio::test]
async fn expire_due_takes_the_oldest_first_and_says_what_comes_next() {
    let world = World::with_seats(3).await;
    let mut held = Vec::new();
    for seat in &world.seats {
        held.push(world.held(&[*seat]).await);
        world.database.step_clock(Duration::from_secs(10)).await;
    }
    // 30 s have passed since the first hold.
    world.database.step_clock(HOLD - Duration::from_secs(15)).await;
    let batch = world.expire_due(1).await;
    assert_eq!(batch.expired, 1);
    assert_eq!(world.status(&held[0]).await, ReservationStatus::Expired);
    assert_eq!(world.status(&held[1]).await, ReservationStatus::Pending);

    let batch = world.expire_due(10).await;
    assert_eq!(batch.expired, 1);
    assert_eq!(
        batch.next_due_at, held[2].reservation.expires_at,
        "the end that is still ahead"
    );

    world.database.step_clock(HOLD).await;
    let batch = world.expire_due(10).await;
    assert_eq!((batch.expired, batch.next_due_at), (1, None));
    assert_eq!(world.expire_due(10).await.expired, 0);
}

#[tokio::test]
async fn a_paid_reservation_never_expires() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let payment = vocabulary::PaymentId::new();
    let fence = world.begin(&held, payment).await.unwrap().version;
    world.confirm(&held, payment, fence).await.unwrap();
    world
        .database
        .step_clock(Duration::from_secs(365 * 24 * 3_600))
        .await;
    assert_eq!(world.booking.sweep().await.unwrap(), 0);
    assert_eq!(world.status(&held).await, ReservationStatus::Confirmed);
}

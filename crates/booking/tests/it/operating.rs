//! Starting, being ready, stopping.

use std::time::{Duration, Instant};

use booking::config::Config;
use booking::startup::Application;
use service_kit::config::{describe, load_from};
use test_support::{environment, eventually};

use crate::world::World;

#[tokio::test]
async fn a_service_without_stores_starts_is_not_ready_and_stops() {
    let values = environment([
        ("GRPC_ADDR", "127.0.0.1:0"),
        ("ADMIN_ADDR", "127.0.0.1:0"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("AMQP_URL", "amqp://127.0.0.1:1"),
        ("QUEUE_URL", "http://127.0.0.1:1"),
        (
            "PAYMENT_TOKEN_KEYS",
            "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
    ]);
    let application = Application::build(load_from(values, Config::read).unwrap())
        .await
        .unwrap();
    let admin = application.admin_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(application.run_until_stopped(async { drop(stopped.await) }));
    let refusal = eventually("the admin port", async || {
        let refusal = service_kit::admin::healthcheck(admin).await.unwrap_err();
        Some(format!("{refusal:#}")).filter(|text| text.contains("database"))
    })
    .await;
    assert!(refusal.contains("not ready"));
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_service_with_its_database_is_ready() {
    let world = World::with_seats(1).await;
    eventually("readiness", async || {
        service_kit::admin::healthcheck(world.admin_addr).await.ok()
    })
    .await;
}

/// An answer in several packets must not wait for the acknowledgement of its first one: that takes 40 ms.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_does_not_wait_for_tcp() {
    let world = World::with_seats(1).await;
    let mut took = Vec::new();
    for _ in 0..41 {
        let started = Instant::now();
        world.seat_states().await;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    assert!(took[20] < Duration::from_millis(30), "{:?}", took[20]);
}

#[test]
fn every_mistake_of_the_configuration_is_told_at_once() {
    let error = load_from(environment([("HOLD_DEADLINE_MS", "6000")]), Config::read).unwrap_err();
    let keys = error.keys();
    for key in [
        "DATABASE_URL",
        "REDIS_URL",
        "AMQP_URL",
        "QUEUE_URL",
        "PAYMENT_TOKEN_KEYS",
        "HOLD_DEADLINE_MS",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
}

#[test]
fn every_key_says_what_it_means() {
    for key in describe(Config::read) {
        assert!(key.meaning.ends_with('.'), "{}", key.name);
    }
}

//! What a poll of one who waits costs the services behind the gateway: nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use end_to_end::{Sale, SaleOptions, World};
use serde_json::json;
use test_support::eventually;

const POLLS: u64 = 500;

#[tokio::test]
async fn one_who_waits_polls_without_a_call_to_any_service_or_a_command_of_redis() {
    let world = World::with_env(&[]).await;
    let sale = Sale::open(
        &world,
        SaleOptions {
            capacity: 1,
            ..SaleOptions::default()
        },
    )
    .await;
    // So slow that a stall of this machine puts nobody but the next in doubt.
    let path = format!("/v1/admin/concerts/{}/waiting-room", sale.concert_id);
    let slow = json!({ "capacity": 1, "admitPerSecond": 1 });
    world.organiser().await.put(&path, &slow).await.expect(200);
    world.buyer().await.enter(&sale.concert_id).await;
    let mut last = world.buyer().await;
    for position in 1..=8 {
        last = world.buyer().await;
        assert_eq!(
            last.join(&sale.concert_id).await.expect(201)["position"],
            position
        );
    }
    eventually("the gateway to have heard of the room", async || {
        let before = answered_by_memory(&world).await;
        last.poll().await;
        (answered_by_memory(&world).await > before).then_some(())
    })
    .await;

    let (idle, mut redis) = (Instant::now(), commands(&world).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle_a_second = (commands(&world).await - redis) as f64 / idle.elapsed().as_secs_f64();

    let (begun, calls, memory) = (
        Instant::now(),
        calls(&world).await,
        answered_by_memory(&world).await,
    );
    redis = commands(&world).await;
    for _ in 0..POLLS {
        let standing = last.poll().await;
        assert_eq!(
            (&standing["status"], &standing["position"]),
            (&"WAITING".into(), &8.into())
        );
    }
    let redis = commands(&world).await - redis;
    assert_eq!(self::calls(&world).await, calls, "calls of services");
    assert!(
        answered_by_memory(&world).await >= memory + POLLS * 9 / 10,
        "it was memory that answered"
    );
    // The line is looked at four times a second, whoever polls.
    let looks = idle_a_second * begun.elapsed().as_secs_f64();
    assert!(
        (redis as f64) < looks * 1.5 + POLLS as f64 / 5.0,
        "{redis} commands of Redis, {looks:.0} without polls"
    );
}

/// A metric of a service, series by series.
async fn metric(world: &World, service: &str, name: &str) -> BTreeMap<String, u64> {
    let url = format!("{}/metrics", world.services.admin_url(service).await);
    let exposed = reqwest::get(url).await.unwrap().text().await.unwrap();
    let series = exposed.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some((
            format!("{service} {labels}"),
            value.parse::<f64>().unwrap() as u64,
        ))
    });
    series.collect()
}

async fn answered_by_memory(world: &World) -> u64 {
    let polls = metric(world, "gateway", "gateway_queue_polls_total").await;
    polls
        .get("gateway answered_by=\"memory\"")
        .copied()
        .unwrap_or_default()
}

/// Calls that the services have answered, by method, without those that are made by the clock.
async fn calls(world: &World) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for service in ["auth", "queue", "concert", "booking", "payment"] {
        calls.extend(metric(world, service, "grpc_server_seconds_count").await);
    }
    calls.retain(|series, _| {
        let own_accord = [
            "grpc.health",
            "WatchRooms",
            "GetSigningKeys",
            "ListReservationsToRefund",
        ];
        !own_accord.iter().any(|method| series.contains(method))
    });
    calls
}

/// Commands that Redis has run so far.
async fn commands(world: &World) -> u64 {
    let client = redis::Client::open(world.redis.url().await.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let info: String = redis::cmd("INFO")
        .arg("stats")
        .query_async(&mut redis)
        .await
        .unwrap();
    let count = info
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    count.unwrap().trim().parse().unwrap()
}

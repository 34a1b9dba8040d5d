//! A stop lets payments end as far as its time goes, and leaves the others to the next process.

use contracts::payment::PaymentStatus;
use test_support::eventually;

use crate::ledger::assert_balanced;
use crate::world::{World, card, request, status};

async fn until_asked(world: &World) {
    eventually("the provider to be asked", async || {
        let asked: i64 = sqlx::query_scalar("SELECT count(*) FROM payments WHERE state = 'CONFIRMING'")
            .fetch_one(world.database.pool())
            .await
            .unwrap();
        (asked == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_payment_that_ends_in_time_is_answered() {
    let mut world = World::start().await;
    let hold = world.hold().await;
    let mut client = world.client.clone();
    let paying = tokio::spawn(async move { client.pay(request(&hold, 4_000, Some("test_slow_1"))).await });
    until_asked(&world).await;
    world.stop().await.unwrap();
    let answer = paying.await.unwrap().unwrap().into_inner();
    assert_eq!(status(&answer.payment.unwrap()), PaymentStatus::Succeeded);
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_payment_that_takes_too_long_is_resumed_by_the_next_process() {
    let mut world = World::with(&[("DRAIN_SECONDS", "1")]).await;
    let hold = world.hold().await;
    let mut client = world.client.clone();
    let lost = card("lost");
    let paying = tokio::spawn(async move { client.pay(request(&hold, 4_000, Some(&lost))).await });
    until_asked(&world).await;
    world.stop().await.unwrap();
    let answer = paying.await.unwrap().unwrap().into_inner();
    assert_eq!(status(&answer.payment.unwrap()), PaymentStatus::Confirming);

    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_service_whose_stores_are_away_starts_and_says_so() {
    let settings = [
        ("DATABASE_URL", "postgres://app@127.0.0.1:1/payment"),
        ("SEED_DEMO", "true"),
    ];
    let mut world = World::with(&settings).await;
    let waiting = service_kit::admin::healthcheck(world.admin_addr)
        .await
        .unwrap_err();
    let waiting = waiting.to_string();
    assert!(
        waiting.contains("database") && waiting.contains("seed"),
        "{waiting}"
    );
    world.stop().await.unwrap();
}

//! Postgres restarted, killed and frozen, for all services at once.

use std::time::Duration;

use end_to_end::{Crowd, Sale, World, WorldOptions, invariants};
use sqlx::{Connection as _, PgConnection};
use test_support::unique_name;

use crate::{QUICK, buys_on, large, pause_ms};

async fn answers(world: &World) -> bool {
    let url = world.postgres.as_ref().unwrap().url().await;
    let ask = async { PgConnection::connect(url.as_str()).await?.ping().await };
    tokio::time::timeout(Duration::from_millis(500), ask)
        .await
        .is_ok_and(|answer| answer.is_ok())
}

#[tokio::test]
async fn promises_15_and_16_with_postgres_restarted_killed_or_frozen_answers_are_quick_and_nothing_is_lost() {
    let world = World::start(WorldOptions {
        // A call waits so long for a connection; with the default it would be told as plainly, a second later.
        env: vec![("DATABASE_ACQUIRE_TIMEOUT_MS", "1000")],
        own_postgres: true,
        ..WorldOptions::default()
    })
    .await;
    let postgres = world.postgres.as_ref().unwrap();
    let sale = Sale::open(&world, large(3)).await;
    let crowd = Crowd::gather(&world, &sale, 4).await;
    let mut buyer = world.buyer().await;
    let calm = Sale::open(&world, large(3)).await;
    let held = buyer.enter_and_hold(&calm, 1).await;

    for fault in ["restarted", "killed", "frozen"] {
        let away = async {
            pause_ms(700).await;
            match fault {
                "restarted" => postgres.stop().await,
                "killed" => postgres.kill().await,
                _ => postgres.pause().await,
            }
            assert!(
                !answers(&world).await,
                "the control: Postgres is {fault} and answers"
            );
            pause_ms(3_000).await;
            match fault {
                "frozen" => postgres.resume().await,
                _ => postgres.start().await,
            }
        };
        let ((), tries) = crowd.during(away).await;
        tries.assert_plain(if fault == "frozen" {
            Duration::from_millis(5_500)
        } else {
            QUICK
        });
        assert!(tries.refusals() > 0, "{fault}: {}", tries.summary());

        crowd.assert_kept(&tries).await;

        buys_on(&crowd, Duration::from_secs(8)).await;
        assert_eq!(buyer.reservation(&held).await["status"], "PENDING", "{fault}");
    }
    buyer
        .pay(&held, 0, Some(&unique_name("test_ok")))
        .await
        .expect(201);
    invariants::hold(&world).await;
}

//! Every payment posts to the account HOUSE, and no payment waits for another because of it: there is no row of the house
//! that they would have to change in turn.

use std::time::Duration;

use contracts::payment::PaymentStatus;
use futures::future::join_all;
use payment::app::saga::Saga as _;
use service_kit::database::begin;
use sqlx::{Postgres, Transaction};
use test_support::eventually;
use uuid::Uuid;

use crate::interruptions::recorded;
use crate::ledger::assert_balanced;
use crate::world::{Hold, World, status};

const BUYERS: usize = 8;

/// A transaction that has posted to HOUSE what a buyer pays, and stays open.
async fn posted(world: &World) -> Transaction<'static, Postgres> {
    let hold = world.hold().await;
    let payment = recorded(world, &hold, 10_000, "").await;
    // As far as the points being set aside.
    payment.advance(&world.replica()).await.unwrap();
    let mut open = begin(world.database.pool()).await.unwrap();
    sqlx::query(
        "INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id)
         VALUES ($1, $2, 'POST', 'HELD', 'HOUSE', $3, 10000, $4)",
    )
    .bind(Uuid::now_v7())
    .bind(format!("payment:{}:post", payment.payment_id))
    .bind(hold.user_id.as_uuid())
    .bind(payment.payment_id.as_uuid())
    .execute(&mut *open)
    .await
    .unwrap();
    open
}

async fn holds(world: &World) -> Vec<Hold> {
    join_all((0..BUYERS).map(|_| world.hold())).await
}

async fn sold(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM payments WHERE state = 'SUCCEEDED'")
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn buyers_do_not_wait_for_each_other_at_the_houses_account() {
    let world = World::start().await;
    let holds = holds(&world).await;
    let open = posted(&world).await;
    let payments = join_all(holds.iter().map(|hold| world.pay(hold, 10_000, None)));
    let paid = tokio::time::timeout(Duration::from_secs(60), payments).await;
    for paid in paid.expect("all have paid while a transaction that posted to HOUSE is open") {
        assert_eq!(status(&paid.unwrap().payment.unwrap()), PaymentStatus::Succeeded);
    }
    open.rollback().await.unwrap();
    world.settle(&world.replica()).await;
    assert_balanced(&world).await;
}

#[tokio::test]
async fn control_with_a_row_of_the_house_every_buyer_waits_for_the_one_before() {
    let world = World::start().await;
    for statement in [
        "CREATE TABLE house (balance bigint NOT NULL)",
        "INSERT INTO house VALUES (0)",
        "CREATE FUNCTION keep_house() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             UPDATE house SET balance = balance + NEW.amount;
             RETURN NULL;
         END
         $$",
        "CREATE TRIGGER transfers_keep_house AFTER INSERT ON transfers FOR EACH ROW
         WHEN (NEW.credit = 'HOUSE') EXECUTE FUNCTION keep_house()",
    ] {
        sqlx::query(statement)
            .execute(world.database.pool())
            .await
            .unwrap();
    }
    let holds = holds(&world).await;
    let open = posted(&world).await;
    let payments = join_all(holds.iter().map(|hold| world.pay(hold, 10_000, None)));
    let seen = async {
        // Those who meet share a statement, so one session may wait for all of them.
        eventually("all to have set their points aside, and to wait", async || {
            let waiting: bool = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM payments WHERE state = 'POINTS_TAKEN') > $1
                        AND EXISTS (SELECT FROM pg_stat_activity
                                    WHERE datname = current_database() AND wait_event_type = 'Lock')",
            )
            .bind(i64::try_from(BUYERS).unwrap())
            .fetch_one(world.database.pool())
            .await
            .unwrap();
            waiting.then_some(())
        })
        .await;
        assert_eq!(sold(&world).await, 0, "nobody has paid yet");
        open.rollback().await.unwrap();
    };
    tokio::join!(payments, seen);
    world.settle(&world.replica()).await;
    assert_eq!(sold(&world).await, i64::try_from(BUYERS).unwrap() + 1);
}

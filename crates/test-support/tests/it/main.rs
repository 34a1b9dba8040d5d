//! The helpers themselves, on real servers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fault_proxy;

use std::time::Duration;

use sqlx::migrate::Migrator;
use test_support::{TestDatabase, TestRedis};

#[tokio::test]
async fn a_stepped_clock_is_ahead_of_the_servers_own() {
    let database = TestDatabase::create(&Migrator::DEFAULT).await;
    let ahead = "SELECT extract(epoch FROM frontrow_now() - statement_timestamp())::bigint";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(ahead)
            .fetch_one(database.pool())
            .await
            .unwrap(),
        0
    );
    database.step_clock(Duration::from_secs(301)).await;
    assert_eq!(
        sqlx::query_scalar::<_, i64>(ahead)
            .fetch_one(database.pool())
            .await
            .unwrap(),
        301
    );
}

#[tokio::test]
async fn two_tests_never_share_a_database() {
    let (one, other) = (
        TestDatabase::create_empty().await,
        TestDatabase::create_empty().await,
    );
    sqlx::query("CREATE TABLE mine ()")
        .execute(one.pool())
        .await
        .unwrap();
    let there: bool = sqlx::query_scalar("SELECT to_regclass('mine') IS NOT NULL")
        .fetch_one(other.pool())
        .await
        .unwrap();
    assert!(!there);
}

#[tokio::test]
async fn a_redis_that_was_stopped_comes_back_empty_under_the_same_address() {
    let mut server = TestRedis::start().await;
    let url = server.url();
    let mut connection = server.connection().await;
    redis::cmd("SET")
        .arg("seat")
        .arg("taken")
        .exec_async(&mut connection)
        .await
        .unwrap();
    server.stop().await;
    assert!(redis::cmd("PING").exec_async(&mut connection).await.is_err());
    server.start_again().await;
    assert_eq!(server.url(), url);
    let mut connection = server.connection().await;
    let seat: Option<String> = redis::cmd("GET")
        .arg("seat")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(seat, None);
}

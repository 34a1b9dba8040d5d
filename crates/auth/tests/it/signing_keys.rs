//! The keys that access tokens are signed with.

use std::time::Duration;

use auth::app::rotate_signing_key;
use auth::store::{MIGRATOR, Store};
use futures::future::join_all;
use jsonwebtoken::jwk::PublicKeyUse;
use test_support::TestDatabase;

use crate::system::{PASSWORD, Replica, System, published};

#[tokio::test]
async fn replicas_that_start_together_agree_on_one_key() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let start = || Replica::start(database.url(), "http://127.0.0.1:1", []);
    let replicas = join_all((0..4).map(|_| start())).await;
    for replica in &replicas {
        replica.ready().await;
    }
    let sets = join_all(replicas.iter().map(published)).await;
    assert_eq!(sets[0].keys.len(), 1);
    assert_eq!(
        sets[0].keys[0].common.public_key_use,
        Some(PublicKeyUse::Signature)
    );
    assert!(sets.iter().all(|set| *set == sets[0]));
}

#[tokio::test]
async fn a_retired_key_is_published_until_its_last_token_has_ended() {
    let system = System::start().await;
    system.sign_up("kim@example.com").await.unwrap();
    let old = system
        .log_in("kim@example.com", PASSWORD)
        .await
        .unwrap()
        .tokens
        .unwrap();
    let store = Store::new(system.database.pool().clone());
    let new = rotate_signing_key(&store).await.unwrap();

    let keys = published(&system.replica).await;
    assert_eq!(keys.keys.len(), 2);
    assert_eq!(keys.keys[0].common.key_id.as_deref(), Some(new.as_str()));
    system.read(&old.access_token).await;

    system
        .database
        .step_clock(Duration::from_secs(900 + 60 + 120))
        .await;
    let keys = published(&system.replica).await;
    assert_eq!(keys.keys.len(), 1);
    assert!(keys.find(&new).is_some());
}

#[tokio::test]
async fn of_many_rotations_at_once_one_key_is_active_in_the_end() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let store = Store::new(database.pool().clone());
    for rotated in join_all((0..8).map(|_| rotate_signing_key(&store))).await {
        rotated.unwrap();
    }
    let active: i64 = sqlx::query_scalar("SELECT count(*) FROM signing_keys WHERE retired_at IS NULL")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(active, 1);
    assert!(store.active_signing_key().await.unwrap().is_some());
}

use std::time::{Duration, Instant};

use concert::domain::concert::Concert;
use concert::domain::page::Search;
use concert::domain::refund_policy::RefundPolicy;
use concert::store::cache::{Cache, Lookup, Subject};
use vocabulary::{ConcertId, Currency, VenueId};

use crate::world::{World, app, client, config, serve};

#[tokio::test]
async fn a_concert_is_answered_from_the_cache_until_something_changes() {
    let mut world = World::new().await;
    let concert_id = world.concert("before").await;
    assert_eq!(world.get_concert(&concert_id).await.unwrap().title, "before");
    assert_eq!(world.titles("").await, ["before"]);

    world.retitle(&concert_id, "after").await;
    assert_eq!(
        world.get_concert(&concert_id).await.unwrap().title,
        "before",
        "a hit"
    );
    assert_eq!(world.titles("").await, ["before"], "a hit");

    let schedule_id = world.schedule(&concert_id).await;
    let concert = world.get_concert(&concert_id).await.unwrap();
    assert_eq!(concert.title, "after");
    assert_eq!(concert.schedules[0].schedule_id, schedule_id);
    let page = world.search("", "", 0).await.unwrap();
    assert_eq!(page.concerts, [concert]);
}

#[tokio::test]
async fn a_change_of_one_concert_leaves_the_others_in_the_cache() {
    let mut world = World::new().await;
    let venue_id = world.venue().await;
    let quiet = world.concert_at(&venue_id, "quiet").await;
    let busy = world.concert_at(&venue_id, "busy").await;
    world.get_concert(&quiet).await.unwrap();
    world.retitle(&quiet, "moved").await;
    world.schedule(&busy).await;
    assert_eq!(world.get_concert(&quiet).await.unwrap().title, "quiet");
}

#[tokio::test]
async fn a_change_is_seen_by_every_process_that_shares_the_redis() {
    let mut world = World::new().await;
    let peers_url = test_support::serve_grpc(world.peers.routes()).await;
    let config = config(&world.database, &world.redis, &peers_url, &[]);
    let other = app(&config, &world.database);
    let mut other_client = client(&serve(&other).await);
    let concert_id = world.concert("x").await;
    let request = contracts::concert::GetConcertRequest {
        concert_id: concert_id.clone(),
    };
    for dates in 0..5 {
        let seen = other_client
            .get_concert(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(seen.concert.unwrap().schedules.len(), dates);
        world.schedule(&concert_id).await;
    }
}

#[tokio::test]
async fn without_redis_answers_are_right_and_do_not_wait_for_it_each_time() {
    let mut world = World::with(&[("CACHE_TIMEOUT_MS", "400"), ("CACHE_PAUSE_MS", "60000")]).await;
    let concert_id = world.concert("before").await;
    world.get_concert(&concert_id).await.unwrap();
    world.retitle(&concert_id, "after").await;

    // Frozen: connections stay open and nothing is answered.
    world.redis.pause();
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(world.get_concert(&concert_id).await.unwrap().title, "after");
        assert_eq!(world.titles("aft").await, ["after"]);
    }
    let took = started.elapsed();
    world.redis.resume();
    assert!(
        took < Duration::from_secs(8),
        "40 reads took {took:?}: 16 s would be a wait each"
    );
}

#[tokio::test]
async fn a_stopped_redis_is_used_again_when_it_is_back() {
    let mut world = World::with(&[("CACHE_PAUSE_MS", "10")]).await;
    let concert_id = world.concert("before").await;
    world.redis.stop().await;
    assert_eq!(world.get_concert(&concert_id).await.unwrap().title, "before");
    world.redis.start_again().await;

    // Kept again: a change behind its back is not seen.
    let mut client = world.client.clone();
    let get = contracts::concert::GetConcertRequest {
        concert_id: concert_id.clone(),
    };
    let pool = world.database.pool().clone();
    let mut round = 0;
    test_support::eventually("a hit", async || {
        round += 1;
        let before = client.get_concert(get.clone()).await.unwrap().into_inner();
        sqlx::query("UPDATE concerts SET title = $2 WHERE concert_id = $1::uuid")
            .bind(&concert_id)
            .bind(format!("round {round}"))
            .execute(&pool)
            .await
            .unwrap();
        let again = client.get_concert(get.clone()).await.unwrap().into_inner();
        (before == again).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_that_redis_was_not_told_of_is_seen_all_the_same() {
    let mut world = World::with(&[("CACHE_TIMEOUT_MS", "400"), ("CACHE_PAUSE_MS", "10")]).await;
    let concert_id = world.concert("x").await;
    assert!(world.get_concert(&concert_id).await.unwrap().schedules.is_empty());
    assert_eq!(world.titles("").await, ["x"]);

    world.redis.pause();
    let schedule_id = world.schedule(&concert_id).await;
    world.redis.resume();
    // Redis answers again, with what it held before.
    for _ in 0..5 {
        let concert = world.get_concert(&concert_id).await.unwrap();
        assert_eq!(concert.schedules[0].schedule_id, schedule_id);
        let page = world.search("", "", 0).await.unwrap();
        assert_eq!(page.concerts[0].schedules.len(), 1);
    }
}

fn a_concert(concert_id: ConcertId, title: &str) -> Concert {
    Concert {
        concert_id,
        title: title.to_owned(),
        venue_id: VenueId::new(),
        venue_name: "Saal".to_owned(),
        currency: Currency::KRW,
        prices: Vec::new(),
        refund_policy: RefundPolicy::default(),
        schedules: Vec::new(),
    }
}

async fn cache(world: &World) -> Cache {
    let config = config(&world.database, &world.redis, "http://127.0.0.1:1", &[]);
    Cache::new(config.redis.connection().unwrap(), config.cache)
}

/// A reader loads the old row, a writer changes it and takes it out of the cache, then the reader puts it in.
async fn stale_put(guarded: bool) -> Option<String> {
    let world = World::new().await;
    let (reader, writer) = (cache(&world).await, cache(&world).await);
    let concert_id = ConcertId::new();
    let subject = Subject::Concert(concert_id);
    let Lookup::Miss(seen_before_the_load) = reader.get::<Concert>(subject).await else {
        panic!("an empty cache misses");
    };
    let loaded = a_concert(concert_id, "old");

    writer.invalidate(concert_id).await;

    let generation = if guarded {
        seen_before_the_load
    } else {
        // A reader that looks only after its load cannot tell that it is too late.
        match reader.get::<Concert>(subject).await {
            Lookup::Miss(generation) => generation,
            other => panic!("{other:?}"),
        }
    };
    reader.put(subject, generation, &loaded).await;
    match writer.get::<Concert>(subject).await {
        Lookup::Hit(concert) => Some(concert.title),
        Lookup::Miss(_) => None,
        Lookup::Away => panic!("Redis is there"),
    }
}

#[tokio::test]
async fn what_was_loaded_before_a_change_does_not_come_back_after_it() {
    assert_eq!(stale_put(true).await, None);
}

#[tokio::test]
async fn control_without_the_generation_of_before_the_load_the_old_row_comes_back() {
    assert_eq!(stale_put(false).await.as_deref(), Some("old"));
}

#[tokio::test]
async fn a_page_loaded_before_a_change_does_not_come_back_even_over_a_flush() {
    let world = World::new().await;
    let (reader, writer) = (cache(&world).await, cache(&world).await);
    let search = Search::new("", "", 0).unwrap();
    let subject = Subject::Search(&search);
    let Lookup::Miss(generation) = reader.get::<String>(subject).await else {
        panic!("an empty cache misses");
    };
    writer.invalidate(ConcertId::new()).await;
    // A counter would begin anew here and might stand again where the reader saw it.
    world.redis.flush().await;
    reader.put(subject, generation, &"old".to_owned()).await;
    assert!(matches!(writer.get::<String>(subject).await, Lookup::Miss(_)));

    let Lookup::Miss(generation) = reader.get::<String>(subject).await else {
        panic!("nothing was kept");
    };
    reader.put(subject, generation, &"new".to_owned()).await;
    assert!(matches!(writer.get::<String>(subject).await, Lookup::Hit(page) if page == "new"));
}

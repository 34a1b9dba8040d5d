//! Redis flushed, frozen, and gone.

use std::time::{Duration, Instant};

use end_to_end::{Buyer, Crowd, Sale, World, invariants, text};
use redis::aio::MultiplexedConnection;
use test_support::unique_name;

use crate::{QUICK, buys_on, large, pause_ms, watch};

/// Who waits, and joins again after a loss of Redis, gets a new number; the place that is kept for the old one when it is
/// called is free again after this.
const SHORT_CLAIM: (&str, &str) = ("CLAIM_SECONDS", "1");
/// A few such windows.
const SOON: Duration = Duration::from_secs(15);

async fn connect(world: &World) -> MultiplexedConnection {
    let url = world.redis.url().await;
    let client = redis::Client::open(url.as_str()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn keys(connection: &mut MultiplexedConnection) -> usize {
    redis::cmd("DBSIZE").query_async(connection).await.unwrap()
}

/// Somebody on the page, somebody with a hold, and two in a line that does not move.
struct Before<'a> {
    holder: Buyer<'a>,
    held: serde_json::Value,
    inside: Buyer<'a>,
    waiting: Vec<(Buyer<'a>, serde_json::Value)>,
}

impl<'a> Before<'a> {
    async fn make(world: &'a World, sale: &Sale) -> Self {
        let [mut holder, mut inside] = [world.buyer().await, world.buyer().await];
        holder.enter(&sale.concert_id).await;
        let seat = holder.available(&sale.schedule_id).await.remove(0);
        let held = holder.hold(&sale.schedule_id, &[seat]).await.expect(201);
        inside.enter(&sale.concert_id).await;
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let mut buyer = world.buyer().await;
            let joined = buyer.join(&sale.concert_id).await.expect(201);
            waiting.push((buyer, joined["number"].clone()));
        }
        Self {
            holder,
            held,
            inside,
            waiting,
        }
    }

    /// Nobody lost what they had, and nobody gets what is not theirs.
    async fn assert_kept(&self, sale: &Sale) {
        for (buyer, number) in &self.waiting {
            let place = buyer.poll().await;
            assert_eq!(
                (&place["status"], &place["number"]),
                (&"WAITING".into(), number),
                "promise 13: {place}"
            );
        }
        assert_eq!(self.inside.poll().await["status"], "PROCESSING");
        let seat = text(&self.held["seats"][0], "seatId");
        assert_eq!(self.inside.seat_status(&sale.schedule_id, &seat).await, "PENDING");
        self.inside
            .hold(&sale.schedule_id, &[seat])
            .await
            .expect_problem(409, "seat-unavailable");
    }

    /// And they go on from there.
    async fn go_on(self, sale: &Sale) {
        let paid = self
            .holder
            .pay(&self.held, 0, Some(&unique_name("test_ok")))
            .await;
        assert_eq!(paid.expect(201)["reservation"]["status"], "CONFIRMED");
        for (buyer, _) in &self.waiting {
            self.inside.leave().await;
            buyer.poll_until("PROCESSING").await;
            let seat = buyer.available(&sale.schedule_id).await.remove(0);
            buyer.hold(&sale.schedule_id, &[seat]).await.expect(201);
        }
    }
}

#[tokio::test]
async fn promises_3_and_11_to_13_a_flushed_redis_sells_nothing_wrong_and_the_sale_goes_on() {
    let world = World::with_env(&[SHORT_CLAIM]).await;
    let (quiet, busy) = (
        Sale::open(&world, large(1)).await,
        Sale::open(&world, large(3)).await,
    );
    let before = Before::make(&world, &quiet).await;
    let crowd = Crowd::gather(&world, &busy, 6).await;
    let mut connection = connect(&world).await;

    let flushes = async {
        for _ in 0..4 {
            pause_ms(700).await;
            // The control: there was much to lose, and it is lost.
            redis::cmd("SET")
                .arg("canary")
                .arg(1)
                .exec_async(&mut connection)
                .await
                .unwrap();
            assert!(keys(&mut connection).await > 5);
            redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
            let canary: Option<u8> = redis::cmd("GET")
                .arg("canary")
                .query_async(&mut connection)
                .await
                .unwrap();
            assert_eq!(canary, None);
        }
    };
    let ((), tries) = watch::the_line_during(&world, &busy, crowd.during(flushes)).await;
    tries.assert_plain(QUICK);
    tries.assert_answered("concert");
    crowd.assert_kept(&tries).await;
    before.assert_kept(&quiet).await;

    // By itself: the crowd buys on.
    buys_on(&crowd, SOON).await;
    before.go_on(&quiet).await;
    invariants::hold(&world).await;
}

#[tokio::test]
async fn promises_3_and_16_with_redis_frozen_for_30_s_answers_are_quick_and_it_heals_by_itself() {
    let world = World::with_env(&[SHORT_CLAIM]).await;
    let (quiet, busy) = (
        Sale::open(&world, large(1)).await,
        Sale::open(&world, large(3)).await,
    );
    let before = Before::make(&world, &quiet).await;
    let crowd = Crowd::gather(&world, &busy, 4).await;
    let mut connection = connect(&world).await;

    let frozen = Box::pin(async {
        pause_ms(1_000).await;
        world.redis.pause().await;
        pause_ms(15_000).await;
        // The control: it is there and does not answer.
        let ping = redis::cmd("PING");
        let ping = ping.exec_async(&mut connection);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), ping)
                .await
                .map_or(true, |pong| pong.is_err())
        );
        // Who was let in already needs no Redis to take a seat, and to pay for it.
        let seat = before.inside.available(&quiet.schedule_id).await.remove(0);
        let held = before.inside.hold(&quiet.schedule_id, &[seat]).await.expect(201);
        before
            .inside
            .pay(&held, 0, Some(&unique_name("test_ok")))
            .await
            .expect(201);
        pause_ms(15_000).await;
        world.redis.resume().await;
    });
    let ((), tries) = watch::the_line_during(&world, &busy, crowd.during(frozen)).await;
    tries.assert_plain(QUICK);
    tries.assert_answered("concert");
    crowd.assert_kept(&tries).await;
    assert!(tries.refusals() > 0, "{}", tries.summary());

    let thawed = Instant::now();
    let mut buyer = world.buyer().await;
    let sale = Sale::open(&world, large(1)).await;
    buyer.enter(&sale.concert_id).await;
    assert!(
        thawed.elapsed() < Duration::from_secs(5),
        "{:?}",
        thawed.elapsed()
    );
    buys_on(&crowd, SOON).await;
    invariants::hold(&world).await;
}

#[tokio::test]
async fn promises_3_and_11_to_13_a_redis_that_comes_back_empty_sells_nothing_wrong_and_the_sale_goes_on() {
    let world = World::with_env(&[SHORT_CLAIM]).await;
    let (quiet, busy) = (
        Sale::open(&world, large(1)).await,
        Sale::open(&world, large(3)).await,
    );
    let before = Before::make(&world, &quiet).await;
    let crowd = Crowd::gather(&world, &busy, 5).await;
    let had = keys(&mut connect(&world).await).await;

    let stopped = Box::pin(async {
        pause_ms(500).await;
        world.redis.stop().await;
        // The control: nobody is there.
        let client = redis::Client::open(world.redis.url().await.as_str()).unwrap();
        assert!(client.get_multiplexed_async_connection().await.is_err());
        pause_ms(3_000).await;
        world.redis.start_empty().await;
    });
    let ((), tries) = watch::the_line_during(&world, &busy, crowd.during(stopped)).await;
    tries.assert_plain(QUICK);
    tries.assert_answered("concert");
    crowd.assert_kept(&tries).await;
    assert!(tries.refusals() > 0, "{}", tries.summary());
    assert!(had > 5);

    before.assert_kept(&quiet).await;
    buys_on(&crowd, SOON).await;
    before.go_on(&quiet).await;
    invariants::hold(&world).await;
}

//! Where histories happen, one after another: a database, a Redis, and replicas that may be killed. Many houses stand side
//! by side.

use std::sync::Arc;
use std::time::Duration;

use queue::app::Queue;
use queue::store::{DrawStore, Line, VisitStore};
use queue_token::QueueTokens;
use redis::AsyncCommands as _;
use redis::aio::{ConnectionManager, MultiplexedConnection};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};
use vocabulary::ConcertId;

use super::plan::REPLICAS;
use super::seen::{CLOCK, Millis, Seen};
use crate::world::World;

/// As few as make a loss of Redis leave numbers in doubt.
const NUMBER_BLOCK: &str = "4";
/// Those who sleep may hold a connection each.
const CONNECTIONS: u32 = 12;
/// For what a process that was cut off has sent to be done; others that sleep may hold connections for longer.
const AFTERMATH: Duration = Duration::from_millis(10);

/// When a history's clock begins, in milliseconds as Redis has them.
const BEGINNING: Millis = 1_893_456_000_000;

/// What is taken away from the system for a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    Nothing,
    /// The count of places that the line's script compares with the capacity.
    CountOfPlaces,
    /// Something that Postgres does: what makes it stop.
    Sql(&'static str),
}

pub(super) struct House {
    world: World,
    pool: PgPool,
    connections: [ConnectionManager; REPLICAS],
    redis: MultiplexedConnection,
    pub(super) without: Without,
    pub(super) replicas: Vec<Arc<Queue>>,
    pub(super) concert: ConcertId,
    dump: Vec<(Vec<u8>, Vec<u8>)>,
}

impl House {
    pub(super) async fn build(without: Without) -> Self {
        let world = World::with(&[("NUMBER_BLOCK", NUMBER_BLOCK), ("REDIS_TIMEOUT_MS", "10000")]).await;
        world.database.pool().execute(CLOCK).await.unwrap();
        if let Without::Sql(sql) = without {
            world.database.pool().execute(sql).await.unwrap();
        }
        let options: PgConnectOptions = world.database.url().parse().unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(2)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .unwrap();
        let connections = std::array::from_fn(|_| world.config.redis.connection().unwrap());
        let redis = world.redis.connection().await;
        Self {
            pool,
            connections,
            redis,
            without,
            replicas: Vec::new(),
            concert: ConcertId::new(),
            dump: Vec::new(),
            world,
        }
    }

    /// Everything as at the beginning of time.
    pub(super) async fn clean(&mut self) {
        let sql = "DELETE FROM doubtful_numbers; DELETE FROM calls; DELETE FROM kept_turns; DELETE FROM visits; DELETE FROM rooms;
            UPDATE clock_step SET step = '0'";
        // What died in the last history may still be on its way.
        while self.world.database.pool().execute(sql).await.is_err() {
            tokio::time::sleep(AFTERMATH).await;
        }
        self.world.redis.flush().await;
        self.dump.clear();
        self.concert = ConcertId::new();
        self.replicas = (0..REPLICAS).map(|replica| self.process(replica)).collect();
    }

    fn process(&self, replica: usize) -> Arc<Queue> {
        let config = &self.world.config;
        Arc::new(Queue::new(
            VisitStore::new(self.pool.clone()),
            DrawStore::new(self.pool.clone()),
            Line::new(self.connections[replica].clone()),
            QueueTokens::new(config.queue_token_keys.clone()),
            None,
            config.options,
        ))
    }

    /// Another process takes the place of this one.
    pub(super) fn replace(&mut self, replica: usize) {
        self.replicas[replica] = self.process(replica);
    }

    pub(super) async fn look(&self) -> Arc<Seen> {
        Arc::new(Seen::of(self.world.database.pool(), self.concert).await)
    }

    pub(super) async fn step(&self, by: Duration) {
        self.world.database.step_clock(by).await;
    }

    /// Until everything that a replica has sent is done.
    pub(super) async fn quiet(&mut self, replica: usize) {
        // Whoever was cut off may have left the connection to be made anew.
        for _ in 0..5 {
            let ping = redis::cmd("PING");
            let pong: Result<(), _> = ping.query_async(&mut self.connections[replica]).await;
            if pong.is_ok() {
                break;
            }
        }
        let begun = tokio::time::Instant::now();
        while self.pool.num_idle() < self.pool.size() as usize && begun.elapsed() < AFTERMATH {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Before anything happens: who was about to fill the room has lost the right to, as after a second.
    pub(super) async fn let_rights_lapse(&mut self) {
        let mut keys = vec![self.key(":filling")];
        if self.without == Without::CountOfPlaces {
            keys.push(self.key(":pages"));
        }
        let () = self.redis.del(keys).await.unwrap();
    }

    /// Whether somebody waits for a lock of another.
    pub(super) async fn is_locked(&self) -> bool {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE NOT l.granted AND a.datname = current_database())",
        )
        .fetch_one(self.world.database.pool())
        .await
        .unwrap()
    }

    fn key(&self, part: &str) -> String {
        format!("queue:{{{}}}{part}", self.concert)
    }

    /// Redis forgets everything.
    pub(super) async fn forget(&mut self) {
        self.world.redis.flush().await;
    }

    pub(super) async fn dump(&mut self) {
        let keys: Vec<Vec<u8>> = self.redis.keys("*").await.unwrap();
        self.dump.clear();
        for key in keys {
            let dumped = redis::cmd("DUMP").arg(&key).query_async(&mut self.redis).await;
            // What has ended meanwhile.
            if let Some(value) = dumped.unwrap() {
                self.dump.push((key, value));
            }
        }
    }

    /// Redis begins anew with what was dumped. False: nothing was.
    pub(super) async fn restore(&mut self) -> bool {
        self.forget().await;
        for (key, value) in &self.dump {
            let restore = redis::cmd("RESTORE").arg(key).arg(0).arg(value).to_owned();
            let () = restore.query_async(&mut self.redis).await.unwrap();
        }
        // The life that the dump is from: a server that has started again is another.
        let room = self.key("");
        if self.redis.hexists(&room, "run_id").await.unwrap() {
            let () = self.redis.hset(&room, "run_id", "0".repeat(40)).await.unwrap();
        }
        !self.dump.is_empty()
    }

    /// Who is called, and who came late and waits to be called again.
    pub(super) async fn called(&mut self, clock: Millis) -> Called {
        let (called, late, next): (Vec<u64>, Vec<u64>, Option<u64>) = redis::pipe()
            .zrange(self.key(":called"), 0, -1)
            .zrangebyscore(self.key(":returned"), format!("({}", BEGINNING + clock), "+inf")
            .hget(self.key(""), "next")
            .query_async(&mut self.redis)
            .await
            .unwrap();
        Called {
            called,
            late,
            last: next.map_or(0, |next| next - 1),
        }
    }
}

/// The line as Redis has it.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) called: Vec<u64>,
    pub(super) late: Vec<u64>,
    /// The last number given.
    pub(super) last: u64,
}

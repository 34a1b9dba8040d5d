//! Concerts and pages of concerts, kept in Redis for a while.
//!
//! Every entry bears the *generation* that its reader saw before it asked Postgres, and counts only while that is still
//! the generation. A change takes a new generation after its commit: entries of readers who began before it are worth
//! nothing from then on, even those still to be written. Generations are random, so that none comes back after a flush.
//!
//! A process that could not tell Redis of its change does not read from Redis until every older entry is over. Another
//! process may then see the state before the change for as long as an entry lives (`CACHE_TTL_SECONDS`), no longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::ConnectionManager;
use redis::{Pipeline, RedisError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use vocabulary::ConcertId;

use crate::config::CacheConfig;
use crate::domain::page::Search;

/// A generation that nobody renews is forgotten: longer than any entry lives, so that none outlives it.
const GENERATION_SECONDS: u64 = 2 * 3_600;
/// No reader takes longer from seeing a generation to writing an entry.
const LONGEST_LOAD: Duration = Duration::from_secs(120);
/// Larger entries are not worth their place.
const MAX_ENTRY_BYTES: usize = 256 * 1024;
const STAMP_BYTES: usize = 16;

/// What an entry is of.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A concert.
    Concert(ConcertId),
    /// A page of concerts.
    Search(&'a Search),
}

impl Subject<'_> {
    // One hash tag: entry and generation are read by one command.
    fn key(&self) -> String {
        match self {
            Self::Concert(concert_id) => format!("concert:{{catalogue}}:concert:{concert_id}"),
            Self::Search(search) => {
                let cursor = search.after.map(|cursor| cursor.encode()).unwrap_or_default();
                let asked = Sha256::digest(format!("{}\0{cursor}\0{}", search.limit, search.query));
                format!("concert:{{catalogue}}:page:{asked:x}")
            }
        }
    }

    fn generation_key(&self) -> String {
        match self {
            Self::Concert(concert_id) => generation_of_concert(*concert_id),
            Self::Search(_) => GENERATION_OF_PAGES.to_owned(),
        }
    }
}

const GENERATION_OF_PAGES: &str = "concert:{catalogue}:generation:pages";

fn generation_of_concert(concert_id: ConcertId) -> String {
    format!("concert:{{catalogue}}:generation:{concert_id}")
}

/// The generation that a reader saw before it asked Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation([u8; STAMP_BYTES]);

/// What the cache knows.
#[derive(Debug)]
pub enum Lookup<T> {
    /// An entry of the present generation.
    Hit(T),
    /// None; what is now read from Postgres may be kept under this generation.
    Miss(Generation),
    /// Redis is away, or must not be trusted.
    Away,
}

/// The cache. Clones share its state.
#[derive(Debug, Clone)]
pub struct Cache {
    redis: ConnectionManager,
    config: CacheConfig,
    health: Arc<Health>,
}

/// Times are milliseconds since `started`.
#[derive(Debug)]
struct Health {
    started: Instant,
    /// No reader goes to Redis before.
    paused_until: AtomicU64,
    /// Entries may be older than a change of this process.
    distrusted_until: AtomicU64,
}

impl Cache {
    /// Over a connection of its own.
    #[must_use]
    pub fn new(redis: ConnectionManager, config: CacheConfig) -> Self {
        Self {
            redis,
            config,
            health: Arc::new(Health {
                started: Instant::now(),
                paused_until: AtomicU64::new(0),
                distrusted_until: AtomicU64::new(0),
            }),
        }
    }

    /// What is kept of `subject`. It does not fail: without Redis, Postgres knows.
    pub async fn get<T: DeserializeOwned>(&self, subject: Subject<'_>) -> Lookup<T> {
        let lookup = if self.health.let_in(self.config.pause) {
            let read = self.bounded(self.read(subject)).await;
            self.health.note(read.is_ok(), self.config.pause);
            read.unwrap_or(Lookup::Away)
        } else {
            Lookup::Away
        };
        let answer = match &lookup {
            Lookup::Hit(_) => "hit",
            Lookup::Miss(_) => "miss",
            Lookup::Away => "away",
        };
        metrics::counter!("concert_cache_reads_total", "answer" => answer).increment(1);
        lookup
    }

    async fn read<T: DeserializeOwned>(&self, subject: Subject<'_>) -> Result<Lookup<T>, RedisError> {
        let mut redis = self.redis.clone();
        let generation_key = subject.generation_key();
        let (generation, entry): (Option<Vec<u8>>, Option<Vec<u8>>) = redis::cmd("MGET")
            .arg(&generation_key)
            .arg(subject.key())
            .query_async(&mut redis)
            .await?;
        let generation = match generation.and_then(|bytes| bytes.try_into().ok()) {
            Some(generation) => generation,
            None => match self.first_generation(&generation_key).await? {
                Some(generation) => generation,
                None => return Ok(Lookup::Away),
            },
        };
        let payload = entry.as_deref().and_then(|entry| entry.strip_prefix(&generation));
        // What another version wrote and this one cannot read is no entry.
        Ok(payload
            .and_then(|payload| serde_json::from_slice(payload).ok())
            .map_or(Lookup::Miss(Generation(generation)), Lookup::Hit))
    }

    // Several readers may begin at once: what counts is what stands there after all have tried.
    async fn first_generation(&self, key: &str) -> Result<Option<[u8; STAMP_BYTES]>, RedisError> {
        let mut redis = self.redis.clone();
        let (generation,): (Option<Vec<u8>>,) = redis::pipe()
            .cmd("SET")
            .arg(key)
            .arg(&Uuid::new_v4().as_bytes()[..])
            .arg("NX")
            .arg("EX")
            .arg(GENERATION_SECONDS)
            .ignore()
            .cmd("GET")
            .arg(key)
            .query_async(&mut redis)
            .await?;
        Ok(generation.and_then(|bytes| bytes.try_into().ok()))
    }

    /// Keeps what was read from Postgres after `generation` was seen. A failure is no matter.
    pub async fn put<T: Serialize>(&self, subject: Subject<'_>, generation: Generation, value: &T) {
        let mut entry = generation.0.to_vec();
        if serde_json::to_writer(&mut entry, value).is_err() || entry.len() > MAX_ENTRY_BYTES {
            return;
        }
        let mut redis = self.redis.clone();
        let write = async move {
            redis::cmd("SET")
                .arg(subject.key())
                .arg(entry)
                .arg("EX")
                .arg(self.config.ttl.as_secs())
                .exec_async(&mut redis)
                .await
        };
        if let Err(error) = self.bounded(write).await {
            self.health.note(false, self.config.pause);
            tracing::debug!(%error, "an answer was not cached");
        }
    }

    /// Takes everything out that shows this concert. Call it after the commit and before the change is acknowledged.
    pub async fn invalidate(&self, concert_id: ConcertId) {
        let mut redis = self.redis.clone();
        let mut renew = Pipeline::new();
        for key in [generation_of_concert(concert_id), GENERATION_OF_PAGES.to_owned()] {
            renew
                .cmd("SET")
                .arg(key)
                .arg(&Uuid::new_v4().as_bytes()[..])
                .arg("EX")
                .arg(GENERATION_SECONDS)
                .ignore();
        }
        if let Err(error) = self.bounded(renew.exec_async(&mut redis)).await {
            self.health.distrust(self.config.ttl + LONGEST_LOAD);
            metrics::counter!("concert_cache_invalidations_failed_total").increment(1);
            tracing::warn!(%error, "Redis was not told of a change: reading from Postgres until old entries are over");
        }
    }

    async fn bounded<T>(
        &self,
        command: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        tokio::time::timeout(self.config.timeout, command)
            .await
            .unwrap_or_else(|_| {
                Err(RedisError::from(std::io::Error::from(
                    std::io::ErrorKind::TimedOut,
                )))
            })
    }
}

impl Health {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a reader may go to Redis. After a pause one goes first: the others wait for what it finds.
    fn let_in(&self, pause: Duration) -> bool {
        let now = self.now_ms();
        if now < self.distrusted_until.load(Ordering::Acquire) {
            return false;
        }
        let paused_until = self.paused_until.load(Ordering::Acquire);
        if paused_until == 0 {
            return true;
        }
        now >= paused_until
            && self
                .paused_until
                .compare_exchange(
                    paused_until,
                    end_of(now, pause),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
    }

    fn note(&self, answered: bool, pause: Duration) {
        let until = if answered { 0 } else { end_of(self.now_ms(), pause) };
        self.paused_until.store(until, Ordering::Release);
    }

    fn distrust(&self, span: Duration) {
        self.distrusted_until
            .fetch_max(end_of(self.now_ms(), span), Ordering::AcqRel);
    }
}

// Never 0, which means no pause.
fn end_of(now_ms: u64, span: Duration) -> u64 {
    now_ms
        .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health {
            started: Instant::now(),
            paused_until: AtomicU64::new(0),
            distrusted_until: AtomicU64::new(0),
        }
    }

    #[test]
    fn after_a_failure_nobody_goes_until_the_pause_is_over_and_then_one() {
        let health = health();
        let long = Duration::from_secs(3_600);
        assert!(health.let_in(long));
        health.note(false, long);
        assert!(!health.let_in(long));
        health.note(false, Duration::ZERO);
        // Even at the very first millisecond the pause has an end that is not yet over.
        while health.now_ms() < 2 {
            std::hint::spin_loop();
        }
        assert!(health.let_in(long), "the one who tries");
        assert!(!health.let_in(long), "the others");
        health.note(true, long);
        assert!(health.let_in(long));
    }

    #[test]
    fn a_redis_that_missed_a_change_is_not_trusted_even_when_it_answers() {
        let health = health();
        health.distrust(Duration::from_secs(3_600));
        health.note(true, Duration::from_secs(1));
        assert!(!health.let_in(Duration::from_secs(1)));
    }

    #[test]
    fn another_search_is_another_entry() {
        let search = |query: &str, limit| Search {
            query: query.to_owned(),
            after: None,
            limit,
        };
        let keys =
            [search("a", 1), search("a", 2), search("b", 1)].map(|search| Subject::Search(&search).key());
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    }
}

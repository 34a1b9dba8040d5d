//! The fast answer "taken": a lock per seat in Redis, in front of Postgres.
//!
//! A lock never decides a sale, it only spares Postgres the losers. Without Redis every hold goes to Postgres, which
//! decides alone; a lock that outlives its hold refuses until its own TTL at most. All locks of a date share a hash tag,
//! so one script can take several of them in a cluster too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use redis::Script;
use redis::aio::ConnectionManager;
use sha2::{Digest as _, Sha256};
use vocabulary::{ReservationId, ScheduleId, SeatId, UserId};

/// How long Redis is left alone after it failed; then one caller tries it for all.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// How long a sold seat is marked; after that Postgres answers for it.
const SOLD: Duration = Duration::from_hours(1);

// A lock's value is the reservation's id (36 characters) and, after a colon, the mark of the request behind it.

// KEYS: seats. ARGV: value, TTL in ms, mark. Answers the positions (from 1) of seats that others have, or -1 alone when
// this same request has them.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local owners = redis.call('MGET', unpack(KEYS))
        local taken = {}
        for position = 1, #KEYS do
            local owner = owners[position]
            if owner then
                if ARGV[3] ~= '' and string.sub(owner, 38) == ARGV[3] then return {-1} end
                taken[#taken + 1] = position
            end
        end
        if #taken == 0 then
            for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
        end
        return taken
        ",
    )
});

// KEYS: seats. ARGV: value, TTL in ms, whether to take what nobody has. Prolongs what is ours; another's stays another's.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local owners = redis.call('MGET', unpack(KEYS))
        for position, key in ipairs(KEYS) do
            local owner = owners[position]
            local ours = owner and string.sub(owner, 1, 36) == string.sub(ARGV[1], 1, 36)
            if ours or (not owner and ARGV[3] == 'free') then
                redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
            end
        end
        return 0
        ",
    )
});

// KEYS: seats. ARGV: reservation id. Compare and delete.
static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local owners = redis.call('MGET', unpack(KEYS))
        for position, key in ipairs(KEYS) do
            local owner = owners[position]
            if owner and string.sub(owner, 1, 36) == ARGV[1] then redis.call('DEL', key) end
        end
        return 0
        ",
    )
});

/// What asking for locks came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockOutcome {
    /// All are ours.
    Locked,
    /// These are others'; none is ours.
    Taken(Vec<SeatId>),
    /// The same request, sent twice, has them: Postgres makes the second wait for the first.
    SameRequest,
    /// Redis does not answer: Postgres decides alone.
    Skipped,
}

/// Who asks for locks.
#[derive(Debug, Clone)]
pub struct LockOwner {
    reservation_id: ReservationId,
    mark: String,
}

impl LockOwner {
    /// A reservation, and the idempotency key under which its user asked for it.
    #[must_use]
    pub fn new(reservation_id: ReservationId, user_id: UserId, idempotency_key: Option<&str>) -> Self {
        let mark = idempotency_key.map_or_else(String::new, |key| {
            let mut hash = Sha256::new();
            hash.update(user_id.as_uuid().as_bytes());
            hash.update(key);
            let hash = hash.finalize();
            hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
        });
        Self { reservation_id, mark }
    }

    fn value(&self) -> String {
        format!("{}:{}", self.reservation_id, self.mark)
    }
}

/// The locks. Clones share the connection and what is known of its health.
#[derive(Clone)]
pub struct SeatLocks {
    redis: ConnectionManager,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

impl std::fmt::Debug for SeatLocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeatLocks").finish_non_exhaustive()
    }
}

impl SeatLocks {
    /// Locks in this Redis; one that takes longer than `timeout` costs more than it spares and counts as away.
    #[must_use]
    pub fn new(redis: ConnectionManager, timeout: Duration) -> Self {
        Self {
            redis,
            timeout,
            breaker: Arc::new(Breaker::new()),
        }
    }

    /// Takes the locks of all seats or of none, for `ttl` at most.
    pub async fn take(
        &self,
        owner: &LockOwner,
        schedule_id: ScheduleId,
        seats: &[SeatId],
        ttl: Duration,
    ) -> LockOutcome {
        let mut script = TAKE.prepare_invoke();
        for seat in seats {
            script.key(key(schedule_id, *seat));
        }
        script
            .arg(owner.value())
            .arg(millis(ttl))
            .arg(owner.mark.as_str());
        let Some(positions) = self.run::<Vec<i64>>(&script).await else {
            metrics::counter!("booking_seat_locks_total", "outcome" => "skipped").increment(1);
            return LockOutcome::Skipped;
        };
        let outcome = match positions.as_slice() {
            [] => LockOutcome::Locked,
            [-1] => LockOutcome::SameRequest,
            positions => {
                let seat = |position: &i64| seats.get(usize::try_from(position - 1).ok()?).copied();
                LockOutcome::Taken(positions.iter().filter_map(seat).collect())
            }
        };
        let word = match outcome {
            LockOutcome::Locked => "locked",
            LockOutcome::Taken(_) => "taken",
            LockOutcome::SameRequest => "same_request",
            LockOutcome::Skipped => "skipped",
        };
        metrics::counter!("booking_seat_locks_total", "outcome" => word).increment(1);
        outcome
    }

    /// Keeps the locks of a hold that is committed, for the rest of its time.
    pub async fn keep(&self, owner: &LockOwner, schedule_id: ScheduleId, seats: &[SeatId], ttl: Duration) {
        self.prolong(owner, schedule_id, seats, ttl, "free").await;
    }

    /// Marks seats as sold, as far as their hold's locks are there: a mark that comes late, after its reservation was
    /// canceled, would keep seats from being sold again.
    pub async fn mark_sold(&self, reservation_id: ReservationId, schedule_id: ScheduleId, seats: &[SeatId]) {
        let owner = LockOwner {
            reservation_id,
            mark: String::new(),
        };
        self.prolong(&owner, schedule_id, seats, SOLD, "ours").await;
    }

    async fn prolong(
        &self,
        owner: &LockOwner,
        schedule_id: ScheduleId,
        seats: &[SeatId],
        ttl: Duration,
        which: &str,
    ) {
        let mut script = KEEP.prepare_invoke();
        for seat in seats {
            script.key(key(schedule_id, *seat));
        }
        script.arg(owner.value()).arg(millis(ttl)).arg(which);
        self.run::<i64>(&script).await;
    }

    /// Gives the locks of a reservation back; what others have stays theirs.
    pub async fn give_back(&self, reservation_id: ReservationId, schedule_id: ScheduleId, seats: &[SeatId]) {
        let mut script = GIVE_BACK.prepare_invoke();
        for seat in seats {
            script.key(key(schedule_id, *seat));
        }
        script.arg(reservation_id.to_string());
        self.run::<i64>(&script).await;
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &redis::ScriptInvocation<'_>) -> Option<T> {
        if !self.breaker.lets_through() {
            return None;
        }
        let mut redis = self.redis.clone();
        let error = match tokio::time::timeout(self.timeout, script.invoke_async(&mut redis)).await {
            Ok(Ok(answer)) => {
                self.breaker.heal();
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        self.breaker.trip();
        tracing::debug!(error, "Redis does not answer; Postgres decides alone");
        None
    }
}

fn key(schedule_id: ScheduleId, seat_id: SeatId) -> String {
    format!("booking:seat:{{{schedule_id}}}:{seat_id}")
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Keeps a dead Redis from costing every hold its timeout.
#[derive(Debug)]
struct Breaker {
    since: Instant,
    // Milliseconds after `since` until which Redis is left alone; 0 while it is well.
    until_ms: AtomicU64,
}

impl Breaker {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            until_ms: AtomicU64::new(0),
        }
    }

    /// Whether the caller may ask Redis. When the time of rest is over, one caller may, and the others rest on.
    fn lets_through(&self) -> bool {
        let until = self.until_ms.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = self.now_ms();
        now >= until
            && self
                .until_ms
                .compare_exchange(
                    until,
                    now + millis(LEFT_ALONE),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    fn trip(&self) {
        self.until_ms
            .store(self.now_ms() + millis(LEFT_ALONE), Ordering::Relaxed);
    }

    fn heal(&self) {
        self.until_ms.store(0, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_that_tripped_lets_nobody_through_until_its_rest_is_over() {
        let breaker = Breaker::new();
        assert!(breaker.lets_through());
        breaker.trip();
        assert!(!breaker.lets_through());
        breaker.until_ms.store(1, Ordering::Relaxed);
        assert!(
            breaker.lets_through() && !breaker.lets_through(),
            "one tries for all"
        );
        breaker.heal();
        assert!(breaker.lets_through() && breaker.lets_through());
    }

    #[test]
    fn only_the_same_user_with_the_same_key_is_the_same_request() {
        let (user, other) = (UserId::new(), UserId::new());
        let mark = |user, key| LockOwner::new(ReservationId::new(), user, key).mark;
        assert_eq!(mark(user, Some("a")), mark(user, Some("a")));
        assert_ne!(mark(user, Some("a")), mark(user, Some("b")));
        assert_ne!(mark(user, Some("a")), mark(other, Some("a")));
        assert_eq!(mark(user, None), "");
    }
}

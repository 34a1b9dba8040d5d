//! Attempts, counted for all replicas by a time each key (the generic cell rate algorithm).

use std::time::Duration;

use service_kit::database::begin;

use super::{Store, StoreError, seconds};
use crate::domain::{Allowance, AttemptKey};

/// What one attempt takes from one allowance.
#[derive(Debug, Clone, Copy)]
pub struct Take {
    /// What is counted by.
    pub key: AttemptKey,
    /// What is allowed.
    pub allowance: Allowance,
    /// Not counted where this was made known before.
    pub unless_known: Option<AttemptKey>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// It may be made; these were counted.
    Allowed(Vec<AttemptKey>),
    /// It may not be made before this time is over; nothing was counted.
    Refused(Duration),
}

impl Store {
    /// Counts an attempt against each of these allowances, or against none when one is used up.
    pub async fn attempt(&self, takes: &[Take]) -> Result<Attempted, StoreError> {
        // In one order, so that two attempts never wait for each other.
        let mut takes = takes.to_vec();
        takes.sort_by_key(|take| take.key);
        let keys: Vec<_> = takes.iter().map(|take| take.key.as_bytes().to_vec()).collect();
        let known: Vec<_> = takes
            .iter()
            .map(|take| {
                take.unless_known
                    .map_or_else(Vec::new, |key| key.as_bytes().to_vec())
            })
            .collect();
        let intervals: Vec<_> = takes
            .iter()
            .map(|take| seconds(take.allowance.interval()))
            .collect();
        let windows: Vec<_> = takes.iter().map(|take| seconds(take.allowance.window)).collect();

        let mut transaction = begin(&self.pool).await?;
        // An allowance that is used up leaves its row as it is; the join tells which were asked for.
        let rows = sqlx::query!(
            r#"
            WITH asked AS (
                SELECT asked.key, asked.interval_seconds, asked.window_seconds
                FROM unnest($1::bytea[], $2::bytea[], $3::float8[], $4::float8[])
                     AS asked (key, known, interval_seconds, window_seconds)
                WHERE NOT EXISTS (SELECT FROM known_addresses k
                                  WHERE k.key = asked.known AND k.known_until > frontrow_now())
            ), taken AS (
                INSERT INTO attempts AS a (key, full_at)
                SELECT key, frontrow_now() + make_interval(secs => interval_seconds) FROM asked ORDER BY key
                ON CONFLICT (key) DO UPDATE
                SET full_at = greatest(a.full_at, frontrow_now()) + (excluded.full_at - frontrow_now())
                WHERE a.full_at + (excluded.full_at - frontrow_now()) <= frontrow_now() + (
                    SELECT make_interval(secs => window_seconds) FROM asked WHERE asked.key = excluded.key)
                RETURNING key
            )
            SELECT asked.key AS "key!", taken.key IS NOT NULL AS "taken!",
                   extract(epoch FROM a.full_at + make_interval(secs => interval_seconds - window_seconds)
                           - frontrow_now())::float8 AS wait_seconds
            FROM asked LEFT JOIN taken USING (key) LEFT JOIN attempts a ON a.key = asked.key
            "#,
            &keys,
            &known,
            &intervals,
            &windows,
        )
        .fetch_all(&mut *transaction)
        .await?;

        if rows.iter().all(|row| row.taken) {
            transaction.commit().await?;
            let taken = |take: &&Take| rows.iter().any(|row| row.key == take.key.as_bytes());
            return Ok(Attempted::Allowed(
                takes.iter().filter(taken).map(|take| take.key).collect(),
            ));
        }
        transaction.rollback().await?;
        let waits = rows.iter().filter(|row| !row.taken);
        // A row of the very moment is not seen by the join: its wait is the shortest there is.
        let longest = waits.filter_map(|row| row.wait_seconds).fold(1.0_f64, f64::max);
        Ok(Attempted::Refused(Duration::from_secs_f64(longest)))
    }

    /// Gives back what an attempt took, and knows its address from now on.
    pub async fn attempt_succeeded(
        &self,
        taken: &[(AttemptKey, Duration)],
        known: AttemptKey,
        known_for: Duration,
    ) -> Result<(), StoreError> {
        let mut taken = taken.to_vec();
        taken.sort_by_key(|(key, _)| *key);
        let keys: Vec<_> = taken.iter().map(|(key, _)| key.as_bytes().to_vec()).collect();
        let intervals: Vec<_> = taken.iter().map(|(_, interval)| seconds(*interval)).collect();
        sqlx::query!(
            r#"
            WITH taken AS (
                SELECT a.key, make_interval(secs => interval_seconds) AS given_back
                FROM unnest($1::bytea[], $2::float8[]) AS asked (key, interval_seconds) JOIN attempts a USING (key)
                ORDER BY a.key FOR UPDATE OF a
            ), given_back AS (
                UPDATE attempts a SET full_at = a.full_at - taken.given_back FROM taken WHERE a.key = taken.key
            )
            INSERT INTO known_addresses AS k (key, known_until)
            VALUES ($3, frontrow_now() + make_interval(secs => $4))
            ON CONFLICT (key) DO UPDATE SET known_until = excluded.known_until
            -- Once a day is often enough.
            WHERE k.known_until < excluded.known_until - interval '1 day'
            "#,
            &keys,
            &intervals,
            known.as_bytes(),
            seconds(known_for),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes up to `limit` rows of each kind that say nothing any more; answers how many in all.
    pub async fn delete_lapsed_attempts(&self, limit: u32) -> Result<u64, StoreError> {
        let attempts = sqlx::query!(
            "DELETE FROM attempts WHERE key IN (
                 SELECT key FROM attempts WHERE full_at <= frontrow_now()
                 ORDER BY full_at LIMIT $1 FOR UPDATE SKIP LOCKED)",
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        let addresses = sqlx::query!(
            "DELETE FROM known_addresses WHERE key IN (
                 SELECT key FROM known_addresses WHERE known_until <= frontrow_now()
                 ORDER BY known_until LIMIT $1 FOR UPDATE SKIP LOCKED)",
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(attempts.rows_affected().max(addresses.rows_affected()))
    }
}

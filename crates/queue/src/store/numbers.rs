//! Numbers in Postgres: which may have been given, which were called and when, and what an empty Redis must know.

use std::collections::BTreeMap;
use std::time::Duration;

use service_kit::database::begin;
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber, UserId};

use super::answers::Block;
use super::visits::{StoreError, VisitStore, number, sql, stop_admissions};
use crate::domain::{NumberRange, VisitState};

/// Old calls that one pruning deletes.
const PRUNE_LIMIT: i64 = 1_000;

/// What Redis alone counts, as it last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighWater {
    /// Every number up to this one was given.
    pub issued_to: QueueNumber,
    /// Turns that were missed.
    pub lapsed: u64,
}

/// What an empty Redis must know of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    /// The new epoch.
    pub epoch: i64,
    /// Every number up to this one was called.
    pub serving: QueueNumber,
    /// Numbers are given after this one.
    pub reserved_to: QueueNumber,
    /// The numbers whose visits take a place.
    pub pages: Vec<QueueNumber>,
    /// Turns that were missed.
    pub lapsed: u64,
    /// The numbers called within the claim window that nobody has claimed, and when they were called by the room's clock.
    pub called: Vec<(QueueNumber, OffsetDateTime)>,
    /// The numbers that were given up before their turn.
    pub left: Vec<QueueNumber>,
    /// Who has a live visit, and from which number.
    pub users: Vec<(UserId, QueueNumber)>,
}

impl VisitStore {
    /// Reserves `size` numbers after a block, unless that was done; answers the block up to all that is reserved.
    /// `None`: the epoch is over, or people gather and get no numbers yet.
    ///
    /// # Errors
    /// The database is away.
    pub async fn reserve_numbers(
        &self,
        concert: ConcertId,
        after: Block,
        size: u32,
    ) -> Result<Option<Block>, StoreError> {
        let reserved_to = sqlx::query_scalar!(
            "UPDATE rooms SET reserved_to = greatest(reserved_to, $3)
            WHERE concert_id = $1 AND epoch = $2 AND stage <> 'LOBBY' RETURNING reserved_to",
            concert.as_uuid(),
            after.epoch,
            sql(after.last).saturating_add(size.into()),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(reserved_to.map(|last| Block {
            last: number(last),
            ..after
        }))
    }

    /// Promise 12: commits that numbers are called, before anybody is told, and answers when that was by the room's clock.
    /// `None`: somebody else has moved the line, the epoch is over, or the room is paused.
    ///
    /// # Errors
    /// The database is away; it may have been committed.
    pub async fn commit_call(
        &self,
        concert: ConcertId,
        epoch: i64,
        range: NumberRange,
        told: HighWater,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let called_at = sqlx::query_scalar!(
            "WITH moved AS (
                UPDATE rooms SET serving = $4, issued_to = greatest(issued_to, $5), lapsed = greatest(lapsed, $6)
                WHERE concert_id = $1 AND epoch = $2 AND serving = $3 AND mode <> 'PAUSED'
                RETURNING concert_id, room_clock(rooms) AS called_at
            )
            INSERT INTO calls (concert_id, after_number, to_number, called_at)
            SELECT concert_id, $3, $4, called_at FROM moved RETURNING called_at",
            concert.as_uuid(),
            epoch,
            sql(range.after),
            sql(range.to),
            sql(told.issued_to),
            told.lapsed.cast_signed(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(called_at)
    }

    /// Keeps the turn of a called number from now on, whatever becomes of Redis: its user came and found no place.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep_turn(&self, concert: ConcertId, kept: QueueNumber) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO kept_turns (concert_id, number, kept_at)
            SELECT concert_id, $2, room_clock(rooms) FROM rooms WHERE concert_id = $1
            ON CONFLICT (concert_id, number) DO UPDATE SET kept_at = greatest(kept_turns.kept_at, excluded.kept_at)",
            concert.as_uuid(),
            sql(kept),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes what Redis has come to, so that fewer numbers are in doubt after its loss, and no lapse is forgotten.
    ///
    /// # Errors
    /// The database is away.
    pub async fn note(&self, concert: ConcertId, epoch: i64, told: HighWater) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE rooms SET issued_to = greatest(issued_to, $3), lapsed = greatest(lapsed, $4)
            WHERE concert_id = $1 AND epoch = $2 AND (issued_to < $3 OR lapsed < $4)",
            concert.as_uuid(),
            epoch,
            sql(told.issued_to),
            told.lapsed.cast_signed(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Of every room, the ranges of numbers that a lost Redis may have given: one a loss, in order.
    ///
    /// # Errors
    /// The database is away.
    pub async fn doubtful_numbers(&self) -> Result<BTreeMap<ConcertId, Vec<NumberRange>>, StoreError> {
        let rows = sqlx::query!(
            "SELECT concert_id, after_number, to_number FROM doubtful_numbers ORDER BY concert_id, to_number"
        )
        .fetch_all(&self.pool)
        .await?;
        let mut ranges: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in rows {
            let range = NumberRange {
                after: number(row.after_number),
                to: number(row.to_number),
            };
            ranges
                .entry(ConcertId::from_uuid(row.concert_id))
                .or_default()
                .push(range);
        }
        Ok(ranges)
    }

    /// Begins a new epoch: places claimed under the old one can no longer become visits, and what Redis must know is
    /// read after every visit that could. `None`: there is no such room.
    ///
    /// # Errors
    /// The database is away; the epoch may have begun.
    pub async fn begin_epoch(
        &self,
        concert: ConcertId,
        claim_window: Duration,
    ) -> Result<Option<Filling>, StoreError> {
        let mut tx = begin(&self.pool).await?;
        stop_admissions(&mut tx, concert).await?;
        let before = sqlx::query!(
            "SELECT issued_to, reserved_to FROM rooms WHERE concert_id = $1 FOR UPDATE",
            concert.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(before) = before else { return Ok(None) };
        if before.issued_to < before.reserved_to {
            sqlx::query!(
                "INSERT INTO doubtful_numbers (concert_id, after_number, to_number) VALUES ($1, $2, $3)",
                concert.as_uuid(),
                before.issued_to,
                before.reserved_to,
            )
            .execute(&mut *tx)
            .await?;
        }
        let room = sqlx::query!(
            r#"UPDATE rooms SET epoch = epoch + 1, issued_to = reserved_to WHERE concert_id = $1
            RETURNING epoch, serving, reserved_to, lapsed, room_clock(rooms) AS "clock!""#,
            concert.as_uuid()
        )
        .fetch_one(&mut *tx)
        .await?;
        let live = sqlx::query!(
            "SELECT user_id, number, state FROM visits WHERE concert_id = $1 AND state IN ('PAGE', 'PAYMENT')",
            concert.as_uuid()
        )
        .fetch_all(&mut *tx)
        .await?;
        let left = sqlx::query_scalar!(
            "SELECT number FROM visits WHERE concert_id = $1 AND number > $2",
            concert.as_uuid(),
            room.serving,
        )
        .fetch_all(&mut *tx)
        .await?;
        let called = sqlx::query!(
            r#"SELECT t.number AS "number!", max(t.called_at) AS "called_at!" FROM (
                SELECT n, c.called_at FROM calls c, generate_series(c.after_number + 1, c.to_number) AS n
                WHERE c.concert_id = $1 AND NOT EXISTS (
                    SELECT FROM doubtful_numbers d
                    WHERE d.concert_id = c.concert_id AND d.after_number < n AND n <= d.to_number
                )
                UNION ALL SELECT k.number, k.kept_at FROM kept_turns k WHERE k.concert_id = $1
            ) AS t (number, called_at)
            WHERE t.called_at > $3::timestamptz - make_interval(secs => $2)
                AND NOT EXISTS (SELECT FROM visits v WHERE v.concert_id = $1 AND v.number = t.number)
            GROUP BY t.number"#,
            concert.as_uuid(),
            claim_window.as_secs_f64(),
            room.clock,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;

        let on_page = live.iter().filter(|row| row.state == VisitState::Page.as_str());
        Ok(Some(Filling {
            epoch: room.epoch,
            serving: number(room.serving),
            reserved_to: number(room.reserved_to),
            lapsed: room.lapsed.unsigned_abs(),
            pages: on_page.map(|row| number(row.number)).collect(),
            called: called
                .into_iter()
                .map(|row| (number(row.number), row.called_at))
                .collect(),
            left: left.into_iter().map(number).collect(),
            users: live
                .iter()
                .map(|row| (UserId::from_uuid(row.user_id), number(row.number)))
                .collect(),
        }))
    }

    /// Deletes calls and kept turns older than `kept_for` by their room's clock, which nobody may answer any more. Answers
    /// whether more are left.
    ///
    /// # Errors
    /// The database is away.
    pub async fn prune_calls(&self, kept_for: Duration) -> Result<bool, StoreError> {
        let calls = sqlx::query!(
            "DELETE FROM calls WHERE ctid IN (
                SELECT c.ctid FROM calls c JOIN rooms r USING (concert_id)
                -- No room's clock is ahead of time: the first condition finds them by age.
                WHERE c.called_at < frontrow_now() - make_interval(secs => $1)
                    AND c.called_at < room_clock(r) - make_interval(secs => $1)
                ORDER BY c.called_at LIMIT $2
            )",
            kept_for.as_secs_f64(),
            PRUNE_LIMIT,
        )
        .execute(&self.pool)
        .await?;
        let turns = sqlx::query!(
            "DELETE FROM kept_turns WHERE ctid IN (
                SELECT k.ctid FROM kept_turns k JOIN rooms r USING (concert_id)
                WHERE k.kept_at < frontrow_now() - make_interval(secs => $1)
                    AND k.kept_at < room_clock(r) - make_interval(secs => $1)
                ORDER BY k.kept_at LIMIT $2
            )",
            kept_for.as_secs_f64(),
            PRUNE_LIMIT,
        )
        .execute(&self.pool)
        .await?;
        Ok(calls.rows_affected().max(turns.rows_affected()) == PRUNE_LIMIT.unsigned_abs())
    }
}

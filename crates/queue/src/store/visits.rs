//! Visits in Postgres: what holds whatever becomes of Redis. Every deadline is decided by `frontrow_now()`.
//!
//! Lock order: the lock of the room's admissions, then the room's row, then its draw's, then the lobby's, then visits. Who
//! admits a visit shares the first; who must see every admission begun before (a new epoch, changed settings, the settling
//! of claims) has it alone. What is read under a lock is read by a later statement, so that it is not older than the lock.

use std::time::Duration;

use service_kit::database::{Failure, begin, classify};
use sqlx::migrate::Migrator;
use sqlx::{PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber, UserId, VisitId};

use super::answers::Claimed;
use super::rooms::RoomRow;
use crate::domain::{Event, HOLD_LEASE, Place, Visit, VisitState};

/// The schema of this service.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Pages that one sweep ends.
const SWEEP_LIMIT: i64 = 1_000;

/// Postgres did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away or overloaded: come again.
    #[error("the database is away")]
    Unavailable(#[source] sqlx::Error),
    /// A fault of ours.
    #[error("the database refused a statement")]
    Bug(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match classify(&error) {
            Failure::Unavailable | Failure::Conflict => Self::Unavailable(error),
            Failure::Bug => Self::Bug(error),
        }
    }
}

/// What came of admitting a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The visit is committed.
    Admitted {
        /// The visit.
        visit: Visit,
        /// When, by the store's time.
        now: OffsetDateTime,
    },
    /// The place was counted under another epoch or a larger capacity, the room is paused, the claim's time is over, or
    /// the number or the user has a visit. Nothing was changed, and nothing will be.
    Refused,
}

/// What came of an event that a visit was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The visit has moved.
    Moved(Ended),
    /// It does not apply any more.
    TooLate,
    /// There is no such visit.
    Unknown,
}

/// A visit that left its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The concert.
    pub concert_id: ConcertId,
    /// Whose visit.
    pub user_id: UserId,
    /// The place in line that it came from.
    pub number: QueueNumber,
}

/// Rooms and visits in Postgres. Clones share the pool.
#[derive(Debug, Clone)]
pub struct VisitStore {
    pub(super) pool: PgPool,
}

struct VisitRow {
    visit_id: uuid::Uuid,
    user_id: uuid::Uuid,
    number: i64,
    state: String,
    page_ends_at: Option<OffsetDateTime>,
    hold_lease_until: Option<OffsetDateTime>,
}

struct EndedRow {
    concert_id: uuid::Uuid,
    user_id: uuid::Uuid,
    number: i64,
}

impl From<EndedRow> for Ended {
    fn from(row: EndedRow) -> Self {
        Self {
            concert_id: ConcertId::from_uuid(row.concert_id),
            user_id: UserId::from_uuid(row.user_id),
            number: number(row.number),
        }
    }
}

impl TryFrom<VisitRow> for Visit {
    type Error = StoreError;

    fn try_from(row: VisitRow) -> Result<Self, Self::Error> {
        Ok(Self {
            visit_id: VisitId::from_uuid(row.visit_id),
            user_id: UserId::from_uuid(row.user_id),
            number: number(row.number),
            state: row.state.parse().map_err(unreadable)?,
            page_ends_at: row.page_ends_at,
            hold_lease_until: row.hold_lease_until,
        })
    }
}

impl VisitStore {
    /// Kept behind these connections.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A room together with one of its numbers. `None`: there is no such room.
    ///
    /// # Errors
    /// The database is away.
    pub async fn look_up(
        &self,
        concert: ConcertId,
        looked_up: QueueNumber,
    ) -> Result<Option<Place>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT r.capacity, r.admit_per_second, r.opens_at, r.mode, r.stage, r.drawn_to, r.serving,
                r.issued_to, r.reserved_to, r.epoch, r.lapsed, room_clock(r) AS "clock!",
                frontrow_now() AS "now!", v.visit_id AS "visit_id?", v.user_id AS "user_id?", v.state AS "state?",
                v.page_ends_at, v.hold_lease_until, greatest(c.called_at, k.kept_at) AS called_at
            FROM rooms r
            LEFT JOIN visits v ON v.concert_id = r.concert_id AND v.number = $2
            LEFT JOIN LATERAL (
                SELECT after_number, called_at FROM calls
                WHERE concert_id = r.concert_id AND to_number >= $2 ORDER BY to_number LIMIT 1
            ) c ON c.after_number < $2
            LEFT JOIN kept_turns k ON k.concert_id = r.concert_id AND k.number = $2
            WHERE r.concert_id = $1"#,
            concert.as_uuid(),
            sql(looked_up),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let visit = match (row.visit_id, row.user_id, row.state) {
            (Some(visit_id), Some(user_id), Some(state)) => Some(VisitRow {
                visit_id,
                user_id,
                number: sql(looked_up),
                state,
                page_ends_at: row.page_ends_at,
                hold_lease_until: row.hold_lease_until,
            }),
            _ => None,
        };
        let room = RoomRow {
            concert_id: concert.as_uuid(),
            capacity: row.capacity,
            admit_per_second: row.admit_per_second,
            opens_at: row.opens_at,
            mode: row.mode,
            stage: row.stage,
            drawn_to: row.drawn_to,
            serving: row.serving,
            issued_to: row.issued_to,
            reserved_to: row.reserved_to,
            epoch: row.epoch,
            lapsed: row.lapsed,
            clock: row.clock,
            now: row.now,
        };
        Ok(Some(Place {
            room: room.try_into()?,
            visit: visit.map(Visit::try_from).transpose()?,
            called_at: row.called_at,
        }))
    }

    /// Admits a visit on a place that was claimed: it is committed only if that place still counts.
    ///
    /// # Errors
    /// The database is away; the visit may have been committed.
    pub async fn admit(
        &self,
        concert: ConcertId,
        user: UserId,
        admitted: QueueNumber,
        claimed: &Claimed,
        page: Duration,
    ) -> Result<Admission, StoreError> {
        let mut tx = begin(&self.pool).await?;
        sqlx::query!(
            "SELECT pg_advisory_xact_lock_shared(admission_lock($1))",
            concert.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query!(
            r#"INSERT INTO visits (visit_id, concert_id, user_id, number, state, admitted_at, page_ends_at)
            SELECT $1, r.concert_id, $3, $4, 'PAGE', frontrow_now(), frontrow_now() + make_interval(secs => $5)
            FROM rooms r
            WHERE r.concert_id = $2 AND r.epoch = $6 AND r.capacity >= $7 AND r.mode <> 'PAUSED' AND frontrow_now() < $8
            ON CONFLICT DO NOTHING
            RETURNING visit_id, user_id, number, state, admitted_at AS "now!", page_ends_at, hold_lease_until"#,
            VisitId::new().as_uuid(),
            concert.as_uuid(),
            user.as_uuid(),
            sql(admitted),
            page.as_secs_f64(),
            claimed.epoch,
            claimed.capacity.cast_signed(),
            claimed.valid_until,
        )
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else {
            return Ok(Admission::Refused);
        };
        let visit = VisitRow {
            visit_id: row.visit_id,
            user_id: row.user_id,
            number: row.number,
            state: row.state,
            page_ends_at: row.page_ends_at,
            hold_lease_until: row.hold_lease_until,
        };
        Ok(Admission::Admitted {
            visit: visit.try_into()?,
            now: row.now,
        })
    }

    /// The user's live visit of a concert, as it is kept.
    ///
    /// # Errors
    /// The database is away.
    pub async fn live_visit(&self, concert: ConcertId, user: UserId) -> Result<Option<Visit>, StoreError> {
        let row = sqlx::query_as!(
            VisitRow,
            "SELECT visit_id, user_id, number, state, page_ends_at, hold_lease_until FROM visits
            WHERE concert_id = $1 AND user_id = $2 AND state IN ('PAGE', 'PAYMENT')",
            concert.as_uuid(),
            user.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Visit::try_from).transpose()
    }

    /// Of these numbers, those that have a visit. No claim that was valid before this call can add one after it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn settle_claims(
        &self,
        concert: ConcertId,
        numbers: &[QueueNumber],
    ) -> Result<Vec<QueueNumber>, StoreError> {
        let numbers: Vec<i64> = numbers.iter().copied().map(sql).collect();
        let mut tx = begin(&self.pool).await?;
        stop_admissions(&mut tx, concert).await?;
        let admitted = sqlx::query_scalar!(
            "SELECT number FROM visits WHERE concert_id = $1 AND number = ANY($2)",
            concert.as_uuid(),
            &numbers,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(admitted.into_iter().map(number).collect())
    }

    /// Spares the page while a hold is made, if it is open; answers the visit and the time.
    ///
    /// # Errors
    /// The database is away.
    pub async fn lease_hold(
        &self,
        concert: ConcertId,
        leased: QueueNumber,
    ) -> Result<Option<Visit>, StoreError> {
        let row = sqlx::query_as!(
            VisitRow,
            "UPDATE visits SET hold_lease_until = frontrow_now() + make_interval(secs => $3), version = version + 1
            WHERE concert_id = $1 AND number = $2 AND state = ANY($4) AND page_ends_at > frontrow_now()
            RETURNING visit_id, user_id, number, state, page_ends_at, hold_lease_until",
            concert.as_uuid(),
            sql(leased),
            HOLD_LEASE.as_secs_f64(),
            &VisitState::allowing(Event::HoldMade),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Visit::try_from).transpose()
    }

    /// The visit made a hold; a page whose time is over did not.
    ///
    /// # Errors
    /// The database is away.
    pub async fn end_page(&self, visit: VisitId) -> Result<Transition, StoreError> {
        let moved = sqlx::query_as!(
            EndedRow,
            "UPDATE visits SET state = 'PAYMENT', hold_lease_until = NULL, version = version + 1
            WHERE visit_id = $1 AND state = ANY($2) AND greatest(page_ends_at, hold_lease_until) > frontrow_now()
            RETURNING concert_id, user_id, number",
            visit.as_uuid(),
            &VisitState::allowing(Event::HoldMade),
        )
        .fetch_optional(&self.pool)
        .await?;
        match moved {
            Some(row) => Ok(Transition::Moved(row.into())),
            None => self.too_late_or_unknown(visit).await,
        }
    }

    /// The holds of these visits ended, and with them those visits that were not over.
    ///
    /// # Errors
    /// The database is away.
    pub async fn end_visits(&self, visits: &[(VisitId, Event)]) -> Result<Vec<Ended>, StoreError> {
        let mut visits = visits.to_vec();
        visits.sort_unstable();
        let ids: Vec<_> = visits.iter().map(|(visit, _)| visit.as_uuid()).collect();
        let paid: Vec<_> = visits.iter().map(|(_, event)| *event == Event::Paid).collect();
        // Rows are locked in the order of their ids, so that no two calls wait for each other.
        let rows = sqlx::query_as!(
            EndedRow,
            r#"WITH wanted AS MATERIALIZED (
                   SELECT * FROM unnest($1::uuid[], $2::boolean[]) AS wanted (visit_id, paid)
               )
               UPDATE visits AS v
               SET state = CASE WHEN paid THEN $3 ELSE $4 END, hold_lease_until = NULL,
                   ended_at = (SELECT frontrow_now()), version = version + 1
               FROM wanted
               WHERE v.visit_id = wanted.visit_id AND v.state = ANY(CASE WHEN paid THEN $5::text[] ELSE $6::text[] END)
               RETURNING concert_id, user_id, number"#,
            &ids,
            &paid,
            VisitState::Completed.as_str(),
            VisitState::Expired.as_str(),
            &VisitState::allowing(Event::Paid),
            &VisitState::allowing(Event::HoldEnded),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Ended::from).collect())
    }

    async fn too_late_or_unknown(&self, visit: VisitId) -> Result<Transition, StoreError> {
        let known = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM visits WHERE visit_id = $1) AS "known!""#,
            visit.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(if known {
            Transition::TooLate
        } else {
            Transition::Unknown
        })
    }

    /// The user gives a place up: before the turn it is never admitted, on the page the visit is over, later nothing
    /// changes. Answers whether the number is over by this call.
    ///
    /// # Errors
    /// The database is away.
    pub async fn give_up(
        &self,
        concert: ConcertId,
        user: UserId,
        given_up: QueueNumber,
    ) -> Result<bool, StoreError> {
        let changed = sqlx::query!(
            "INSERT INTO visits (visit_id, concert_id, user_id, number, state, ended_at)
            SELECT $1, r.concert_id, $3, $4, 'EXPIRED', frontrow_now() FROM rooms r
            WHERE r.concert_id = $2 AND $4 <= r.reserved_to
            ON CONFLICT (concert_id, number) DO UPDATE SET state = 'EXPIRED', hold_lease_until = NULL,
                ended_at = frontrow_now(), version = visits.version + 1
            WHERE visits.state = ANY($5)",
            VisitId::new().as_uuid(),
            concert.as_uuid(),
            user.as_uuid(),
            sql(given_up),
            &VisitState::allowing(Event::Leave),
        )
        .execute(&self.pool)
        .await?;
        Ok(changed.rows_affected() > 0)
    }

    /// Ends pages whose time is over and that no hold in the making spares. At most [`SWEEP_LIMIT`] at once.
    ///
    /// # Errors
    /// The database is away.
    pub async fn expire_pages(&self) -> Result<Vec<Ended>, StoreError> {
        let rows = sqlx::query_as!(
            EndedRow,
            "UPDATE visits SET state = 'EXPIRED', hold_lease_until = NULL, ended_at = frontrow_now(),
                version = version + 1
            WHERE state = ANY($1) AND visit_id IN (
                SELECT visit_id FROM visits
                WHERE state = 'PAGE' AND page_ends_at <= frontrow_now()
                    AND (hold_lease_until IS NULL OR hold_lease_until <= frontrow_now())
                ORDER BY page_ends_at LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            RETURNING concert_id, user_id, number",
            &VisitState::allowing(Event::PageTimeOver),
            SWEEP_LIMIT,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Ended::from).collect())
    }

    /// Of these numbers, those whose visit is on no page.
    ///
    /// # Errors
    /// The database is away.
    pub async fn off_page(
        &self,
        concert: ConcertId,
        numbers: &[QueueNumber],
    ) -> Result<Vec<QueueNumber>, StoreError> {
        let numbers: Vec<i64> = numbers.iter().copied().map(sql).collect();
        let off = sqlx::query_scalar!(
            r#"SELECT n AS "n!" FROM unnest($2::bigint[]) AS n
            WHERE NOT EXISTS (
                SELECT FROM visits v WHERE v.concert_id = $1 AND v.number = n AND v.state = 'PAGE'
            )"#,
            concert.as_uuid(),
            &numbers,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(off.into_iter().map(number).collect())
    }
}

/// Waits for who is being let in; until the transaction ends nobody else is.
pub(super) async fn stop_admissions(
    tx: &mut Transaction<'_, Postgres>,
    concert: ConcertId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(admission_lock($1))",
        concert.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) const fn number(value: i64) -> QueueNumber {
    QueueNumber(value.unsigned_abs())
}

/// A number past what can be kept was never given: the largest stands for it.
pub(super) fn sql(number: QueueNumber) -> i64 {
    i64::try_from(number.0).unwrap_or(i64::MAX)
}

/// What a row says that it cannot say: the constraints were circumvented.
pub(super) fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Bug(sqlx::Error::Decode(error.into()))
}

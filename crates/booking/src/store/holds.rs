//! Holds: one transaction that takes every seat or none.

use std::time::Duration;

use service_kit::database::begin;
use sqlx::PgConnection;
use time::OffsetDateTime;
use vocabulary::{Amount, QueueNumber, ReservationId, SEATS_PER_USER, SeatId, UserId, VisitId};

use super::visit_outbox::HELD_BY_ITS_WRITER;
use super::{NoticeId, Store, StoreError};
use crate::domain::{Schedule, ScheduledSeat};

/// A hold that is to be made.
#[derive(Debug)]
pub struct NewHold<'a> {
    /// The id it will have.
    pub reservation_id: ReservationId,
    /// Whose it will be.
    pub user_id: UserId,
    /// The visit that makes it.
    pub visit_id: VisitId,
    /// The visit's place in line.
    pub queue_number: QueueNumber,
    /// The date.
    pub schedule: &'a Schedule,
    /// Its seats, in the order of their ids: two holds that overlap never wait for each other.
    pub seats: &'a [&'a ScheduledSeat],
    /// The sum of their prices.
    pub total: Amount,
    /// How long it is kept unpaid.
    pub keep: Duration,
    /// Under which key it was asked for, and the hash of what was asked for.
    pub idempotency: Option<(&'a str, [u8; 32])>,
    /// The trace that it belongs to.
    pub trace_parent: Option<&'a str>,
}

/// What became of a hold.
#[derive(Debug, PartialEq, Eq)]
pub enum HoldOutcome {
    /// All seats are held.
    Held {
        /// When it was made.
        created_at: OffsetDateTime,
        /// When it lapses.
        expires_at: OffsetDateTime,
        /// What queue must be told; this process has some seconds to do so before the relay does.
        page_ended: NoticeId,
    },
    /// The key was used for the same request, which made this.
    Answered(ReservationId),
    /// The key was used for another request.
    KeyReused,
    /// The sale of the date is closed.
    SaleClosed,
    /// The date was canceled.
    ScheduleCanceled,
    /// The visit made its hold before.
    VisitUsed,
    /// The user would have more seats of the date than allowed.
    CapExceeded,
    /// These seats have an owner.
    Taken(Vec<SeatId>),
}

impl Store {
    /// What a key stands for: `None` when it was not used, else the reservation, or [`HoldOutcome::KeyReused`].
    pub async fn idempotent_answer(
        &self,
        user_id: UserId,
        key: &str,
        request_hash: &[u8; 32],
    ) -> Result<Option<HoldOutcome>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        answer(&mut connection, user_id, key, request_hash).await
    }

    /// Makes a hold, or says who or what was in its way.
    ///
    /// Where something is, nothing is written. Callers that race wait in Postgres for one another's end.
    pub async fn hold(&self, hold: &NewHold<'_>) -> Result<HoldOutcome, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let outcome = take(&mut transaction, hold).await?;
        if matches!(outcome, HoldOutcome::Held { .. }) {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(outcome)
    }

    /// Forgets keys of requests that were answered a day ago; at most `limit` at once.
    pub async fn purge_idempotency(&self, limit: u32) -> Result<u64, StoreError> {
        let purged = sqlx::query!(
            "WITH old AS ( \
                 SELECT user_id, key FROM idempotency WHERE created_at < frontrow_now() - interval '24 hours' \
                 ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED \
             ) \
             DELETE FROM idempotency AS row USING old WHERE row.user_id = old.user_id AND row.key = old.key",
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(purged.rows_affected())
    }
}

async fn take(connection: &mut PgConnection, hold: &NewHold<'_>) -> Result<HoldOutcome, StoreError> {
    if let Some((key, request_hash)) = &hold.idempotency {
        let noted = sqlx::query!(
            "INSERT INTO idempotency (user_id, key, request_hash, reservation_id) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
            hold.user_id.as_uuid(),
            key,
            request_hash.as_slice(),
            hold.reservation_id.as_uuid(),
        )
        .execute(&mut *connection)
        .await?;
        if noted.rows_affected() == 0
            && let Some(outcome) = answer(connection, hold.user_id, key, request_hash).await?
        {
            return Ok(outcome);
        }
    }

    let currency = hold.schedule.currency();
    let Some(made) = sqlx::query!(
        r#"WITH made AS (
               INSERT INTO reservations (reservation_id, schedule_id, concert_id, user_id, visit_id, queue_number,
                                         total, currency, created_at, expires_at, lapses_at)
               SELECT $1, $2, $3, $4, $5, $6, $7, $8, now.t, now.t + make_interval(secs => $9),
                      now.t + make_interval(secs => $9)
               FROM (SELECT frontrow_now() AS t) AS now
               WHERE sale_is_open($2)
               ON CONFLICT (visit_id) DO NOTHING
               RETURNING reservation_id, visit_id, created_at, expires_at
           ), reminded AS (
               INSERT INTO expiry_outbox (reservation_id, expires_at, trace_parent)
               SELECT reservation_id, expires_at, $10 FROM made
           ), told AS (
               INSERT INTO visit_outbox (visit_id, notice, leased_until)
               SELECT visit_id, 'PAGE_ENDED', frontrow_now() + make_interval(secs => $11) FROM made
               RETURNING notice_id
           )
           SELECT created_at, expires_at, notice_id FROM made, told"#,
        hold.reservation_id.as_uuid(),
        hold.schedule.schedule_id().as_uuid(),
        hold.schedule.concert_id().as_uuid(),
        hold.user_id.as_uuid(),
        hold.visit_id.as_uuid(),
        i64::try_from(hold.queue_number.0).unwrap_or(i64::MAX),
        hold.total.get(),
        currency.as_str(),
        hold.keep.as_secs_f64(),
        hold.trace_parent,
        HELD_BY_ITS_WRITER.as_secs_f64(),
    )
    .fetch_optional(&mut *connection)
    .await?
    else {
        let date = sqlx::query!(
            r#"SELECT closed_at IS NOT NULL AS "closed!", canceled_at IS NOT NULL AS "canceled!"
               FROM schedules WHERE schedule_id = $1"#,
            hold.schedule.schedule_id().as_uuid(),
        )
        .fetch_one(&mut *connection)
        .await?;
        return Ok(if date.canceled {
            HoldOutcome::ScheduleCanceled
        } else if date.closed {
            HoldOutcome::SaleClosed
        } else {
            HoldOutcome::VisitUsed
        });
    };

    let asked = i32::try_from(hold.seats.len()).unwrap_or(i32::MAX);
    let counted = sqlx::query!(
        "INSERT INTO user_schedule_seats AS counted (user_id, schedule_id, held) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, schedule_id) DO UPDATE SET held = counted.held + excluded.held \
         WHERE counted.held + excluded.held <= $4",
        hold.user_id.as_uuid(),
        hold.schedule.schedule_id().as_uuid(),
        asked,
        i32::try_from(SEATS_PER_USER).unwrap_or(i32::MAX),
    )
    .execute(&mut *connection)
    .await?;
    if counted.rows_affected() == 0 {
        return Ok(HoldOutcome::CapExceeded);
    }

    let seat_ids: Vec<_> = hold.seats.iter().map(|seat| seat.seat_id.as_uuid()).collect();
    let indexes: Vec<_> = hold
        .seats
        .iter()
        .map(|seat| i32::try_from(seat.index.0).unwrap_or(i32::MAX))
        .collect();
    let grades: Vec<_> = hold
        .seats
        .iter()
        .map(|seat| seat.grade.as_str().to_owned())
        .collect();
    let prices: Vec<_> = hold.seats.iter().map(|seat| seat.price.get()).collect();
    // No conflict target: the statement takes what the unique index lets it take, and would take anything without it.
    let taken = sqlx::query_scalar!(
        "INSERT INTO reservation_seats (reservation_id, schedule_id, seat_id, seat_index, grade, price) \
         SELECT $1, $2, seat.* FROM unnest($3::uuid[], $4::integer[], $5::text[], $6::bigint[]) AS seat \
         ON CONFLICT DO NOTHING RETURNING seat_id",
        hold.reservation_id.as_uuid(),
        hold.schedule.schedule_id().as_uuid(),
        &seat_ids,
        &indexes,
        &grades,
        &prices,
    )
    .fetch_all(&mut *connection)
    .await?;
    if taken.len() < seat_ids.len() {
        let missing = seat_ids.into_iter().filter(|seat_id| !taken.contains(seat_id));
        return Ok(HoldOutcome::Taken(missing.map(SeatId::from_uuid).collect()));
    }
    Ok(HoldOutcome::Held {
        created_at: made.created_at,
        expires_at: made.expires_at,
        page_ended: NoticeId(made.notice_id),
    })
}

async fn answer(
    connection: &mut PgConnection,
    user_id: UserId,
    key: &str,
    request_hash: &[u8; 32],
) -> Result<Option<HoldOutcome>, StoreError> {
    let noted = sqlx::query!(
        "SELECT request_hash, reservation_id FROM idempotency WHERE user_id = $1 AND key = $2",
        user_id.as_uuid(),
        key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(noted.map(|noted| {
        if noted.request_hash == request_hash {
            HoldOutcome::Answered(ReservationId::from_uuid(noted.reservation_id))
        } else {
            HoldOutcome::KeyReused
        }
    }))
}

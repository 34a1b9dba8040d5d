//! What is canceled: paid reservations for a refund, dates, and the holds of canceled dates.

use std::time::Duration;

use service_kit::database::begin;
use time::OffsetDateTime;
use vocabulary::{RefundId, ScheduleId};

use super::seats_back::{Freed, give_seats_back};
use super::transitions::fence;
use super::{Store, StoreError, unsigned};
use crate::domain::{Cancellation, Lifecycle, Reservation, State};

impl Store {
    /// `CONFIRMED -> CANCELED` as `wanted`, and the seats on sale again. The guard repeats the refund policy's rule for
    /// what was asked for at `asked_at`: where another share goes back by now, or the date was canceled since, nothing is
    /// written. Once a date is canceled, what gives all back does so for good.
    pub async fn cancel(
        &self,
        before: &Reservation,
        wanted: &Cancellation,
        asked_at: Option<OffsetDateTime>,
    ) -> Result<Option<(Lifecycle, Freed)>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let row = sqlx::query!(
            r#"UPDATE reservations
               SET state = 'CANCELED', version = version + 1, refund_id = $3, canceled_at = frontrow_now(),
                   refund_percent = $4, with_schedule = $5
               WHERE reservation_id = $1 AND state = 'CONFIRMED' AND version = $2
                     AND date_is_canceled(schedule_id) = $5 AND ($5 OR refund_share(schedule_id, $6) = $4)
               RETURNING version, canceled_at AS "canceled_at!""#,
            before.id.as_uuid(),
            fence(before.lifecycle.version),
            wanted.refund_id.as_uuid(),
            i32::from(wanted.percent.get()),
            wanted.with_schedule,
            asked_at,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let freed = give_seats_back(&mut transaction, &[before.id.as_uuid()])
            .await?
            .pop();
        let freed = freed.ok_or(StoreError::Row("a reservation without seats"))?;
        transaction.commit().await?;
        let after = Lifecycle {
            state: State::Canceled(Some(Cancellation {
                canceled_at: row.canceled_at,
                ..*wanted
            })),
            version: unsigned(row.version, "reservations.version")?,
            ..before.lifecycle
        };
        Ok(Some((after, freed)))
    }

    /// Notes that the money of a refund is back.
    pub async fn complete_refund(
        &self,
        before: &Reservation,
        refund_id: RefundId,
    ) -> Result<Option<Lifecycle>, StoreError> {
        let refunded_at = sqlx::query_scalar!(
            r#"UPDATE reservations SET refunded_at = frontrow_now()
               WHERE reservation_id = $1 AND state = 'CANCELED' AND version = $2 AND refund_id = $3
                     AND refunded_at IS NULL
               RETURNING refunded_at AS "refunded_at!""#,
            before.id.as_uuid(),
            fence(before.lifecycle.version),
            refund_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(refunded_at.map(|refunded_at| Lifecycle {
            state: State::Canceled(before.cancellation().map(|cancellation| Cancellation {
                refunded_at: Some(refunded_at),
                ..cancellation
            })),
            ..before.lifecycle
        }))
    }

    /// Cancels a date, which ends its sale; answers when it was first canceled, `None` when it was never opened.
    ///
    /// Waits for holds, payments and cancellations that are being written, and keeps out those that come after.
    pub async fn cancel_schedule(
        &self,
        schedule_id: ScheduleId,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(sale_lock($1))",
            schedule_id.as_uuid()
        )
        .execute(&mut *transaction)
        .await?;
        let canceled_at = sqlx::query_scalar!(
            r#"UPDATE schedules SET canceled_at = coalesce(canceled_at, frontrow_now()),
                                    closed_at = coalesce(closed_at, frontrow_now())
               WHERE schedule_id = $1 RETURNING canceled_at AS "canceled_at!""#,
            schedule_id.as_uuid(),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(canceled_at)
    }

    /// `PENDING -> CANCELED` for at most `limit` holds of dates that were canceled less than `within` ago; one that has
    /// lapsed is expiry's. What somebody else works on is left to them.
    pub async fn give_up_holds(&self, within: Duration, limit: u32) -> Result<Vec<Freed>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let given_up = sqlx::query_scalar!(
            "WITH held AS ( \
                 SELECT reservation_id FROM reservations \
                 WHERE schedule_id = ANY (ARRAY ( \
                           SELECT schedule_id FROM schedules \
                           WHERE canceled_at > frontrow_now() - make_interval(secs => $1) \
                       )) AND state = 'PENDING' AND lapses_at > frontrow_now() \
                 LIMIT $2 FOR UPDATE SKIP LOCKED \
             ) \
             UPDATE reservations AS r SET state = 'CANCELED', version = version + 1, lapses_at = NULL \
             FROM held WHERE r.reservation_id = held.reservation_id AND state = 'PENDING' \
             RETURNING r.reservation_id",
            within.as_secs_f64(),
            i64::from(limit),
        )
        .fetch_all(&mut *transaction)
        .await?;
        let freed = if given_up.is_empty() {
            Vec::new()
        } else {
            give_seats_back(&mut transaction, &given_up).await?
        };
        transaction.commit().await?;
        Ok(freed)
    }
}

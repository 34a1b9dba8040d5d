//! The end of a date's sale, and of the date itself: an intention that is kept first, then told to the booking service
//! until it has answered.

use std::time::Duration;

use serde_json::json;
use service_kit::database::begin;
use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{ScheduleId, UserId};

use super::audit::note;
use super::schedules::{RefRow, ScheduleRef};
use super::{Store, StoreError, interval};
use crate::domain::audit::Act;
use crate::domain::concert::Schedule;

pub(super) struct DateRow {
    pub(super) schedule_id: Uuid,
    pub(super) starts_at: OffsetDateTime,
    pub(super) closed_at: Option<OffsetDateTime>,
    pub(super) canceled_at: Option<OffsetDateTime>,
}

impl From<DateRow> for Schedule {
    fn from(row: DateRow) -> Self {
        Self {
            schedule_id: ScheduleId::from_uuid(row.schedule_id),
            starts_at: row.starts_at,
            // Nobody buys what was canceled, closed before or not.
            closed_at: row.closed_at.or(row.canceled_at),
            canceled_at: row.canceled_at,
        }
    }
}

impl Store {
    /// Notes that the sale of a date is to end, once; `false` when there is no such date on sale of this organiser. For
    /// `lease` nobody else tells the booking service.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask_to_close(
        &self,
        organiser_id: UserId,
        date: ScheduleRef,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let asked = sqlx::query!(
            "UPDATE schedules SET closing_at = frontrow_now(), leased_until = frontrow_now() + $4
             FROM concerts
             WHERE schedule_id = $1 AND schedules.concert_id = $2 AND schedules.state = 'ON_SALE' AND closing_at IS NULL
               AND concerts.concert_id = schedules.concert_id AND concerts.organiser_id = $3",
            date.schedule_id.as_uuid(),
            date.concert_id.as_uuid(),
            organiser_id.as_uuid(),
            interval(lease),
        )
        .execute(&mut *transaction)
        .await?;
        if asked.rows_affected() == 1 {
            let target = date.schedule_id.as_uuid();
            let details = json!({ "concertId": date.concert_id });
            note(
                &mut transaction,
                organiser_id,
                Act::ScheduleClosed,
                target,
                details,
            )
            .await?;
            transaction.commit().await?;
            return Ok(true);
        }
        let asked_before = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM schedules JOIN concerts USING (concert_id)
                              WHERE schedule_id = $1 AND concert_id = $2 AND organiser_id = $3
                                AND closing_at IS NOT NULL) AS "asked_before!""#,
            date.schedule_id.as_uuid(),
            date.concert_id.as_uuid(),
            organiser_id.as_uuid(),
        )
        .fetch_one(&mut *transaction)
        .await?;
        Ok(asked_before)
    }

    /// Leases the closing that waited longest; `None` when none waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_next_closing(&self, lease: Duration) -> Result<Option<ScheduleRef>, StoreError> {
        let row = sqlx::query_as!(
            RefRow,
            "UPDATE schedules SET leased_until = frontrow_now() + $1
             WHERE schedule_id = (SELECT schedule_id FROM schedules
                                  WHERE closing_at IS NOT NULL AND closed_at IS NULL
                                    AND leased_until <= frontrow_now()
                                  ORDER BY leased_until LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING schedule_id, concert_id",
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// Notes when the sale ended; answers the date.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_closed(
        &self,
        schedule_id: ScheduleId,
        closed_at: OffsetDateTime,
    ) -> Result<Schedule, StoreError> {
        let row = sqlx::query_as!(
            DateRow,
            "UPDATE schedules SET closed_at = coalesce(closed_at, $2)
             WHERE schedule_id = $1 AND closing_at IS NOT NULL
             RETURNING schedule_id, starts_at, closed_at, canceled_at",
            schedule_id.as_uuid(),
            closed_at,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.into())
    }

    /// Notes that a date is to be canceled, once; `false` when there is no such date on sale of this organiser. For
    /// `lease` nobody else tells the booking service.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask_to_cancel(
        &self,
        organiser_id: UserId,
        date: ScheduleRef,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let asked = sqlx::query!(
            "UPDATE schedules SET canceling_at = frontrow_now(), leased_until = frontrow_now() + $4
             FROM concerts
             WHERE schedule_id = $1 AND schedules.concert_id = $2 AND schedules.state = 'ON_SALE' AND canceling_at IS NULL
               AND concerts.concert_id = schedules.concert_id AND concerts.organiser_id = $3",
            date.schedule_id.as_uuid(),
            date.concert_id.as_uuid(),
            organiser_id.as_uuid(),
            interval(lease),
        )
        .execute(&mut *transaction)
        .await?;
        if asked.rows_affected() == 1 {
            let target = date.schedule_id.as_uuid();
            let details = json!({ "concertId": date.concert_id });
            note(
                &mut transaction,
                organiser_id,
                Act::ScheduleCanceled,
                target,
                details,
            )
            .await?;
            transaction.commit().await?;
            return Ok(true);
        }
        // A connection is not held while another is asked for.
        transaction.rollback().await?;
        let asked_before = self.is_told_of_cancellation(organiser_id, date).await?;
        Ok(asked_before.is_some())
    }

    /// Whether the booking service has canceled the date; `None` when nobody asked for that, or there is no such date of
    /// this organiser.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_told_of_cancellation(
        &self,
        organiser_id: UserId,
        date: ScheduleRef,
    ) -> Result<Option<bool>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT canceled_at IS NOT NULL AS "told!" FROM schedules JOIN concerts USING (concert_id)
               WHERE schedule_id = $1 AND concert_id = $2 AND organiser_id = $3 AND canceling_at IS NOT NULL"#,
            date.schedule_id.as_uuid(),
            date.concert_id.as_uuid(),
            organiser_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Leases the cancellation that waited longest; `None` when none waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_next_cancellation(&self, lease: Duration) -> Result<Option<ScheduleRef>, StoreError> {
        let row = sqlx::query_as!(
            RefRow,
            "UPDATE schedules SET leased_until = frontrow_now() + $1
             WHERE schedule_id = (SELECT schedule_id FROM schedules
                                  WHERE canceling_at IS NOT NULL AND canceled_at IS NULL
                                    AND leased_until <= frontrow_now()
                                  ORDER BY leased_until LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING schedule_id, concert_id",
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// Notes when the date was canceled; answers the date.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_canceled(
        &self,
        schedule_id: ScheduleId,
        canceled_at: OffsetDateTime,
    ) -> Result<Schedule, StoreError> {
        let row = sqlx::query_as!(
            DateRow,
            "UPDATE schedules SET canceled_at = coalesce(canceled_at, $2)
             WHERE schedule_id = $1 AND canceling_at IS NOT NULL
             RETURNING schedule_id, starts_at, closed_at, canceled_at",
            schedule_id.as_uuid(),
            canceled_at,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.into())
    }
}

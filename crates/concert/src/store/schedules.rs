//! Dates: made, put on sale.

use std::time::Duration;

use serde_json::json;
use service_kit::database::begin;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use vocabulary::{ConcertId, ScheduleId, UserId};

use super::audit::note;
use super::catalogue::refund_policy;
use super::idempotency::claim;
use super::{Creation, Lease, Once, Store, StoreError, interval};
use crate::domain::audit::Act;
use crate::domain::concert::MAX_SCHEDULES;
use crate::domain::refund_policy::RefundPolicy;

/// A date to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewSchedule {
    /// Its id.
    pub schedule_id: ScheduleId,
    /// A listed concert of `organiser_id`.
    pub concert_id: ConcertId,
    /// Who adds it.
    pub organiser_id: UserId,
    /// When it begins.
    pub starts_at: OffsetDateTime,
}

/// Why a date was not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotCreated {
    /// There is no such concert, it is not listed, or it is somebody else's.
    #[error("there is no such concert")]
    NoSuchConcert,
    /// It begins in the past.
    #[error("the date is not in the future")]
    NotInFuture,
    /// The concert has [`MAX_SCHEDULES`].
    #[error("the concert has as many dates as it may have")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for NotCreated {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Which date of which concert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleRef {
    /// The date.
    pub schedule_id: ScheduleId,
    /// Its concert.
    pub concert_id: ConcertId,
}

/// What a date is sold under, beside its layout.
#[derive(Debug)]
pub struct SaleTerms {
    /// When it begins.
    pub starts_at: OffsetDateTime,
    /// What goes back to whoever cancels.
    pub refund_policy: RefundPolicy,
}

pub(super) struct RefRow {
    pub(super) schedule_id: Uuid,
    pub(super) concert_id: Uuid,
}

impl From<RefRow> for ScheduleRef {
    fn from(row: RefRow) -> Self {
        Self {
            schedule_id: ScheduleId::from_uuid(row.schedule_id),
            concert_id: ConcertId::from_uuid(row.concert_id),
        }
    }
}

impl Store {
    /// Keeps a date in state OPENING, leased to the caller for `lease`.
    ///
    /// # Errors
    /// Why not.
    pub async fn create_schedule(
        &self,
        once: Option<&Once>,
        schedule: &NewSchedule,
        lease: Duration,
    ) -> Result<Creation<ScheduleId>, NotCreated> {
        let mut transaction = begin(&self.pool).await?;
        if let Creation::Before(id) = claim(&mut transaction, once, schedule.schedule_id.as_uuid()).await? {
            return Ok(Creation::Before(ScheduleId::from_uuid(id)));
        }
        // The lock keeps two requests from both being the last that fits.
        sqlx::query_scalar!(
            "SELECT concert_id FROM concerts
             WHERE concert_id = $1 AND organiser_id = $2 AND state = 'LISTED' FOR NO KEY UPDATE",
            schedule.concert_id.as_uuid(),
            schedule.organiser_id.as_uuid(),
        )
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(NotCreated::NoSuchConcert)?;
        let dates = sqlx::query_scalar!(
            r#"SELECT count(*) AS "dates!" FROM schedules WHERE concert_id = $1"#,
            schedule.concert_id.as_uuid(),
        )
        .fetch_one(&mut *transaction)
        .await?;
        if dates >= MAX_SCHEDULES {
            return Err(NotCreated::TooMany);
        }
        let inserted = sqlx::query!(
            "INSERT INTO schedules (schedule_id, concert_id, starts_at, state, leased_until)
             SELECT $1, $2, $3::timestamptz, 'OPENING', frontrow_now() + $4 WHERE $3 > frontrow_now()",
            schedule.schedule_id.as_uuid(),
            schedule.concert_id.as_uuid(),
            schedule.starts_at,
            interval(lease),
        )
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Err(NotCreated::NotInFuture);
        }
        let details = json!({
            "concertId": schedule.concert_id,
            "startsAt": schedule.starts_at.format(&Rfc3339).unwrap_or_default(),
        });
        note(
            &mut transaction,
            schedule.organiser_id,
            Act::ScheduleCreated,
            schedule.schedule_id.as_uuid(),
            details,
        )
        .await?;
        transaction.commit().await?;
        Ok(Creation::Now)
    }

    /// What a date is, or is to be, sold under; `None` when there is no such date.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sale_terms(&self, schedule_id: ScheduleId) -> Result<Option<SaleTerms>, StoreError> {
        let row = sqlx::query!(
            "SELECT starts_at, refund_hours, refund_percents FROM schedules JOIN concerts USING (concert_id)
             WHERE schedule_id = $1",
            schedule_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SaleTerms {
            starts_at: row.starts_at,
            refund_policy: refund_policy(&row.refund_hours, &row.refund_percents)?,
        }))
    }

    /// Leases the opening of one date.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_schedule(
        &self,
        schedule_id: ScheduleId,
        lease: Duration,
    ) -> Result<Lease<ScheduleRef>, StoreError> {
        let row = sqlx::query_as!(
            RefRow,
            "UPDATE schedules SET leased_until = frontrow_now() + $2
             WHERE schedule_id = $1 AND state = 'OPENING' AND leased_until <= frontrow_now()
             RETURNING schedule_id, concert_id",
            schedule_id.as_uuid(),
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = row {
            return Ok(Lease::Taken(row.into()));
        }
        let unfinished = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM schedules WHERE schedule_id = $1 AND state = 'OPENING') AS "unfinished!""#,
            schedule_id.as_uuid(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(if unfinished { Lease::Busy } else { Lease::Finished })
    }

    /// Leases the opening of the date that waited longest; `None` when none waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_next_schedule(&self, lease: Duration) -> Result<Option<ScheduleRef>, StoreError> {
        let row = sqlx::query_as!(
            RefRow,
            "UPDATE schedules SET leased_until = frontrow_now() + $1
             WHERE schedule_id = (SELECT schedule_id FROM schedules
                                  WHERE state = 'OPENING' AND leased_until <= frontrow_now()
                                  ORDER BY leased_until LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING schedule_id, concert_id",
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// Gives the lease back; the next try may begin after `pause`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_schedule(&self, schedule_id: ScheduleId, pause: Duration) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE schedules SET leased_until = frontrow_now() + $2 WHERE schedule_id = $1 AND state = 'OPENING'",
            schedule_id.as_uuid(),
            interval(pause),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// OPENING -> ON_SALE.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_on_sale(&self, schedule_id: ScheduleId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE schedules SET state = 'ON_SALE' WHERE schedule_id = $1 AND state = 'OPENING'",
            schedule_id.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

//! The reservation machine's steps, each as one guarded `UPDATE`; the two of every payment that goes well have files of their
//! own, as those that meet share a statement.
//!
//! A guard repeats `domain`'s rule on the row as it is at that instant. Where it fails nothing is written and the answer
//! is `None`: somebody else was first, and the caller looks again.

use service_kit::database::begin;
use time::OffsetDateTime;
use vocabulary::PaymentId;

use super::seats_back::{Freed, give_seats_back};
use super::{Store, StoreError, unsigned};
use crate::domain::{Lifecycle, Reservation, State};

/// What one batch of expiry did.
#[derive(Debug, Default)]
pub struct Expired {
    /// What lapsed, oldest first.
    pub freed: Vec<Freed>,
    /// The earliest end still ahead.
    pub next_due_at: Option<OffsetDateTime>,
}

impl Store {
    /// `PAYING` stays, and does not lapse any more.
    pub async fn mark_payment_unknown(
        &self,
        before: &Reservation,
        payment: PaymentId,
    ) -> Result<Option<Lifecycle>, StoreError> {
        let updated = sqlx::query!(
            "UPDATE reservations SET payment_unknown = true, lapses_at = NULL \
             WHERE reservation_id = $1 AND state = 'PAYING' AND version = $2 AND payment_id = $3 \
                   AND NOT date_is_canceled(schedule_id)",
            before.id.as_uuid(),
            fence(before.lifecycle.version),
            payment.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        Ok((updated.rows_affected() == 1).then_some(Lifecycle {
            state: State::Paying {
                payment,
                lapses_at: None,
            },
            ..before.lifecycle
        }))
    }

    /// `PAYING -> PENDING` while time is left, else `PAYING -> EXPIRED`, or `CANCELED` with its date; the next card attempt
    /// has another number.
    pub async fn release_payment(
        &self,
        before: &Reservation,
        payment: PaymentId,
    ) -> Result<Option<(Lifecycle, Option<Freed>)>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let Some(row) = sqlx::query!(
            r#"UPDATE reservations AS r
               SET state = after.state, lapses_at = CASE after.state WHEN 'PENDING' THEN expires_at END,
                   version = version + 1, attempt = attempt + 1, payment_id = NULL, released_payment_id = $3,
                   paying_since = NULL, payment_unknown = false
               FROM (SELECT reservation_id AS id,
                            CASE WHEN date_is_canceled(schedule_id) THEN 'CANCELED'
                                 WHEN expires_at > frontrow_now() THEN 'PENDING' ELSE 'EXPIRED' END AS state
                     FROM reservations WHERE reservation_id = $1) AS after
               WHERE reservation_id = after.id AND r.state = 'PAYING' AND version = $2 AND payment_id = $3
               RETURNING r.state, version, attempt"#,
            before.id.as_uuid(),
            fence(before.lifecycle.version),
            payment.as_uuid(),
        )
        .fetch_optional(&mut *transaction)
        .await?
        else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let state = match row.state.as_str() {
            "PENDING" => State::Pending,
            "CANCELED" => State::Canceled(None),
            _ => State::Expired,
        };
        let freed = if state == State::Pending {
            None
        } else {
            give_seats_back(&mut transaction, &[before.id.as_uuid()])
                .await?
                .pop()
        };
        transaction.commit().await?;
        let after = Lifecycle {
            state,
            version: unsigned(row.version, "reservations.version")?,
            attempt: unsigned(row.attempt, "reservations.attempt")?,
            released_payment: Some(payment),
            ..before.lifecycle
        };
        Ok(Some((after, freed)))
    }

    /// `PENDING -> CANCELED` by its owner, and the seats on sale again.
    pub async fn release(&self, before: &Reservation) -> Result<Option<(Lifecycle, Freed)>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let version = sqlx::query_scalar!(
            "UPDATE reservations SET state = 'CANCELED', version = version + 1, lapses_at = NULL \
             WHERE reservation_id = $1 AND state = 'PENDING' AND version = $2 RETURNING version",
            before.id.as_uuid(),
            fence(before.lifecycle.version),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(version) = version else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let freed = give_seats_back(&mut transaction, &[before.id.as_uuid()])
            .await?
            .pop();
        let freed = freed.ok_or(StoreError::Row("a reservation without seats"))?;
        transaction.commit().await?;
        let after = Lifecycle {
            state: State::Canceled(None),
            version: unsigned(version, "reservations.version")?,
            ..before.lifecycle
        };
        Ok(Some((after, freed)))
    }

    /// `PENDING | PAYING -> EXPIRED` for at most `limit` reservations that are due. What somebody else works on is
    /// left to them.
    pub async fn expire_due(&self, limit: u32) -> Result<Expired, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        let expired = sqlx::query_scalar!(
            "WITH due AS ( \
                 SELECT reservation_id FROM reservations WHERE lapses_at <= frontrow_now() \
                 ORDER BY lapses_at LIMIT $1 FOR UPDATE SKIP LOCKED \
             ) \
             UPDATE reservations AS r \
             SET state = 'EXPIRED', version = version + 1, lapses_at = NULL, payment_id = NULL, paying_since = NULL, \
                 released_payment_id = coalesce(payment_id, released_payment_id), \
                 attempt = attempt + CASE state WHEN 'PAYING' THEN 1 ELSE 0 END \
             FROM due \
             WHERE r.reservation_id = due.reservation_id AND state IN ('PENDING', 'PAYING') \
             RETURNING r.reservation_id",
            i64::from(limit),
        )
        .fetch_all(&mut *transaction)
        .await?;
        let freed = if expired.is_empty() {
            Vec::new()
        } else {
            give_seats_back(&mut transaction, &expired).await?
        };
        let next_due_at = sqlx::query_scalar!(
            "SELECT lapses_at FROM reservations WHERE lapses_at > frontrow_now() ORDER BY lapses_at LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await?
        .flatten();
        transaction.commit().await?;
        Ok(Expired { freed, next_due_at })
    }
}

pub(super) fn fence(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

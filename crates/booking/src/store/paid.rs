//! Reading what is or was paid, for those who give money back and who compare it.

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, Currency, PaymentId, ReservationId, ReservationStatus, ScheduleId, UserId};

use super::reservations::cancellation;
use super::{Store, StoreError, unsigned};
use crate::domain::Cancellation;

/// A reservation that is or was paid.
#[derive(Debug, Clone, PartialEq)]
pub struct PaidReservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is or was.
    pub user_id: UserId,
    /// The date.
    pub schedule_id: ScheduleId,
    /// The payment that made it CONFIRMED.
    pub payment: PaymentId,
    /// CONFIRMED or CANCELED.
    pub status: ReservationStatus,
    /// The sum of the seats' prices.
    pub total: Amount,
    /// What the total is in.
    pub currency: Currency,
    /// Set when CANCELED.
    pub cancellation: Option<Cancellation>,
}

/// How far the cancellation of a date has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleCancellation {
    /// When it was canceled.
    pub canceled_at: OffsetDateTime,
    /// Holds and payments under way that still have to end.
    pub unpaid_left: u32,
    /// Paid reservations whose money goes back because of it.
    pub reservations: u32,
    /// Those of them whose money is back.
    pub refunded: u32,
    /// What goes back, in the currency's smallest unit; more than one [`Amount`] may hold.
    pub amount: i64,
    /// What of it is back.
    pub amount_refunded: i64,
    /// What the amounts are in.
    pub currency: Currency,
}

impl Store {
    /// CONFIRMED reservations of canceled dates, `limit` of them from after `after` on, in the order of their ids.
    pub async fn reservations_to_refund(
        &self,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<PaidReservation>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT paid.reservation_id AS "reservation_id!", user_id AS "user_id!",
                      paid.schedule_id AS "schedule_id!", payment_id, state AS "state!", total AS "total!",
                      paid.currency AS "currency!", refund_id, paid.canceled_at, refund_percent,
                      with_schedule AS "with_schedule!", refunded_at
               FROM schedules AS s, LATERAL (
                   SELECT * FROM reservations AS r
                   WHERE r.schedule_id = s.schedule_id AND state = 'CONFIRMED' AND reservation_id > $1
                   ORDER BY reservation_id LIMIT $2
               ) AS paid
               WHERE s.canceled_at IS NOT NULL AND s.refunds_begun_at IS NULL
               ORDER BY paid.reservation_id LIMIT $2"#,
            from(after),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(PaidReservation::try_from).collect()
    }

    /// Marks at most `limit` canceled dates of which nothing is CONFIRMED any more, so that nobody looks there again.
    pub async fn note_refunds_begun(&self, limit: u32) -> Result<u64, StoreError> {
        let marked = sqlx::query!(
            "WITH done AS ( \
                 SELECT schedule_id FROM schedules AS s \
                 WHERE canceled_at IS NOT NULL AND refunds_begun_at IS NULL \
                       AND NOT EXISTS ( \
                           SELECT FROM reservations AS r WHERE r.schedule_id = s.schedule_id AND state = 'CONFIRMED' \
                       ) \
                 LIMIT $1 FOR UPDATE SKIP LOCKED \
             ) \
             UPDATE schedules AS s SET refunds_begun_at = frontrow_now() \
             FROM done WHERE s.schedule_id = done.schedule_id",
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(marked.rows_affected())
    }

    /// Reservations that are or were paid, `limit` of them from after `after` on, in the order of their ids.
    pub async fn paid_reservations(
        &self,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<PaidReservation>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT reservation_id, user_id, schedule_id, payment_id, state, total, currency, refund_id, canceled_at, \
                    refund_percent, with_schedule, refunded_at \
             FROM reservations \
             WHERE (state = 'CONFIRMED' OR refund_id IS NOT NULL) AND reservation_id > $1 \
             ORDER BY reservation_id LIMIT $2",
            from(after),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(PaidReservation::try_from).collect()
    }

    /// How far the cancellation of a date has come; `None` when it was not canceled.
    pub async fn schedule_cancellation(
        &self,
        schedule_id: ScheduleId,
    ) -> Result<Option<ScheduleCancellation>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT s.canceled_at AS "canceled_at!", s.currency, unpaid_left AS "unpaid_left!",
                      reservations AS "reservations!", refunded AS "refunded!", amount AS "amount!",
                      amount_refunded AS "amount_refunded!"
               FROM schedules AS s, LATERAL (
                   SELECT count(*) FILTER (WHERE state IN ('PENDING', 'PAYING')) AS unpaid_left,
                          count(*) FILTER (WHERE state = 'CONFIRMED' OR with_schedule) AS reservations,
                          count(*) FILTER (WHERE with_schedule AND refunded_at IS NOT NULL) AS refunded,
                          coalesce(sum(total) FILTER (WHERE state = 'CONFIRMED' OR with_schedule), 0)::bigint AS amount,
                          coalesce(sum(total) FILTER (WHERE with_schedule AND refunded_at IS NOT NULL), 0)::bigint
                              AS amount_refunded
                   FROM reservations AS r WHERE r.schedule_id = s.schedule_id AND state <> 'EXPIRED'
               ) AS counted
               WHERE s.schedule_id = $1 AND s.canceled_at IS NOT NULL"#,
            schedule_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(ScheduleCancellation {
                canceled_at: row.canceled_at,
                unpaid_left: unsigned(row.unpaid_left, "unpaid reservations")?,
                reservations: unsigned(row.reservations, "paid reservations")?,
                refunded: unsigned(row.refunded, "refunded reservations")?,
                amount: row.amount,
                amount_refunded: row.amount_refunded,
                currency: row
                    .currency
                    .parse()
                    .map_err(|_| StoreError::Row("schedules.currency"))?,
            })
        })
        .transpose()
    }
}

/// What every id of the rest is greater than; no id is nil.
fn from(after: Option<ReservationId>) -> Uuid {
    after.map_or(Uuid::nil(), |id| id.as_uuid())
}

struct Row {
    reservation_id: Uuid,
    user_id: Uuid,
    schedule_id: Uuid,
    payment_id: Option<Uuid>,
    state: String,
    total: i64,
    currency: String,
    refund_id: Option<Uuid>,
    canceled_at: Option<OffsetDateTime>,
    refund_percent: Option<i32>,
    with_schedule: bool,
    refunded_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for PaidReservation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: ReservationId::from_uuid(row.reservation_id),
            user_id: UserId::from_uuid(row.user_id),
            schedule_id: ScheduleId::from_uuid(row.schedule_id),
            payment: row
                .payment_id
                .map(PaymentId::from_uuid)
                .ok_or(StoreError::Row("reservations.payment_id"))?,
            status: row
                .state
                .parse()
                .map_err(|_| StoreError::Row("reservations.state"))?,
            total: Amount::new(row.total).map_err(|_| StoreError::Row("reservations.total"))?,
            currency: row
                .currency
                .parse()
                .map_err(|_| StoreError::Row("reservations.currency"))?,
            cancellation: cancellation(
                row.payment_id,
                row.refund_id,
                row.canceled_at,
                row.refund_percent,
                row.with_schedule,
                row.refunded_at,
            )?,
        })
    }
}

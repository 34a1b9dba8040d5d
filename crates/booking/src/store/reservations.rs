//! Reading reservations.

use std::collections::HashMap;

use service_kit::database::Batcher;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{
    Amount, ConcertId, Grade, PaymentId, QueueNumber, RefundId, ReservationId, ReservationStatus, ScheduleId,
    SeatId, UserId, VisitId,
};

use super::{Store, StoreError, unsigned};
use crate::domain::Cancellation;
use crate::domain::{Lifecycle, Moment, Percent, Reservation, ReservedSeat, State};

/// A reservation and the moment at which it stood so.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// How it stood.
    pub reservation: Reservation,
    /// When, by Postgres' clock, and how its date stood.
    pub at: Moment,
}

impl Store {
    /// One reservation, whoever owns it.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Loaded>, StoreError> {
        self.readings.call(id).await?
    }

    /// Reservations, whoever owns them, each at the place of its id.
    pub async fn reservations(&self, ids: Vec<ReservationId>) -> Vec<Result<Option<Loaded>, StoreError>> {
        let read = self.readings.call_all(ids).await.into_iter();
        read.map(|read| read?).collect()
    }

    /// A user's reservations, newest first, from after `after` on.
    pub async fn reservations_of(
        &self,
        user_id: UserId,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT r.reservation_id, schedule_id, r.concert_id, user_id, visit_id, queue_number, r.state, r.version,
                      total, r.currency, created_at, expires_at, lapses_at, payment_id, released_payment_id, attempt,
                      refund_id, r.canceled_at, refund_percent, with_schedule, refunded_at,
                      seats.ids AS "seat_ids!", seats.grades AS "grades!", seats.prices AS "prices!",
                      frontrow_now() AS "now!", s.canceled_at AS date_canceled_at
               FROM reservations AS r JOIN schedules AS s USING (schedule_id), LATERAL (
                   SELECT array_agg(seat_id ORDER BY seat_index) AS ids, array_agg(grade ORDER BY seat_index) AS grades,
                          array_agg(price ORDER BY seat_index) AS prices
                   FROM reservation_seats AS seat WHERE seat.reservation_id = r.reservation_id
               ) AS seats
               WHERE r.user_id = $1 AND r.reservation_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
               ORDER BY r.reservation_id DESC LIMIT $3"#,
            user_id.as_uuid(),
            after.map(|id| id.as_uuid()),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| Loaded::try_from(row).map(|loaded| loaded.reservation))
            .collect()
    }
}

/// Reads reservations that are wanted together.
pub(super) fn readings(pool: PgPool) -> Batcher<ReservationId, Result<Option<Loaded>, StoreError>> {
    Batcher::new(
        "booking_readings",
        |id: &ReservationId| *id,
        move |ids| {
            let pool = pool.clone();
            async move { read(&pool, &ids).await }
        },
    )
}

async fn read(
    pool: &PgPool,
    ids: &[ReservationId],
) -> Result<Vec<Result<Option<Loaded>, StoreError>>, sqlx::Error> {
    let keys: Vec<Uuid> = ids.iter().map(ReservationId::as_uuid).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT r.reservation_id, schedule_id, r.concert_id, user_id, visit_id, queue_number, r.state, r.version,
                  total, r.currency, created_at, expires_at, lapses_at, payment_id, released_payment_id, attempt,
                  refund_id, r.canceled_at, refund_percent, with_schedule, refunded_at,
                  seats.ids AS "seat_ids!", seats.grades AS "grades!", seats.prices AS "prices!",
                  (SELECT frontrow_now()) AS "now!", s.canceled_at AS date_canceled_at
           FROM reservations AS r JOIN schedules AS s USING (schedule_id), LATERAL (
               SELECT array_agg(seat_id ORDER BY seat_index) AS ids, array_agg(grade ORDER BY seat_index) AS grades,
                      array_agg(price ORDER BY seat_index) AS prices
               FROM reservation_seats AS seat WHERE seat.reservation_id = r.reservation_id
           ) AS seats
           WHERE r.reservation_id = ANY($1)"#,
        &keys,
    )
    .fetch_all(pool)
    .await?;
    let read: HashMap<Uuid, Result<Loaded, StoreError>> = rows
        .into_iter()
        .map(|row| (row.reservation_id, Loaded::try_from(row)))
        .collect();
    Ok(keys
        .iter()
        .map(|key| read.get(key).cloned().transpose())
        .collect())
}

struct Row {
    reservation_id: Uuid,
    schedule_id: Uuid,
    concert_id: Uuid,
    user_id: Uuid,
    visit_id: Uuid,
    queue_number: i64,
    state: String,
    version: i64,
    total: i64,
    currency: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    lapses_at: Option<OffsetDateTime>,
    payment_id: Option<Uuid>,
    released_payment_id: Option<Uuid>,
    attempt: i32,
    refund_id: Option<Uuid>,
    canceled_at: Option<OffsetDateTime>,
    refund_percent: Option<i32>,
    with_schedule: bool,
    refunded_at: Option<OffsetDateTime>,
    seat_ids: Vec<Uuid>,
    grades: Vec<String>,
    prices: Vec<i64>,
    now: OffsetDateTime,
    date_canceled_at: Option<OffsetDateTime>,
}

/// A cancellation from its columns, which are there all or none.
pub(super) fn cancellation(
    payment: Option<Uuid>,
    refund_id: Option<Uuid>,
    canceled_at: Option<OffsetDateTime>,
    refund_percent: Option<i32>,
    with_schedule: bool,
    refunded_at: Option<OffsetDateTime>,
) -> Result<Option<Cancellation>, StoreError> {
    let (payment, refund_id, canceled_at, percent) = match (payment, refund_id, canceled_at, refund_percent) {
        (Some(payment), Some(refund_id), Some(canceled_at), Some(percent)) => {
            (payment, refund_id, canceled_at, percent)
        }
        (_, None, ..) => return Ok(None),
        _ => return Err(StoreError::Row("reservations.refund_id")),
    };
    let percent = Percent::new(unsigned(percent, "reservations.refund_percent")?)
        .ok_or(StoreError::Row("reservations.refund_percent"))?;
    Ok(Some(Cancellation {
        payment: PaymentId::from_uuid(payment),
        refund_id: RefundId::from_uuid(refund_id),
        canceled_at,
        percent,
        with_schedule,
        refunded_at,
    }))
}

impl TryFrom<Row> for Loaded {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let payment = row.payment_id.map(PaymentId::from_uuid);
        let status: ReservationStatus = row
            .state
            .parse()
            .map_err(|_| StoreError::Row("reservations.state"))?;
        let state = match (status, payment) {
            (ReservationStatus::Pending, _) => State::Pending,
            (ReservationStatus::Paying, Some(payment)) => State::Paying {
                payment,
                lapses_at: row.lapses_at,
            },
            (ReservationStatus::Confirmed, Some(payment)) => State::Confirmed { payment },
            (ReservationStatus::Expired, _) => State::Expired,
            (ReservationStatus::Canceled, _) => State::Canceled(cancellation(
                row.payment_id,
                row.refund_id,
                row.canceled_at,
                row.refund_percent,
                row.with_schedule,
                row.refunded_at,
            )?),
            (ReservationStatus::Paying | ReservationStatus::Confirmed, None) => {
                return Err(StoreError::Row("reservations.payment_id"));
            }
        };
        let seats = row.seat_ids.into_iter().zip(row.grades).zip(row.prices);
        let seats = seats
            .map(|((seat_id, grade), price)| {
                Ok(ReservedSeat {
                    seat_id: SeatId::from_uuid(seat_id),
                    grade: Grade::try_from(grade).map_err(|_| StoreError::Row("reservation_seats.grade"))?,
                    price: Amount::new(price).map_err(|_| StoreError::Row("reservation_seats.price"))?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Self {
            reservation: Reservation {
                id: ReservationId::from_uuid(row.reservation_id),
                user_id: UserId::from_uuid(row.user_id),
                schedule_id: ScheduleId::from_uuid(row.schedule_id),
                concert_id: ConcertId::from_uuid(row.concert_id),
                visit_id: VisitId::from_uuid(row.visit_id),
                queue_number: QueueNumber(unsigned(row.queue_number, "reservations.queue_number")?),
                seats,
                total: Amount::new(row.total).map_err(|_| StoreError::Row("reservations.total"))?,
                currency: row
                    .currency
                    .parse()
                    .map_err(|_| StoreError::Row("reservations.currency"))?,
                created_at: row.created_at,
                lifecycle: Lifecycle {
                    state,
                    version: unsigned(row.version, "reservations.version")?,
                    attempt: unsigned(row.attempt, "reservations.attempt")?,
                    expires_at: row.expires_at,
                    released_payment: row.released_payment_id.map(PaymentId::from_uuid),
                },
            },
            at: Moment {
                now: row.now,
                date_canceled_at: row.date_canceled_at,
            },
        })
    }
}

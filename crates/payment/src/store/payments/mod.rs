//! Payments: every transition is one guarded update, and the money that it moves moves in the same statement. Payments that
//! meet there share it ([`Batcher`](service_kit::database::Batcher)).
//!
//! `resume_at` is the lease: whoever drives a payment keeps it ahead of now, and from then on it is anybody's. Taking a
//! payment up lets its version grow, so that a driver that was thought dead changes nothing any more.

mod begin;
mod transition;

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, PaymentId, ReservationId, UserId};

use super::{Store, StoreError, superseded_unless};
use crate::domain::{CardCharge, OrderId, Payment, PaymentKey};

pub(super) use begin::{Beginning, KEY_HOURS, beginnings};
pub use begin::{Inserted, RequestKey};
pub(super) use transition::{Made, Transition, transitions};

/// What a driver learns when it lengthens its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The provider was first asked so long ago that the buyer's session with it is over.
    pub session_over: bool,
}

struct Row {
    payment_id: Uuid,
    reservation_id: Uuid,
    user_id: Uuid,
    state: String,
    version: i64,
    points: i64,
    card_amount: i64,
    currency: String,
    order_id: Option<String>,
    payment_key: Option<String>,
    fence: Option<i64>,
    attempt: i32,
    tries: i32,
    failure_code: Option<String>,
    next_order_id: Option<String>,
    created_at: OffsetDateTime,
}

impl Row {
    fn read(self, resumed: bool) -> Result<Payment, StoreError> {
        let payment_id = self.payment_id;
        let unreadable = |column| StoreError::Unreadable {
            row: payment_id,
            column,
        };
        let order = |column, text: Option<String>| {
            text.map(|text| OrderId::new(&text))
                .transpose()
                .map_err(|_| unreadable(column))
        };
        let card_amount = Amount::new(self.card_amount).map_err(|_| unreadable("card_amount"))?;
        let card = match order("order_id", self.order_id)? {
            Some(order_id) => Some(CardCharge {
                amount: card_amount,
                order_id,
                payment_key: self
                    .payment_key
                    .map(|key| PaymentKey::new(&key))
                    .transpose()
                    .map_err(|_| unreadable("payment_key"))?,
            }),
            None => None,
        };
        Ok(Payment {
            payment_id: PaymentId::from_uuid(payment_id),
            reservation_id: ReservationId::from_uuid(self.reservation_id),
            user_id: UserId::from_uuid(self.user_id),
            state: self.state.parse().map_err(|_| unreadable("state"))?,
            version: self.version,
            points: Amount::new(self.points).map_err(|_| unreadable("points"))?,
            card,
            currency: self.currency.parse().map_err(|_| unreadable("currency"))?,
            fence: self
                .fence
                .map(u64::try_from)
                .transpose()
                .map_err(|_| unreadable("fence"))?,
            attempt: self.attempt,
            tries: self.tries,
            failure: self
                .failure_code
                .map(|code| code.parse())
                .transpose()
                .map_err(|()| unreadable("failure_code"))?,
            next_order_id: order("next_order_id", self.next_order_id)?,
            created_at: self.created_at,
            resumed,
        })
    }
}

impl Store {
    /// A payment.
    ///
    /// # Errors
    /// The database.
    pub async fn payment(&self, payment_id: PaymentId) -> Result<Option<Payment>, StoreError> {
        sqlx::query_as!(
            Row,
            "SELECT payment_id, reservation_id, user_id, state, version, points, card_amount, currency, order_id,
                    payment_key, fence, attempt, tries, failure_code, next_order_id, created_at
             FROM payments WHERE payment_id = $1",
            payment_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?
        .map(|row| row.read(false))
        .transpose()
    }

    /// Whether a payment was begun less than `age` ago.
    ///
    /// # Errors
    /// The database.
    pub async fn is_younger_than(&self, payment_id: PaymentId, age: Duration) -> Result<bool, StoreError> {
        let younger = sqlx::query_scalar!(
            r#"SELECT created_at > frontrow_now() - make_interval(secs => $2) AS "younger!"
               FROM payments WHERE payment_id = $1"#,
            payment_id.as_uuid(),
            age.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(younger.unwrap_or(false))
    }

    /// Lengthens the driver's lease before another call of unknown length.
    ///
    /// # Errors
    /// The payment is in other hands; the database.
    pub async fn keep(
        &self,
        payment: &Payment,
        lease: Duration,
        session: Duration,
    ) -> Result<Kept, StoreError> {
        let session_over = sqlx::query_scalar!(
            r#"UPDATE payments SET resume_at = frontrow_now() + make_interval(secs => $4)
               WHERE payment_id = $1 AND state = $2 AND version = $3
               RETURNING coalesce(asked_at < frontrow_now() - make_interval(secs => $5), false) AS "session_over!""#,
            payment.payment_id.as_uuid(),
            payment.state.as_str(),
            payment.version,
            lease.as_secs_f64(),
            session.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        session_over
            .map(|session_over| Kept { session_over })
            .ok_or(StoreError::Superseded)
    }

    /// Leaves a payment in its state, to be taken up again after `until`; `attempt` is the one that comes next, `tries` how
    /// often it waited.
    ///
    /// # Errors
    /// The payment is in other hands; the database.
    pub async fn postpone(
        &self,
        payment: Payment,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> Result<Payment, StoreError> {
        let done = sqlx::query!(
            "UPDATE payments
             SET attempt = $4, tries = $5, resume_at = frontrow_now() + make_interval(secs => $6)
             WHERE payment_id = $1 AND state = $2 AND version = $3",
            payment.payment_id.as_uuid(),
            payment.state.as_str(),
            payment.version,
            attempt,
            tries,
            until.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        superseded_unless(done.rows_affected() == 1)?;
        Ok(Payment {
            attempt,
            tries,
            ..payment
        })
    }

    /// Takes up to `limit` payments up that nobody drives any more, those due longest first.
    ///
    /// # Errors
    /// The database.
    pub async fn payments_due(&self, limit: i64, lease: Duration) -> Result<Vec<Payment>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "UPDATE payments SET version = version + 1, resume_at = frontrow_now() + make_interval(secs => $2)
             WHERE payment_id IN (
                 SELECT payment_id FROM payments WHERE resume_at <= frontrow_now()
                 ORDER BY resume_at LIMIT $1 FOR UPDATE SKIP LOCKED
             )
             RETURNING payment_id, reservation_id, user_id, state, version, points, card_amount, currency, order_id,
                       payment_key, fence, attempt, tries, failure_code, next_order_id, created_at",
            limit,
            lease.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        let readable = rows.into_iter().filter_map(|row| match row.read(true) {
            Ok(payment) => Some(payment),
            Err(error) => {
                // One such row must not keep the others from being driven.
                tracing::error!(%error, "a payment cannot be resumed");
                None
            }
        });
        Ok(readable.collect())
    }
}

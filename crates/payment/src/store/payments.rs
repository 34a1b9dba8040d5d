//! Payments: every transition is one guarded statement, and the money that it moves moves in the same one.
//!
//! `resume_at` is the lease: whoever drives a payment keeps it ahead of now, and from then on it is anybody's. Taking a
//! payment up lets its version grow, so that a driver that was thought dead changes nothing any more.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, PaymentId, ProblemCode, ReservationId, UserId};

use super::{Store, StoreError, superseded_unless};
use crate::domain::{self, CardCharge, NewPayment, OrderId, Payment, PaymentKey, State};

/// What came of beginning a payment.
#[derive(Debug)]
pub enum Inserted {
    /// It is recorded and ours to drive.
    New(Payment),
    /// The user's Idempotency-Key names this one.
    SameKey {
        /// What the key's request came to.
        payment: Payment,
        /// Whether it was the same request.
        same_request: bool,
    },
    /// Another payment of the reservation has not ended yet.
    AnotherOpen,
}

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

/// How long an Idempotency-Key names its request.
pub(super) const KEY_HOURS: i32 = 24;

/// An Idempotency-Key and the request that it came with.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// As the caller gave it.
    pub key: String,
    /// Of the request.
    pub hash: Vec<u8>,
}

impl Store {
    /// Records a payment, unless another of its reservation is open or its Idempotency-Key was used.
    ///
    /// # Errors
    /// The database.
    pub async fn insert(
        &self,
        new: &NewPayment,
        key: Option<&RequestKey>,
        lease: Duration,
    ) -> Result<Inserted, StoreError> {
        // First as if the key were new, which it nearly always is.
        if let Some(created_at) = self.try_insert(new, key, lease).await? {
            return Ok(Inserted::New(Payment::begun(new.clone(), created_at)));
        }
        let Some(key) = key else {
            return Ok(Inserted::AnotherOpen);
        };
        if let Some((payment, same_request)) = self.by_key(key, new.user_id).await? {
            return Ok(Inserted::SameKey {
                payment,
                same_request,
            });
        }
        if self.free_outdated_key(key, new.user_id).await?
            && let Some(created_at) = self.try_insert(new, Some(key), lease).await?
        {
            return Ok(Inserted::New(Payment::begun(new.clone(), created_at)));
        }
        Ok(Inserted::AnotherOpen)
    }

    /// Records a payment, with when; `None` where something like it is there already.
    async fn try_insert(
        &self,
        new: &NewPayment,
        key: Option<&RequestKey>,
        lease: Duration,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let card = new.terms.card.as_ref();
        let created_at = sqlx::query_scalar!(
            "INSERT INTO payments (payment_id, reservation_id, user_id, state, points, card_amount, currency,
                                   order_id, payment_key, idempotency_key, request_hash, resume_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, frontrow_now() + make_interval(secs => $12))
             ON CONFLICT DO NOTHING
             RETURNING created_at",
            new.payment_id.as_uuid(),
            new.reservation_id.as_uuid(),
            new.user_id.as_uuid(),
            State::Created.as_str(),
            new.terms.points.get(),
            card.map_or(0, |card| card.amount.get()),
            new.currency.as_str(),
            card.map(|card| card.order_id.as_str()),
            card.and_then(|card| card.payment_key.as_ref())
                .map(PaymentKey::expose),
            key.map(|key| key.key.as_str()),
            key.map(|key| key.hash.as_slice()),
            lease.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(created_at)
    }

    /// Takes a key from the payment that it does not name any more; whether there was one.
    async fn free_outdated_key(&self, key: &RequestKey, user_id: UserId) -> Result<bool, StoreError> {
        let freed = sqlx::query!(
            "UPDATE payments SET idempotency_key = NULL, request_hash = NULL
             WHERE user_id = $1 AND idempotency_key = $2
               AND created_at < frontrow_now() - make_interval(hours => $3)",
            user_id.as_uuid(),
            key.key,
            KEY_HOURS,
        )
        .execute(&self.pool)
        .await?;
        Ok(freed.rows_affected() > 0)
    }

    /// The payment that a user's Idempotency-Key names, and whether it came with the same request.
    ///
    /// # Errors
    /// The database.
    pub async fn by_key(
        &self,
        key: &RequestKey,
        user_id: UserId,
    ) -> Result<Option<(Payment, bool)>, StoreError> {
        let found = sqlx::query!(
            r#"SELECT payment_id, request_hash = $3 AS "same_request!" FROM payments
               WHERE user_id = $1 AND idempotency_key = $2
                 AND created_at >= frontrow_now() - make_interval(hours => $4)"#,
            user_id.as_uuid(),
            key.key,
            key.hash,
            KEY_HOURS,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let payment = self.payment(PaymentId::from_uuid(found.payment_id)).await?;
        Ok(payment.map(|payment| (payment, found.same_request)))
    }

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

    /// Makes `from` what `next` is, and moves the money that moves with it: all of it or, when the payment is no longer
    /// `from`, nothing.
    ///
    /// # Errors
    /// The payment moved on; the wallet is short; the database.
    pub async fn transition(
        &self,
        from: &Payment,
        next: &Payment,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let moved = domain::movements(from.state, next);
        let ids: Vec<Uuid> = moved.iter().map(|_| Uuid::now_v7()).collect();
        let operations: Vec<String> = moved
            .iter()
            .map(|movement| movement.operation("payment", next.payment_id))
            .collect();
        let kinds: Vec<String> = moved
            .iter()
            .map(|movement| movement.kind.as_str().into())
            .collect();
        let debits: Vec<String> = moved
            .iter()
            .map(|movement| movement.kind.debit().into())
            .collect();
        let credits: Vec<String> = moved
            .iter()
            .map(|movement| movement.kind.credit().into())
            .collect();
        let amounts: Vec<i64> = moved.iter().map(|movement| movement.amount.get()).collect();
        let fence = next.fence.map(i64::try_from).transpose();
        let fence = fence.map_err(|_| StoreError::Unreadable {
            row: next.payment_id.as_uuid(),
            column: "fence",
        })?;
        let done = sqlx::query_scalar!(
            r#"WITH changed AS (
                   UPDATE payments
                   SET state = $4, version = $5, fence = $6, attempt = $7, tries = 0, failure_code = $8,
                       next_order_id = $9,
                       asked_at = CASE WHEN $4 = 'CONFIRMING' THEN frontrow_now() ELSE asked_at END,
                       captured_at = CASE WHEN $4 = 'CAPTURED' THEN frontrow_now() ELSE captured_at END,
                       ended_at = CASE WHEN $10 THEN frontrow_now() END,
                       payment_key = CASE WHEN NOT $10 THEN payment_key END,
                       resume_at = CASE WHEN NOT $10 THEN frontrow_now() + make_interval(secs => $11) END
                   WHERE payment_id = $1 AND state = $2 AND version = $3
                   RETURNING payment_id, user_id
               ), posted AS (
                   INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id)
                   SELECT moved.id, moved.operation, moved.kind, moved.debit, moved.credit, changed.user_id,
                          moved.amount, changed.payment_id
                   FROM changed, unnest($12::uuid[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bigint[])
                        AS moved (id, operation, kind, debit, credit, amount)
               )
               SELECT count(*) AS "count!" FROM changed"#,
            from.payment_id.as_uuid(),
            from.state.as_str(),
            from.version,
            next.state.as_str(),
            next.version,
            fence,
            next.attempt,
            next.failure.map(ProblemCode::as_str),
            next.next_order_id.as_ref().map(OrderId::as_str),
            next.state.has_ended(),
            lease.as_secs_f64(),
            &ids,
            &operations,
            &kinds,
            &debits,
            &credits,
            &amounts,
        )
        .fetch_one(&self.pool)
        .await?;
        superseded_unless(done == 1)
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

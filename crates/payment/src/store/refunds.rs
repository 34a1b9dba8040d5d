//! Refunds: every transition is one guarded statement, and the money that it moves moves in the same one.
//!
//! Leases are as those of payments. What a refund gives back is bounded by what its payment took, so every read brings that
//! along.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, PaymentId, ProblemCode, RefundId, ReservationId, UserId};

use super::payments::KEY_HOURS;
use super::{RequestKey, Store, StoreError, superseded_unless};
use crate::domain::{NewRefund, OrderId, PaidBy, Refund, RefundReason, RefundState, Share};

/// What came of beginning a refund.
#[derive(Debug)]
pub enum RefundInserted {
    /// It is recorded and ours to drive.
    New(Refund),
    /// The user's Idempotency-Key names this one.
    SameKey {
        /// What the key's request came to.
        refund: Refund,
        /// Whether it was the same request.
        same_request: bool,
    },
    /// The payment is undone by this one.
    Another(Refund),
}

struct Row {
    refund_id: Uuid,
    payment_id: Uuid,
    reservation_id: Uuid,
    user_id: Uuid,
    reason: String,
    state: String,
    version: i64,
    percent: Option<i32>,
    points: Option<i64>,
    card_amount: Option<i64>,
    currency: String,
    order_id: Option<String>,
    attempt: i32,
    tries: i32,
    failure_code: Option<String>,
    created_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    paid_points: i64,
    paid_card: i64,
}

impl Row {
    fn read(self) -> Result<Refund, StoreError> {
        let row = self.refund_id;
        let unreadable = |column| StoreError::Unreadable { row, column };
        let amount = |column, units| Amount::new(units).map_err(|_| unreadable(column));
        let order_id = self.order_id.map(|order_id| OrderId::new(&order_id));
        let order_id = order_id.transpose().map_err(|_| unreadable("order_id"))?;
        let share = match (self.percent, self.points, self.card_amount) {
            (Some(percent), Some(points), Some(card)) => Some(Share {
                percent: u8::try_from(percent).map_err(|_| unreadable("percent"))?,
                points: amount("points", points)?,
                card: amount("card_amount", card)?,
            }),
            _ => None,
        };
        let failure = self.failure_code.map(|code| code.parse()).transpose();
        Ok(Refund {
            refund_id: RefundId::from_uuid(self.refund_id),
            payment_id: PaymentId::from_uuid(self.payment_id),
            reservation_id: ReservationId::from_uuid(self.reservation_id),
            user_id: UserId::from_uuid(self.user_id),
            reason: RefundReason::of(&self.reason).ok_or_else(|| unreadable("reason"))?,
            state: self.state.parse().map_err(|_| unreadable("state"))?,
            version: self.version,
            paid: PaidBy {
                points: amount("paid_points", self.paid_points)?,
                card: match order_id {
                    Some(order_id) => Some((amount("paid_card", self.paid_card)?, order_id)),
                    None => None,
                },
            },
            share,
            currency: self.currency.parse().map_err(|_| unreadable("currency"))?,
            attempt: self.attempt,
            tries: self.tries,
            failure: failure.map_err(|()| unreadable("failure_code"))?,
            created_at: self.created_at,
            ended_at: self.ended_at,
        })
    }
}

impl Store {
    /// The payment that succeeded for this user's reservation.
    ///
    /// # Errors
    /// The database.
    pub async fn payment_to_undo(
        &self,
        user_id: UserId,
        reservation_id: ReservationId,
    ) -> Result<Option<PaymentId>, StoreError> {
        let found = sqlx::query_scalar!(
            "SELECT payment_id FROM payments
             WHERE reservation_id = $1 AND user_id = $2 AND ended_at IS NOT NULL AND failure_code IS NULL",
            reservation_id.as_uuid(),
            user_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.map(PaymentId::from_uuid))
    }

    /// Records the refund of a payment that succeeded, unless another undoes it or its Idempotency-Key was used.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_refund(
        &self,
        new: &NewRefund,
        key: Option<&RequestKey>,
        lease: Duration,
    ) -> Result<RefundInserted, StoreError> {
        if let Some(key) = key {
            sqlx::query!(
                "UPDATE refunds SET idempotency_key = NULL, request_hash = NULL
                 WHERE user_id = $1 AND idempotency_key = $2
                   AND created_at < frontrow_now() - make_interval(hours => $3)",
                new.user_id.as_uuid(),
                key.key,
                KEY_HOURS,
            )
            .execute(&self.pool)
            .await?;
        }
        let inserted = sqlx::query!(
            "INSERT INTO refunds (refund_id, payment_id, reservation_id, user_id, reason, state, currency, order_id,
                                  idempotency_key, request_hash, resume_at)
             SELECT $1, payment_id, reservation_id, user_id, $5, $6, currency, order_id, $7, $8,
                    frontrow_now() + make_interval(secs => $9)
             FROM payments
             WHERE payment_id = $2 AND reservation_id = $3 AND user_id = $4 AND state = 'SUCCEEDED'
             ON CONFLICT DO NOTHING",
            new.refund_id.as_uuid(),
            new.payment_id.as_uuid(),
            new.reservation_id.as_uuid(),
            new.user_id.as_uuid(),
            new.reason.as_str(),
            RefundState::Created.as_str(),
            key.map(|key| key.key.as_str()),
            key.map(|key| key.hash.as_slice()),
            lease.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        if inserted.rows_affected() == 1 {
            let refund = self.refund(new.refund_id).await?;
            return refund.map(RefundInserted::New).ok_or(StoreError::Superseded);
        }
        if let Some(key) = key
            && let Some((refund, same_request)) = self.refund_by_key(new.user_id, key).await?
        {
            return Ok(RefundInserted::SameKey { refund, same_request });
        }
        let another = self
            .refund_of_reservation(new.user_id, new.reservation_id)
            .await?;
        another.map(RefundInserted::Another).ok_or(StoreError::Superseded)
    }

    /// Begins a refund anew that was refused, so that refusals do not pile up. `None` where its Idempotency-Key still names
    /// it, or another undoes the payment by now.
    ///
    /// # Errors
    /// The database.
    pub async fn ask_again(
        &self,
        refused: &Refund,
        again: &Refund,
        key: Option<&RequestKey>,
        lease: Duration,
    ) -> Result<Option<Refund>, StoreError> {
        let asked = sqlx::query_scalar!(
            "UPDATE refunds
             SET state = $4, version = $5, failure_code = NULL, ended_at = NULL, tries = 0, idempotency_key = $6,
                 request_hash = $7, created_at = frontrow_now(), resume_at = frontrow_now() + make_interval(secs => $8)
             WHERE refund_id = $1 AND state = $2 AND version = $3
               AND (idempotency_key IS NULL OR created_at < frontrow_now() - make_interval(hours => $9))
             RETURNING created_at",
            refused.refund_id.as_uuid(),
            refused.state.as_str(),
            refused.version,
            again.state.as_str(),
            again.version,
            key.map(|key| key.key.as_str()),
            key.map(|key| key.hash.as_slice()),
            lease.as_secs_f64(),
            KEY_HOURS,
        )
        .fetch_optional(&self.pool)
        .await;
        match asked {
            Ok(created_at) => Ok(created_at.map(|created_at| Refund {
                created_at,
                ..again.clone()
            })),
            // Another is there already, or the key names one.
            Err(sqlx::Error::Database(refusal)) if refusal.is_unique_violation() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Records refunds of canceled dates, for whoever resumes what is due; what is undone already, or not paid as said, is
    /// left alone. Answers how many are new.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_schedule_refunds(
        &self,
        paid: &[(ReservationId, PaymentId)],
    ) -> Result<u64, StoreError> {
        let refund_ids: Vec<Uuid> = paid.iter().map(|_| RefundId::new().as_uuid()).collect();
        let reservation_ids: Vec<Uuid> = paid.iter().map(|(id, _)| id.as_uuid()).collect();
        let payment_ids: Vec<Uuid> = paid.iter().map(|(_, id)| id.as_uuid()).collect();
        let inserted = sqlx::query!(
            "INSERT INTO refunds (refund_id, payment_id, reservation_id, user_id, reason, state, currency, order_id,
                                  resume_at)
             SELECT due.refund_id, payment_id, reservation_id, p.user_id, $4, $5, p.currency, p.order_id, frontrow_now()
             FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS due (refund_id, reservation_id, payment_id)
             JOIN payments p USING (payment_id, reservation_id)
             WHERE p.state = 'SUCCEEDED'
             ON CONFLICT DO NOTHING",
            &refund_ids,
            &reservation_ids,
            &payment_ids,
            RefundReason::ScheduleCanceled.as_str(),
            RefundState::Created.as_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(inserted.rows_affected())
    }

    /// The refund that a user's Idempotency-Key names, and whether it came with the same request.
    ///
    /// # Errors
    /// The database.
    pub async fn refund_by_key(
        &self,
        user_id: UserId,
        key: &RequestKey,
    ) -> Result<Option<(Refund, bool)>, StoreError> {
        let found = sqlx::query!(
            r#"SELECT refund_id, request_hash = $3 AS "same_request!" FROM refunds
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
        let refund = self.refund(RefundId::from_uuid(found.refund_id)).await?;
        Ok(refund.map(|refund| (refund, found.same_request)))
    }

    /// A refund.
    ///
    /// # Errors
    /// The database.
    pub async fn refund(&self, refund_id: RefundId) -> Result<Option<Refund>, StoreError> {
        sqlx::query_as!(
            Row,
            "SELECT r.refund_id, r.payment_id, r.reservation_id, r.user_id, r.reason, r.state, r.version, r.percent,
                    r.points, r.card_amount, r.currency, r.order_id, r.attempt, r.tries, r.failure_code, r.created_at,
                    r.ended_at, p.points AS paid_points, p.card_amount AS paid_card
             FROM refunds r JOIN payments p USING (payment_id) WHERE r.refund_id = $1",
            refund_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Row::read)
        .transpose()
    }

    /// The refund that undoes a user's reservation; where all were refused the latest.
    ///
    /// # Errors
    /// The database.
    pub async fn refund_of_reservation(
        &self,
        user_id: UserId,
        reservation_id: ReservationId,
    ) -> Result<Option<Refund>, StoreError> {
        let found = sqlx::query_scalar!(
            "SELECT refund_id FROM refunds WHERE reservation_id = $1 AND user_id = $2
             ORDER BY state = 'REFUSED', refund_id DESC LIMIT 1",
            reservation_id.as_uuid(),
            user_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        match found {
            Some(refund_id) => self.refund(RefundId::from_uuid(refund_id)).await,
            None => Ok(None),
        }
    }

    /// Whether a refund was begun less than `age` ago.
    ///
    /// # Errors
    /// The database.
    pub async fn refund_is_younger_than(
        &self,
        refund_id: RefundId,
        age: Duration,
    ) -> Result<bool, StoreError> {
        let younger = sqlx::query_scalar!(
            r#"SELECT created_at > frontrow_now() - make_interval(secs => $2) AS "younger!"
               FROM refunds WHERE refund_id = $1"#,
            refund_id.as_uuid(),
            age.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(younger.unwrap_or(false))
    }

    /// Makes `from` what `next` is, and moves the money that moves with it: all of it or, when the refund is no longer
    /// `from`, nothing.
    ///
    /// # Errors
    /// The refund moved on; the database.
    pub async fn change_refund(
        &self,
        from: &Refund,
        next: &Refund,
        lease: Duration,
    ) -> Result<Refund, StoreError> {
        let moved = next.movement(from.state);
        let changed = sqlx::query!(
            "WITH changed AS (
                 UPDATE refunds
                 SET state = $4, version = $5, reason = $6, percent = $7, points = $8, card_amount = $9, tries = 0,
                     failure_code = $10,
                     ended_at = CASE WHEN $11 THEN frontrow_now() END,
                     resume_at = CASE WHEN NOT $11 THEN frontrow_now() + make_interval(secs => $12) END
                 WHERE refund_id = $1 AND state = $2 AND version = $3
                 RETURNING refund_id, payment_id, user_id, ended_at
             ), posted AS (
                 INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id, refund_id)
                 SELECT $13, $14, $15, $16, $17, user_id, $18, payment_id, refund_id FROM changed WHERE $14::text IS NOT NULL
             )
             SELECT ended_at FROM changed",
            from.refund_id.as_uuid(),
            from.state.as_str(),
            from.version,
            next.state.as_str(),
            next.version,
            next.reason.as_str(),
            next.share.map(|share| i32::from(share.percent)),
            next.share.map(|share| share.points.get()),
            next.share.map(|share| share.card.get()),
            next.failure.map(ProblemCode::as_str),
            next.state.has_ended(),
            lease.as_secs_f64(),
            Uuid::now_v7(),
            moved.map(|movement| movement.operation("refund", next.refund_id)),
            moved.map(|movement| movement.kind.as_str()),
            moved.map(|movement| movement.kind.debit()),
            moved.map(|movement| movement.kind.credit()),
            moved.map(|movement| movement.amount.get()),
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::Superseded)?;
        Ok(Refund {
            ended_at: changed.ended_at,
            ..next.clone()
        })
    }

    /// Leaves a refund in its state, to be taken up again after `until`; `attempt` is the one that comes next, `tries` how
    /// often it waited.
    ///
    /// # Errors
    /// The refund is in other hands; the database.
    pub async fn postpone_refund(
        &self,
        refund: Refund,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> Result<Refund, StoreError> {
        let done = sqlx::query!(
            "UPDATE refunds
             SET attempt = $4, tries = $5, resume_at = frontrow_now() + make_interval(secs => $6)
             WHERE refund_id = $1 AND state = $2 AND version = $3",
            refund.refund_id.as_uuid(),
            refund.state.as_str(),
            refund.version,
            attempt,
            tries,
            until.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        superseded_unless(done.rows_affected() == 1)?;
        Ok(Refund {
            attempt,
            tries,
            ..refund
        })
    }

    /// Takes up to `limit` refunds up that nobody drives any more, those due longest first.
    ///
    /// # Errors
    /// The database.
    pub async fn refunds_due(&self, limit: i64, lease: Duration) -> Result<Vec<Refund>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "UPDATE refunds r SET version = r.version + 1, resume_at = frontrow_now() + make_interval(secs => $2)
             FROM payments p
             WHERE p.payment_id = r.payment_id AND r.refund_id IN (
                 SELECT refund_id FROM refunds WHERE resume_at <= frontrow_now()
                 ORDER BY resume_at LIMIT $1 FOR UPDATE SKIP LOCKED
             )
             RETURNING r.refund_id, r.payment_id, r.reservation_id, r.user_id, r.reason, r.state, r.version, r.percent,
                       r.points, r.card_amount, r.currency, r.order_id, r.attempt, r.tries, r.failure_code, r.created_at,
                       r.ended_at, p.points AS paid_points, p.card_amount AS paid_card",
            limit,
            lease.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        let readable = rows.into_iter().filter_map(|row| match row.read() {
            Ok(refund) => Some(refund),
            Err(error) => {
                // One such row must not keep the others from being driven.
                tracing::error!(%error, "a refund cannot be resumed");
                None
            }
        });
        Ok(readable.collect())
    }
}

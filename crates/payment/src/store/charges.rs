//! Charges: every transition is one guarded statement, and the points of a success arrive in the same one.
//!
//! Leases and versions are as those of payments, in `payments`.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, ChargeId, ProblemCode, UserId};

use super::payments::KEY_HOURS;
use super::{Kept, RequestKey, Store, StoreError, superseded_unless};
use crate::domain::{Charge, ChargeState, NewCharge, OrderId, PaymentKey};

/// What came of beginning a charge.
#[derive(Debug)]
pub enum ChargeInserted {
    /// It is recorded and ours to drive.
    New(Charge),
    /// The user's Idempotency-Key names this one.
    SameKey {
        /// What the key's request came to.
        charge: Charge,
        /// Whether it was the same request.
        same_request: bool,
    },
    /// The user charged the order before.
    OrderUsed,
}

struct Row {
    charge_id: Uuid,
    user_id: Uuid,
    state: String,
    version: i64,
    amount: i64,
    order_id: String,
    payment_key: Option<String>,
    attempt: i32,
    tries: i32,
    failure_code: Option<String>,
    created_at: OffsetDateTime,
}

impl Row {
    fn read(self) -> Result<Charge, StoreError> {
        let row = self.charge_id;
        let unreadable = |column| StoreError::Unreadable { row, column };
        let payment_key = self.payment_key.map(|key| PaymentKey::new(&key)).transpose();
        let failure = self.failure_code.map(|code| code.parse()).transpose();
        Ok(Charge {
            charge_id: ChargeId::from_uuid(row),
            user_id: UserId::from_uuid(self.user_id),
            state: self.state.parse().map_err(|_| unreadable("state"))?,
            version: self.version,
            amount: Amount::new(self.amount).map_err(|_| unreadable("amount"))?,
            order_id: OrderId::new(&self.order_id).map_err(|_| unreadable("order_id"))?,
            payment_key: payment_key.map_err(|_| unreadable("payment_key"))?,
            attempt: self.attempt,
            tries: self.tries,
            failure: failure.map_err(|()| unreadable("failure_code"))?,
            created_at: self.created_at,
        })
    }
}

impl Store {
    /// Records a charge, unless its order or its Idempotency-Key was used.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_charge(
        &self,
        new: &NewCharge,
        key: Option<&RequestKey>,
        lease: Duration,
    ) -> Result<ChargeInserted, StoreError> {
        if let Some(key) = key {
            sqlx::query!(
                "UPDATE charges SET idempotency_key = NULL, request_hash = NULL
                 WHERE user_id = $1 AND idempotency_key = $2
                   AND created_at < frontrow_now() - make_interval(hours => $3)",
                new.user_id.as_uuid(),
                key.key,
                KEY_HOURS,
            )
            .execute(&self.pool)
            .await?;
        }
        let created_at = sqlx::query_scalar!(
            "INSERT INTO charges (charge_id, user_id, state, amount, order_id, payment_key, idempotency_key,
                                  request_hash, resume_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, frontrow_now() + make_interval(secs => $9))
             ON CONFLICT DO NOTHING
             RETURNING created_at",
            new.charge_id.as_uuid(),
            new.user_id.as_uuid(),
            ChargeState::Created.as_str(),
            new.amount.get(),
            new.order_id.as_str(),
            new.payment_key.expose(),
            key.map(|key| key.key.as_str()),
            key.map(|key| key.hash.as_slice()),
            lease.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(created_at) = created_at {
            return Ok(ChargeInserted::New(Charge::begun(new.clone(), created_at)));
        }
        let same_key = match key {
            Some(key) => self.charge_by_key(new.user_id, key).await?,
            None => None,
        };
        Ok(match same_key {
            Some((charge, same_request)) => ChargeInserted::SameKey { charge, same_request },
            None => ChargeInserted::OrderUsed,
        })
    }

    /// The charge that a user's Idempotency-Key names, and whether it came with the same request.
    ///
    /// # Errors
    /// The database.
    pub async fn charge_by_key(
        &self,
        user_id: UserId,
        key: &RequestKey,
    ) -> Result<Option<(Charge, bool)>, StoreError> {
        let found = sqlx::query!(
            r#"SELECT charge_id, request_hash = $3 AS "same_request!" FROM charges
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
        let charge = self.charge(ChargeId::from_uuid(found.charge_id)).await?;
        Ok(charge.map(|charge| (charge, found.same_request)))
    }

    /// A charge.
    ///
    /// # Errors
    /// The database.
    pub async fn charge(&self, charge_id: ChargeId) -> Result<Option<Charge>, StoreError> {
        sqlx::query_as!(
            Row,
            "SELECT charge_id, user_id, state, version, amount, order_id, payment_key, attempt, tries, failure_code,
                    created_at
             FROM charges WHERE charge_id = $1",
            charge_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?
        .map(Row::read)
        .transpose()
    }

    /// Whether a charge was begun less than `age` ago.
    ///
    /// # Errors
    /// The database.
    pub async fn charge_is_younger_than(
        &self,
        charge_id: ChargeId,
        age: Duration,
    ) -> Result<bool, StoreError> {
        let younger = sqlx::query_scalar!(
            r#"SELECT created_at > frontrow_now() - make_interval(secs => $2) AS "younger!"
               FROM charges WHERE charge_id = $1"#,
            charge_id.as_uuid(),
            age.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(younger.unwrap_or(false))
    }

    /// Makes `from` what `next` is, with the points that a success brings: all of it or, when the charge is no longer
    /// `from`, nothing.
    ///
    /// # Errors
    /// The charge moved on; the database.
    pub async fn change_charge(
        &self,
        from: &Charge,
        next: &Charge,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let moved = next.movement();
        let done = sqlx::query_scalar!(
            r#"WITH changed AS (
                   UPDATE charges
                   SET state = $4, version = $5, attempt = $6, tries = 0, failure_code = $7,
                       asked_at = CASE WHEN $4 = 'CONFIRMING' THEN frontrow_now() ELSE asked_at END,
                       ended_at = CASE WHEN $8 THEN frontrow_now() END,
                       payment_key = CASE WHEN NOT $8 THEN payment_key END,
                       resume_at = CASE WHEN NOT $8 THEN frontrow_now() + make_interval(secs => $9) END
                   WHERE charge_id = $1 AND state = $2 AND version = $3
                   RETURNING charge_id, user_id
               ), posted AS (
                   INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, charge_id)
                   SELECT $10, $11::text, $12::text, $13::text, $14::text, user_id, $15::bigint, charge_id
                   FROM changed WHERE $11 IS NOT NULL
               )
               SELECT count(*) AS "count!" FROM changed"#,
            from.charge_id.as_uuid(),
            from.state.as_str(),
            from.version,
            next.state.as_str(),
            next.version,
            next.attempt,
            next.failure.map(ProblemCode::as_str),
            next.state.has_ended(),
            lease.as_secs_f64(),
            Uuid::now_v7(),
            moved.map(|movement| movement.operation("charge", next.charge_id)),
            moved.map(|movement| movement.kind.as_str()),
            moved.map(|movement| movement.kind.debit()),
            moved.map(|movement| movement.kind.credit()),
            moved.map(|movement| movement.amount.get()),
        )
        .fetch_one(&self.pool)
        .await?;
        superseded_unless(done == 1)
    }

    /// Lengthens the driver's lease before another call of unknown length.
    ///
    /// # Errors
    /// The charge is in other hands; the database.
    pub async fn keep_charge(
        &self,
        charge: &Charge,
        lease: Duration,
        session: Duration,
    ) -> Result<Kept, StoreError> {
        let session_over = sqlx::query_scalar!(
            r#"UPDATE charges SET resume_at = frontrow_now() + make_interval(secs => $4)
               WHERE charge_id = $1 AND state = $2 AND version = $3
               RETURNING coalesce(asked_at < frontrow_now() - make_interval(secs => $5), false) AS "session_over!""#,
            charge.charge_id.as_uuid(),
            charge.state.as_str(),
            charge.version,
            lease.as_secs_f64(),
            session.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        session_over
            .map(|session_over| Kept { session_over })
            .ok_or(StoreError::Superseded)
    }

    /// Leaves a charge in its state, to be taken up again after `until`; `attempt` is the one that comes next, `tries` how
    /// often it waited.
    ///
    /// # Errors
    /// The charge is in other hands; the database.
    pub async fn postpone_charge(
        &self,
        charge: Charge,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> Result<Charge, StoreError> {
        let done = sqlx::query!(
            "UPDATE charges
             SET attempt = $4, tries = $5, resume_at = frontrow_now() + make_interval(secs => $6)
             WHERE charge_id = $1 AND state = $2 AND version = $3",
            charge.charge_id.as_uuid(),
            charge.state.as_str(),
            charge.version,
            attempt,
            tries,
            until.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        superseded_unless(done.rows_affected() == 1)?;
        Ok(Charge {
            attempt,
            tries,
            ..charge
        })
    }

    /// Takes up to `limit` charges up that nobody drives any more, those due longest first.
    ///
    /// # Errors
    /// The database.
    pub async fn charges_due(&self, limit: i64, lease: Duration) -> Result<Vec<Charge>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "UPDATE charges SET version = version + 1, resume_at = frontrow_now() + make_interval(secs => $2)
             WHERE charge_id IN (
                 SELECT charge_id FROM charges WHERE resume_at <= frontrow_now()
                 ORDER BY resume_at LIMIT $1 FOR UPDATE SKIP LOCKED
             )
             RETURNING charge_id, user_id, state, version, amount, order_id, payment_key, attempt, tries, failure_code,
                       created_at",
            limit,
            lease.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        let readable = rows.into_iter().filter_map(|row| match row.read() {
            Ok(charge) => Some(charge),
            Err(error) => {
                // One such row must not keep the others from being driven.
                tracing::error!(%error, "a charge cannot be resumed");
                None
            }
        });
        Ok(readable.collect())
    }
}

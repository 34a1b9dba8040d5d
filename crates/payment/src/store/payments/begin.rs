//! Beginning a payment: once for each reservation at a time, and once for each Idempotency-Key.

use std::collections::HashMap;
use std::time::Duration;

use service_kit::database::Batcher;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{PaymentId, UserId};

use crate::domain::{NewPayment, Payment, PaymentKey, State};
use crate::store::{Store, StoreError};

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

/// How long an Idempotency-Key names its request.
pub(in crate::store) const KEY_HOURS: i32 = 24;

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
        let beginning = Beginning {
            new: new.clone(),
            key: key.cloned(),
            lease,
        };
        Ok(self.beginnings.call(beginning).await?)
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
}

/// A payment to be recorded.
#[derive(Debug, Clone)]
pub(in crate::store) struct Beginning {
    new: NewPayment,
    key: Option<RequestKey>,
    lease: Duration,
}

/// Records payments that begin together: each with when, or `None` where something like it is there already.
pub(in crate::store) fn beginnings(pool: PgPool) -> Batcher<Beginning, Option<OffsetDateTime>> {
    let key = |begun: &Beginning| begun.new.reservation_id;
    Batcher::new("payment_beginnings", key, move |batch| {
        let pool = pool.clone();
        async move { insert(&pool, &batch).await }
    })
}

async fn insert(pool: &PgPool, batch: &[Beginning]) -> Result<Vec<Option<OffsetDateTime>>, sqlx::Error> {
    fn column<'a, T>(batch: &'a [Beginning], value: impl Fn(&'a Beginning) -> T) -> Vec<T> {
        batch.iter().map(value).collect()
    }
    let rows = sqlx::query!(
        "INSERT INTO payments (payment_id, reservation_id, user_id, state, points, card_amount, currency,
                               order_id, payment_key, idempotency_key, request_hash, created_at, resume_at)
         SELECT payment_id, reservation_id, user_id, $4, points, card_amount, currency, order_id, payment_key,
                idempotency_key, request_hash, (SELECT frontrow_now()), (SELECT frontrow_now()) + make_interval(secs => lease)
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                     $9::text[], $10::text[], $11::bytea[], $12::double precision[])
              AS begun (payment_id, reservation_id, user_id, points, card_amount, currency, order_id, payment_key,
                        idempotency_key, request_hash, lease)
         ON CONFLICT DO NOTHING
         RETURNING payment_id, created_at",
        &column(batch, |begun| begun.new.payment_id.as_uuid()),
        &column(batch, |begun| begun.new.reservation_id.as_uuid()),
        &column(batch, |begun| begun.new.user_id.as_uuid()),
        State::Created.as_str(),
        &column(batch, |begun| begun.new.terms.points.get()),
        &column(batch, |begun| begun.new.terms.card.as_ref().map_or(0, |card| card.amount.get())),
        &column(batch, |begun| begun.new.currency.as_str().to_owned()),
        &column(batch, |begun| Some(begun.new.terms.card.as_ref()?.order_id.as_str())) as &[Option<&str>],
        &column(batch, |begun| {
            let key = begun.new.terms.card.as_ref()?.payment_key.as_ref();
            key.map(PaymentKey::expose)
        }) as &[Option<&str>],
        &column(batch, |begun| Some(begun.key.as_ref()?.key.as_str())) as &[Option<&str>],
        &column(batch, |begun| Some(begun.key.as_ref()?.hash.as_slice())) as &[Option<&[u8]>],
        &column(batch, |begun| begun.lease.as_secs_f64()),
    )
    .fetch_all(pool)
    .await?;
    let recorded: HashMap<Uuid, OffsetDateTime> = rows
        .into_iter()
        .map(|row| (row.payment_id, row.created_at))
        .collect();
    Ok(column(batch, |begun| {
        recorded.get(&begun.new.payment_id.as_uuid()).copied()
    }))
}

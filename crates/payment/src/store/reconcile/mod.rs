//! What reconciliation reads of our own tables, in pages. Each read is one statement, so a row and what the ledger moved for
//! it are seen as they stood together.

mod open;
mod orders;
mod wallets;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;
use vocabulary::{ChargeId, PaymentId, RefundId, ReservationId};

use super::{Store, StoreError};
use crate::domain::reconcile::{ChargeFacts, Moved, PaymentFacts, RefundFacts, Share};

pub use open::UnderWay;
pub use orders::CardMove;

/// Names the lock that one reconciliation at a time holds; the only other one in this database is that of migrations.
const LOCK: i64 = 0x7265_636f_6e63;
/// A payment that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// What it paid.
    pub reservation_id: ReservationId,
    /// Which.
    pub payment_id: PaymentId,
}

/// Held while one replica reconciles; dropped, it is free again.
#[derive(Debug)]
pub struct ReconcileLock {
    // An advisory lock lives as long as its connection, so this one belongs to no pool.
    connection: PgConnection,
}

impl ReconcileLock {
    /// Gives it up.
    pub async fn release(self) {
        // The server frees it when it sees the connection's end, also where this fails.
        let _ = self.connection.close().await;
    }
}

impl Store {
    /// The lock, unless another replica has it.
    ///
    /// # Errors
    /// The database.
    pub async fn try_reconcile_lock(&self) -> Result<Option<ReconcileLock>, StoreError> {
        let mut connection = self.pool.acquire().await?.detach();
        let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK)
            .fetch_one(&mut connection)
            .await?;
        let lock = ReconcileLock { connection };
        if locked {
            return Ok(Some(lock));
        }
        lock.release().await;
        Ok(None)
    }

    /// Ids of payments in their order, after one and up to another.
    ///
    /// # Errors
    /// The database.
    pub async fn payment_ids(&self, after: Uuid, until: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
        let ids = sqlx::query_scalar!(
            "SELECT payment_id FROM payments WHERE payment_id > $1 AND payment_id <= $2 ORDER BY payment_id LIMIT $3",
            after,
            until,
            limit,
        );
        Ok(ids.fetch_all(&self.pool).await?)
    }

    /// Refunds in the order of their ids, each with its payment.
    ///
    /// # Errors
    /// The database.
    pub async fn refunded_payments(
        &self,
        after: Uuid,
        until: Uuid,
        limit: i64,
    ) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT refund_id, payment_id FROM refunds WHERE refund_id > $1 AND refund_id <= $2
             ORDER BY refund_id LIMIT $3",
            after,
            until,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.refund_id, row.payment_id))
            .collect())
    }

    /// Payments that succeeded, in the order of their reservations' ids.
    ///
    /// # Errors
    /// The database.
    pub async fn successes(&self, after: Uuid, until: Uuid, limit: i64) -> Result<Vec<Success>, StoreError> {
        let rows = sqlx::query!(
            "SELECT reservation_id, payment_id FROM payments
             WHERE ended_at IS NOT NULL AND failure_code IS NULL AND reservation_id > $1 AND reservation_id <= $2
             ORDER BY reservation_id LIMIT $3",
            after,
            until,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let successes = rows.into_iter().map(|row| Success {
            reservation_id: ReservationId::from_uuid(row.reservation_id),
            payment_id: PaymentId::from_uuid(row.payment_id),
        });
        Ok(successes.collect())
    }

    /// Ids of a reservation's payments that succeeded or are under way.
    ///
    /// # Errors
    /// The database.
    pub async fn live_payments(&self, reservation_id: ReservationId) -> Result<Vec<Uuid>, StoreError> {
        // Each half as its partial index has it.
        let ids = sqlx::query_scalar!(
            r#"SELECT payment_id AS "payment_id!" FROM payments
               WHERE reservation_id = $1 AND ended_at IS NOT NULL AND failure_code IS NULL
               UNION ALL
               SELECT payment_id FROM payments WHERE reservation_id = $1 AND ended_at IS NULL"#,
            reservation_id.as_uuid(),
        );
        Ok(ids.fetch_all(&self.pool).await?)
    }

    /// What is known of these payments; unknown ids are left out.
    ///
    /// # Errors
    /// The database.
    pub async fn payment_facts(&self, ids: &[Uuid]) -> Result<Vec<PaymentFacts>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT p.payment_id, p.reservation_id, p.state, p.points, p.card_amount,
                      m.purchased AS "purchased!", m.returned AS "returned!", m.posted AS "posted!",
                      m.captured AS "captured!", m.card_refunded AS "card_refunded!",
                      m.points_refunded AS "points_refunded!",
                      r.refund_id AS "refund_id?", r.state = 'COMPLETED' AS "completed?",
                      r.points AS "refund_points?", r.card_amount AS "refund_card?"
               FROM payments p
               LEFT JOIN refunds r ON r.payment_id = p.payment_id AND r.state <> 'REFUSED'
               CROSS JOIN LATERAL (
                   SELECT coalesce(sum(amount) FILTER (WHERE kind = 'PURCHASE'), 0)::bigint AS purchased,
                          coalesce(sum(amount) FILTER (WHERE kind = 'RETURN'), 0)::bigint AS returned,
                          coalesce(sum(amount) FILTER (WHERE kind = 'POST'), 0)::bigint AS posted,
                          coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0)::bigint AS captured,
                          coalesce(sum(amount) FILTER (WHERE kind = 'REFUND'), 0)::bigint AS card_refunded,
                          coalesce(sum(amount) FILTER (WHERE kind = 'REFUND_POINTS'), 0)::bigint AS points_refunded
                   FROM transfers t WHERE t.payment_id = p.payment_id
               ) AS m
               WHERE p.payment_id = ANY($1)"#,
            ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let facts = rows.into_iter().map(|row| {
            let share = row
                .refund_points
                .zip(row.refund_card)
                .map(|(points, card)| Share { points, card });
            Ok(PaymentFacts {
                payment_id: PaymentId::from_uuid(row.payment_id),
                reservation_id: ReservationId::from_uuid(row.reservation_id),
                state: row.state.parse().map_err(|_| StoreError::Unreadable {
                    row: row.payment_id,
                    column: "state",
                })?,
                points: row.points,
                card: row.card_amount,
                moved: Moved {
                    purchased: row.purchased,
                    returned: row.returned,
                    posted: row.posted,
                    captured: row.captured,
                    card_refunded: row.card_refunded,
                    points_refunded: row.points_refunded,
                },
                refund: row.refund_id.map(|refund_id| RefundFacts {
                    refund_id: RefundId::from_uuid(refund_id),
                    completed: row.completed.unwrap_or(false),
                    share,
                }),
            })
        });
        facts.collect()
    }

    /// Charges in the order of their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn charge_facts(
        &self,
        after: Uuid,
        until: Uuid,
        limit: i64,
    ) -> Result<Vec<ChargeFacts>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT charge_id, state = 'SUCCEEDED' AS "succeeded!", amount,
                      coalesce((SELECT sum(t.amount) FROM transfers t WHERE t.charge_id = charges.charge_id), 0)::bigint
                          AS "moved!"
               FROM charges WHERE charge_id > $1 AND charge_id <= $2 ORDER BY charge_id LIMIT $3"#,
            after,
            until,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let facts = rows.into_iter().map(|row| ChargeFacts {
            charge_id: ChargeId::from_uuid(row.charge_id),
            succeeded: row.succeeded,
            amount: row.amount,
            moved: row.moved,
        });
        Ok(facts.collect())
    }

    /// The smallest id of a payment or charge; none when there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn first_id(&self) -> Result<Option<Uuid>, StoreError> {
        let ids = sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM (
                   (SELECT payment_id AS id FROM payments ORDER BY payment_id LIMIT 1)
                   UNION ALL (SELECT charge_id FROM charges ORDER BY charge_id LIMIT 1)
               ) AS first ORDER BY id LIMIT 1"#,
        );
        Ok(ids.fetch_optional(&self.pool).await?)
    }
}

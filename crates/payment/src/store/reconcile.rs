//! What reconciliation reads of our own tables, in pages. Each read is one statement, so a row and what the ledger moved for
//! it are seen as they stood together.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;
use vocabulary::{ChargeId, PaymentId, RefundId, ReservationId, UserId};

use super::{Store, StoreError};
use crate::domain::reconcile::{
    CardSums, ChargeFacts, Moved, OpenFacts, OwnOrder, PaymentFacts, Purse, RefundFacts, Share, WalletFacts,
};

/// Names the lock that one reconciliation at a time holds; nobody else in this database takes an advisory lock.
const LOCK: i64 = 0x7265_636f_6e63;
/// The most open sagas beyond their bound that one run names.
const MOST_STUCK: i64 = 1_000;

/// Card money that the ledger moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardMove {
    /// The transfer.
    pub transfer_id: Uuid,
    /// The order of its payment or charge.
    pub order_id: String,
    /// How much, and which way.
    pub sums: CardSums,
}

/// A payment that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// What it paid.
    pub reservation_id: ReservationId,
    /// Which.
    pub payment_id: PaymentId,
}

/// How many sagas of one kind are under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// `payment`, `charge` or `refund`.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// How long the oldest has been.
    pub oldest_seconds: i64,
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
             WHERE state = 'SUCCEEDED' AND reservation_id > $1 AND reservation_id <= $2
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
            r#"SELECT payment_id AS "payment_id!" FROM payments WHERE reservation_id = $1 AND state = 'SUCCEEDED'
               UNION ALL
               SELECT payment_id FROM payments
               WHERE reservation_id = $1 AND state NOT IN ('SUCCEEDED', 'FAILED', 'REFUNDED')"#,
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

    /// Card money that moved, in the order of the transfers' ids.
    ///
    /// # Errors
    /// The database.
    pub async fn card_moves(
        &self,
        after: Uuid,
        until: Uuid,
        limit: i64,
    ) -> Result<Vec<CardMove>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT t.transfer_id, t.kind, t.amount, coalesce(p.order_id, c.order_id, '') AS "order_id!"
               FROM transfers t LEFT JOIN payments p USING (payment_id) LEFT JOIN charges c USING (charge_id)
               WHERE t.transfer_id > $1 AND t.transfer_id <= $2 AND t.kind IN ('CAPTURE', 'REFUND', 'CHARGE')
               ORDER BY t.transfer_id LIMIT $3"#,
            after,
            until,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let moves = rows.into_iter().map(|row| CardMove {
            transfer_id: row.transfer_id,
            order_id: row.order_id,
            sums: if row.kind == "REFUND" {
                CardSums {
                    captured: 0,
                    returned: row.amount,
                }
            } else {
                CardSums {
                    captured: row.amount,
                    returned: 0,
                }
            },
        });
        Ok(moves.collect())
    }

    /// What our tables know of one order.
    ///
    /// # Errors
    /// The database.
    pub async fn own_order(&self, order_id: &str) -> Result<OwnOrder, StoreError> {
        let row = sqlx::query!(
            r#"SELECT count(*) > 0 AS "known!", coalesce(bool_or(open), false) AS "open!",
                      coalesce(sum(captured), 0)::bigint AS "captured!",
                      coalesce(sum(returned), 0)::bigint AS "returned!"
               FROM (
                   SELECT p.resume_at IS NOT NULL OR EXISTS (
                              SELECT FROM refunds r WHERE r.payment_id = p.payment_id AND r.resume_at IS NOT NULL
                          ) AS open,
                          (SELECT sum(t.amount) FROM transfers t
                           WHERE t.payment_id = p.payment_id AND t.kind = 'CAPTURE') AS captured,
                          (SELECT sum(t.amount) FROM transfers t
                           WHERE t.payment_id = p.payment_id AND t.kind = 'REFUND') AS returned
                   FROM payments p WHERE p.order_id = $1
                   UNION ALL
                   SELECT c.resume_at IS NOT NULL,
                          (SELECT sum(t.amount) FROM transfers t WHERE t.charge_id = c.charge_id),
                          0
                   FROM charges c WHERE c.order_id = $1
               ) AS holders"#,
            order_id,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(OwnOrder {
            known: row.known,
            open: row.open,
            ledger: CardSums {
                captured: row.captured,
                returned: row.returned,
            },
        })
    }

    /// Users who have a wallet, in the order of their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn wallet_owners(&self, after: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
        let users = sqlx::query_scalar!(
            "SELECT user_id FROM wallets WHERE user_id > $1 ORDER BY user_id LIMIT $2",
            after,
            limit,
        );
        Ok(users.fetch_all(&self.pool).await?)
    }

    /// Users who have wallet entries and no wallet.
    ///
    /// # Errors
    /// The database.
    pub async fn entries_without_wallet(&self, limit: i64) -> Result<Vec<Uuid>, StoreError> {
        let users = sqlx::query_scalar!(
            "SELECT DISTINCT user_id FROM transfers t
             WHERE (debit = 'WALLET' OR credit = 'WALLET')
               AND NOT EXISTS (SELECT FROM wallets w WHERE w.user_id = t.user_id)
             LIMIT $1",
            limit,
        );
        Ok(users.fetch_all(&self.pool).await?)
    }

    /// Transfers in the order of their ids, each with its user.
    ///
    /// # Errors
    /// The database.
    pub async fn moving_users(
        &self,
        after: Uuid,
        until: Uuid,
        limit: i64,
    ) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT transfer_id, user_id FROM transfers WHERE transfer_id > $1 AND transfer_id <= $2
             ORDER BY transfer_id LIMIT $3",
            after,
            until,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.transfer_id, row.user_id))
            .collect())
    }

    /// The wallets of these users, each beside the sums of its transfers.
    ///
    /// # Errors
    /// The database.
    pub async fn wallet_facts(&self, users: &[Uuid]) -> Result<Vec<WalletFacts>, StoreError> {
        // What was posted is found by its payment, whose purchase stands in the wallet's index; itself it does not.
        let rows = sqlx::query!(
            r#"SELECT u.user_id AS "user_id!", coalesce(w.balance, 0) AS "balance!", coalesce(w.pending, 0) AS "pending!",
                      entries.balance AS "told_balance!", entries.held - posted.amount AS "told_pending!"
               FROM unnest($1::uuid[]) AS u (user_id) LEFT JOIN wallets w USING (user_id)
               CROSS JOIN LATERAL (
                   SELECT coalesce(sum(CASE WHEN t.credit = 'WALLET' THEN t.amount ELSE -t.amount END), 0)::bigint
                              AS balance,
                          coalesce(sum(CASE 'HELD' WHEN t.credit THEN t.amount WHEN t.debit THEN -t.amount END), 0)::bigint
                              AS held
                   FROM transfers t WHERE t.user_id = u.user_id AND (t.debit = 'WALLET' OR t.credit = 'WALLET')
               ) AS entries
               CROSS JOIN LATERAL (
                   SELECT coalesce(sum(p.amount), 0)::bigint AS amount
                   FROM transfers t JOIN transfers p ON p.payment_id = t.payment_id AND p.kind = 'POST'
                   WHERE t.user_id = u.user_id AND (t.debit = 'WALLET' OR t.credit = 'WALLET') AND t.kind = 'PURCHASE'
               ) AS posted"#,
            users,
        )
        .fetch_all(&self.pool)
        .await?;
        let facts = rows.into_iter().map(|row| WalletFacts {
            user_id: UserId::from_uuid(row.user_id),
            kept: Purse {
                balance: row.balance,
                pending: row.pending,
            },
            told: Purse {
                balance: row.told_balance,
                pending: row.told_pending,
            },
        });
        Ok(facts.collect())
    }

    /// How many sagas of each kind are under way.
    ///
    /// # Errors
    /// The database.
    pub async fn under_way(&self) -> Result<Vec<UnderWay>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT what AS "what!", count(*) AS "count!",
                      extract(epoch FROM frontrow_now() - min(created_at))::bigint AS "oldest!"
               FROM (
                   SELECT 'payment' AS what, created_at FROM payments WHERE resume_at IS NOT NULL
                   UNION ALL SELECT 'charge', created_at FROM charges WHERE resume_at IS NOT NULL
                   UNION ALL SELECT 'refund', created_at FROM refunds WHERE resume_at IS NOT NULL
               ) AS open GROUP BY what ORDER BY what"#,
        )
        .fetch_all(&self.pool)
        .await?;
        let under_way = rows.into_iter().map(|row| UnderWay {
            what: word(&row.what),
            count: u64::try_from(row.count).unwrap_or(0),
            oldest_seconds: row.oldest,
        });
        Ok(under_way.collect())
    }

    /// Sagas that have been under way for longer than this, the oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn open_longer_than(&self, seconds: i64) -> Result<Vec<OpenFacts>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT what AS "what!", id AS "id!", state AS "state!",
                      extract(epoch FROM frontrow_now() - created_at)::bigint AS "age!"
               FROM (
                   SELECT 'payment' AS what, payment_id AS id, state, created_at FROM payments WHERE resume_at IS NOT NULL
                   UNION ALL
                   SELECT 'charge', charge_id, state, created_at FROM charges WHERE resume_at IS NOT NULL
                   UNION ALL
                   SELECT 'refund', refund_id, state, created_at FROM refunds WHERE resume_at IS NOT NULL
               ) AS open
               WHERE created_at < frontrow_now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2"#,
            seconds as f64,
            MOST_STUCK,
        )
        .fetch_all(&self.pool)
        .await?;
        let open = rows.into_iter().map(|row| OpenFacts {
            what: word(&row.what),
            id: row.id,
            state: row.state,
            age_seconds: row.age,
        });
        Ok(open.collect())
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

fn word(what: &str) -> &'static str {
    match what {
        "charge" => "charge",
        "refund" => "refund",
        _ => "payment",
    }
}

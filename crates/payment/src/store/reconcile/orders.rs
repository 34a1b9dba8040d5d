//! Card money in the ledger, by order.

use uuid::Uuid;

use crate::domain::reconcile::{CardSums, OwnOrder};
use crate::store::{Store, StoreError};

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

impl Store {
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
}

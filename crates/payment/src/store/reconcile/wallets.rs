//! Wallets beside the sums of their entries.

use uuid::Uuid;
use vocabulary::UserId;

use crate::domain::reconcile::{Purse, WalletFacts};
use crate::store::{Store, StoreError};

impl Store {
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
}

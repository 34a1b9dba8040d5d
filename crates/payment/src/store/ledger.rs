//! Wallets and what moved in them. Payments, charges and refunds move money with their transitions, each in its own file.

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, ChargeId, LedgerEntryId, PaymentId, RefundId, UserId};

use super::{Store, StoreError};
use crate::domain::TransferKind;

/// A user's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wallet {
    /// Can be spent.
    pub balance: i64,
    /// Set aside for payments in flight.
    pub pending: i64,
}

/// One line of a wallet's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id; later entries have greater ones.
    pub entry_id: LedgerEntryId,
    /// Points; below zero when taken.
    pub amount: i64,
    /// Why.
    pub kind: String,
    /// For which payment; none for a grant and a charge.
    pub payment_id: Option<PaymentId>,
    /// By which charge; none for everything else.
    pub charge_id: Option<ChargeId>,
    /// By which refund; none for everything else.
    pub refund_id: Option<RefundId>,
    /// When.
    pub created_at: OffsetDateTime,
}

/// What came of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantOutcome {
    /// The points are there now.
    Granted,
    /// They were there already, by the same operation.
    AlreadyGranted,
    /// The operation's name was used for another grant.
    OperationUsed,
}

impl Store {
    /// A user's points; a wallet that was never touched is empty.
    ///
    /// # Errors
    /// The database.
    pub async fn wallet(&self, user_id: UserId) -> Result<Wallet, StoreError> {
        let found = sqlx::query_as!(
            Wallet,
            "SELECT balance, pending FROM wallets WHERE user_id = $1",
            user_id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.unwrap_or_default())
    }

    /// Up to `limit` entries of a user's history, newest first, those older than `before` where it is given.
    ///
    /// # Errors
    /// The database.
    pub async fn entries(
        &self,
        user_id: UserId,
        before: Option<LedgerEntryId>,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT transfer_id, CASE WHEN debit = 'WALLET' THEN -amount ELSE amount END AS "amount!",
                      kind, payment_id, charge_id, refund_id, created_at
               FROM transfers
               WHERE user_id = $1 AND (debit = 'WALLET' OR credit = 'WALLET')
                 AND transfer_id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
               ORDER BY transfer_id DESC
               LIMIT $3"#,
            user_id.as_uuid(),
            before.map(|id| id.as_uuid()),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let entries = rows.into_iter().map(|row| Entry {
            entry_id: LedgerEntryId::from_uuid(row.transfer_id),
            amount: row.amount,
            kind: row.kind,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            charge_id: row.charge_id.map(ChargeId::from_uuid),
            refund_id: row.refund_id.map(RefundId::from_uuid),
            created_at: row.created_at,
        });
        Ok(entries.collect())
    }

    /// Gives a user points, once for each `operation`.
    ///
    /// # Errors
    /// The database.
    pub async fn grant(
        &self,
        user_id: UserId,
        points: Amount,
        operation: &str,
    ) -> Result<GrantOutcome, StoreError> {
        let kind = TransferKind::Grant;
        let operation = format!("grant:{operation}");
        let granted = sqlx::query!(
            "INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (operation) DO NOTHING",
            Uuid::now_v7(),
            operation,
            kind.as_str(),
            kind.debit(),
            kind.credit(),
            user_id.as_uuid(),
            points.get(),
        )
        .execute(&self.pool)
        .await?;
        if granted.rows_affected() == 1 {
            return Ok(GrantOutcome::Granted);
        }
        let same = sqlx::query_scalar!(
            r#"SELECT user_id = $2 AND amount = $3 AS "same!" FROM transfers WHERE operation = $1"#,
            operation,
            user_id.as_uuid(),
            points.get(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(if same {
            GrantOutcome::AlreadyGranted
        } else {
            GrantOutcome::OperationUsed
        })
    }
}

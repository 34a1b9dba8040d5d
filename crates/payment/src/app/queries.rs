//! What users see of their own payments and points.

use vocabulary::{LedgerEntryId, PaymentId, UserId};

use super::App;
use crate::domain::Payment;
use crate::store::{Entry, StoreError, Wallet};

/// A page of a wallet's history.
#[derive(Debug)]
pub struct EntryPage {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none when there is no more.
    pub next: Option<LedgerEntryId>,
}

impl App {
    /// A payment of this user; one of another is as one that does not exist.
    ///
    /// # Errors
    /// The store.
    pub async fn payment(
        &self,
        user_id: UserId,
        payment_id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        let found = self.store.payment(payment_id).await?;
        Ok(found.filter(|payment| payment.user_id == user_id))
    }

    /// A user's points.
    ///
    /// # Errors
    /// The store.
    pub async fn wallet(&self, user_id: UserId) -> Result<Wallet, StoreError> {
        self.store.wallet(user_id).await
    }

    /// A page of a user's history, older than `before`.
    ///
    /// # Errors
    /// The store.
    pub async fn wallet_entries(
        &self,
        user_id: UserId,
        before: Option<LedgerEntryId>,
        limit: u32,
    ) -> Result<EntryPage, StoreError> {
        // One more than asked for tells whether there is a next page.
        let mut entries = self.store.entries(user_id, before, i64::from(limit) + 1).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|entry| entry.entry_id);
        Ok(EntryPage { entries, next })
    }
}

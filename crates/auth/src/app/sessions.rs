//! Forgetting sessions whose time is over.

use super::{AppError, Auth, Lines};

/// Sessions that one step deletes at most.
pub const FORGET_BATCH: u32 = 500;

impl<L: Lines> Auth<L> {
    /// Deletes up to [`FORGET_BATCH`] sessions whose time is over, with their tokens; answers how many.
    ///
    /// # Errors
    /// The store is away.
    pub async fn forget_lapsed_sessions(&self) -> Result<u64, AppError> {
        let forgotten = self.store.delete_lapsed_sessions(FORGET_BATCH).await?;
        metrics::counter!("auth_sessions_forgotten_total").increment(forgotten);
        Ok(forgotten)
    }
}

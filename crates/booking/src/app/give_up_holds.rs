//! Gives up what is held of canceled dates.

use super::{AppError, Booking};

impl Booking {
    /// How many holds are given up in one transaction.
    pub const GIVE_UP_BATCH: u32 = 200;

    /// One step: `PENDING -> CANCELED` for at most `limit` holds of canceled dates. Answers how many that were.
    ///
    /// Once a date is canceled no hold of it comes into being, so those that are left have lapsed a hold's length later:
    /// expiry ends them, and dates that were canceled longer ago need no look.
    ///
    /// # Errors
    /// The store failed.
    pub async fn give_up_holds(&self, limit: u32) -> Result<u32, AppError> {
        let freed = self.store.give_up_holds(self.times.hold, limit).await?;
        let given_up = u32::try_from(freed.len()).unwrap_or(u32::MAX);
        if given_up > 0 {
            metrics::counter!("booking_given_up_total").increment(given_up.into());
            tracing::info!(given_up, "holds of canceled dates are given up");
            self.settle(&freed).await;
        }
        Ok(given_up)
    }
}

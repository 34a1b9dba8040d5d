//! Places and visits compared: what a crash or a silent Redis left between the two stores.

use std::sync::Arc;
use std::time::Duration;

use super::{AppError, Queue};
use crate::domain::{Room, millis};
use crate::store::Plan;

/// Calls are kept a little longer than anybody may come late.
const CALLS_KEPT_LONGER: Duration = Duration::from_secs(60);

impl Queue {
    /// Settles claims that are not valid any more and of which no end was heard: their visits are committed, or never
    /// will be.
    pub(super) async fn settle(&self, room: &Room, plan: &Plan) -> Result<(), AppError> {
        if plan.overdue.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = plan.overdue.iter().map(|(number, _)| *number).collect();
        let admitted = self.visits.settle_claims(room.concert_id, &numbers).await?;
        let window_end = room.clock + self.options.timings.claim;
        debug_assert!(
            plan.overdue
                .iter()
                .all(|(_, valid_until_ms)| *valid_until_ms <= millis(room.now))
        );
        for (number, valid_until_ms) in &plan.overdue {
            if admitted.contains(number) {
                self.line
                    .confirm(room.concert_id, *number, *valid_until_ms)
                    .await?;
            } else {
                self.line
                    .give_back(room.concert_id, *number, *valid_until_ms, window_end)
                    .await?;
            }
            metrics::counter!("queue_claims_settled_total").increment(1);
        }
        Ok(())
    }

    /// Frees places whose visit has left the page without the line being told, and drops calls that nobody may answer
    /// any more.
    ///
    /// # Errors
    /// A store is away.
    pub async fn reconcile(&self) -> Result<(), AppError> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let on_page = self.visits.count_all_pages().await?;
        for (concert, room) in &snapshot.rooms {
            // The counts are of two moments and only a hint; what follows is exact.
            if u64::from(room.inside) <= on_page.get(concert).copied().unwrap_or(0) {
                continue;
            }
            let concert = *concert;
            // A place whose claim has ended had its visit committed before: without a page now, it never has one again.
            let taken = self.line.settled_pages(concert).await?;
            for number in self.visits.off_page(concert, &taken).await? {
                self.line.leave_page(concert, number).await?;
                self.waker.wake(concert);
                metrics::counter!("queue_places_reconciled_total").increment(1);
                tracing::warn!(concert_id = %concert, number = number.0, "freed the place of a visit that is over");
            }
        }
        let timings = &self.options.timings;
        let kept_for = timings.claim * 2 + timings.late + CALLS_KEPT_LONGER;
        while self.visits.prune_calls(kept_for).await? {}
        Ok(())
    }
}

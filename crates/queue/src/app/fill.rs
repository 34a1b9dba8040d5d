//! Filling a room that Redis has lost.

use vocabulary::ConcertId;

use super::{AppError, Queue};

impl Queue {
    /// Fills a room from Postgres under a new epoch, unless somebody else has done it: the room then holds an epoch, other
    /// than `outdated`.
    pub(super) async fn fill(&self, concert: ConcertId, outdated: Option<i64>) -> Result<(), AppError> {
        let _one_at_a_time = self.filling.lock().await;
        let held = self.line.epoch(concert).await?;
        if held.is_some() && held != outdated {
            return Ok(());
        }
        let claim_window = self.options.timings.claim;
        let filling = self.visits.begin_epoch(concert, claim_window).await?;
        let filling = filling.ok_or(AppError::RoomNotFound)?;
        self.line.fill(concert, &filling, claim_window).await?;
        metrics::counter!("queue_rooms_filled_total").increment(1);
        tracing::info!(
            concert_id = %concert, epoch = filling.epoch, serving = filling.serving.0, pages = filling.pages.len(),
            called = filling.called.len(), "filled the room's line",
        );
        Ok(())
    }
}

//! Filling a room that Redis has lost.

use std::time::Duration;

use vocabulary::ConcertId;

use super::{AppError, Queue};
use crate::store::{Filler, Line};

/// How often one who waits for another's filling looks again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Queue {
    /// Fills a room from Postgres under a new epoch, or waits for who does. A room filled under `outdated` counts as lost.
    pub(super) async fn fill(&self, concert: ConcertId, outdated: Option<i64>) -> Result<(), AppError> {
        // Nobody waits for the filling of a room that does not exist.
        self.visits.room(concert).await?.ok_or(AppError::RoomNotFound)?;
        let filling = async {
            loop {
                match self.line.begin_filling(concert, outdated).await? {
                    Filler::Nobody => return Ok(()),
                    Filler::Us => return self.fill_now(concert).await,
                    Filler::SomebodyElse => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        // Longer than the right to fill lasts: after a filler that died it is ours.
        let bounded = tokio::time::timeout(Line::FILLING_RIGHT * 2, filling);
        bounded.await.map_err(|_| AppError::Unsettled)?
    }

    async fn fill_now(&self, concert: ConcertId) -> Result<(), AppError> {
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

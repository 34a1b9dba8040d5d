//! What became of a room's visits, for its operator.

use vocabulary::ConcertId;

use super::{AppError, Queue, RoomView};
use crate::store::VisitCounts;

/// Counting a million visits takes Postgres a fifth of a second: many who watch wait for each other, not the line for them.
pub(super) const COUNTS_AT_ONCE: usize = 1;

/// A room, with what became of those who were called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomStats {
    /// Waiting, called, inside.
    pub view: RoomView,
    /// Visits, by what became of them.
    pub visits: VisitCounts,
    /// Turns that were missed.
    pub lapsed: u64,
}

impl Queue {
    /// A room with its counts of this moment.
    ///
    /// # Errors
    /// No such room; Postgres is away.
    pub async fn room_stats(&self, concert: ConcertId) -> Result<RoomStats, AppError> {
        let _turn = self.countings.acquire().await.map_err(|_| AppError::Busy)?;
        let room = self.visits.room(concert).await?.ok_or(AppError::RoomNotFound)?;
        let counts = self.counts(&room).await?;
        Ok(RoomStats {
            visits: self.visits.count_visits(concert).await?,
            // A Redis that has just come back knows no more than was kept.
            lapsed: counts.lapsed.max(room.lapsed),
            view: self.view_counted(room, counts).await?,
        })
    }
}

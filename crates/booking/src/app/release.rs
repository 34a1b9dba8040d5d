//! The owner gives an unpaid hold up.

use futures::{StreamExt as _, stream};
use vocabulary::{ReservationId, UserId};

use super::{AppError, Booking};
use crate::domain::Event;
use crate::store::{Freed, VisitNotice};

/// How many reservations' locks are given back at once.
const LOCKS_AT_ONCE: usize = 16;

impl Booking {
    /// Gives an unpaid hold up; its seats are on sale again.
    ///
    /// # Errors
    /// There is none of this user; a payment runs or succeeded; or the store failed.
    pub async fn release_reservation(&self, user_id: UserId, id: ReservationId) -> Result<(), AppError> {
        // Whose it is never changes, so it need not be part of the guard.
        if self.load(id).await?.reservation.user_id != user_id {
            return Err(AppError::NotFound("reservation"));
        }
        let (_, freed) = self
            .apply(id, Event::Release, |before| async move {
                self.store.release(&before).await
            })
            .await?;
        self.settle(freed.as_slice()).await;
        Ok(())
    }

    /// What is left to do once seats are back on sale: their locks go, and queue hears.
    pub(super) async fn settle(&self, freed: &[Freed]) {
        let notices: Vec<VisitNotice> = freed.iter().filter_map(|freed| freed.notice).collect();
        let unlocks: Vec<_> = freed
            .iter()
            .map(|freed| {
                self.seat_locks
                    .give_back(freed.reservation_id, freed.schedule_id, &freed.seat_ids)
            })
            .collect();
        let unlock_all = stream::iter(unlocks)
            .buffer_unordered(LOCKS_AT_ONCE)
            .collect::<()>();
        tokio::join!(unlock_all, self.notices.tell(&notices));
    }
}

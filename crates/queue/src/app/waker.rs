//! Which rooms want to be looked at before the next tick.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use vocabulary::ConcertId;

#[derive(Debug, Default)]
pub(super) struct Waker {
    rooms: Mutex<BTreeSet<ConcertId>>,
    notify: Notify,
}

impl Waker {
    /// Something happened in this room that may let somebody in.
    pub(super) fn wake(&self, concert: ConcertId) {
        self.rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(concert);
        self.notify.notify_one();
    }

    /// Waits for the next wake.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }

    /// The rooms that were woken since the last call.
    pub(super) fn take(&self) -> BTreeSet<ConcertId> {
        std::mem::take(&mut *self.rooms.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

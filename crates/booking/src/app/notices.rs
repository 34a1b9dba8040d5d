//! Telling queue what became of a visit: at once by whoever made it so, and by the relay where that failed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};

use super::Booking;
use crate::store::{NoticeId, StoreError, VisitNotice};

/// How long the caller of a use case waits for queue to hear; after that the relay goes on.
const AT_ONCE: Duration = Duration::from_millis(400);
/// How many calls to queue run at once.
const CALLS_AT_ONCE: usize = 16;
/// How many notices the relay takes up in one step.
const RELAY_BATCH: u32 = 256;
/// Beyond this, rows stay for the relay to tell once more, which is harmless.
const MAX_REMEMBERED: usize = 20_000;

/// Notices that queue has heard and whose rows can go: the relay removes many with one statement, so that no hold waits
/// for a second commit.
#[derive(Debug, Default)]
pub(super) struct Notices {
    heard: Mutex<Vec<NoticeId>>,
}

impl Notices {
    fn remember(&self, id: NoticeId) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < MAX_REMEMBERED {
            heard.push(id);
        }
    }

    fn take(&self) -> Vec<NoticeId> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Booking {
    /// Tells queue now, within a short time. What it does not hear stays in the outbox.
    pub(super) async fn tell_queue(&self, notices: &[VisitNotice]) {
        let telling = self.tell_each(notices);
        if tokio::time::timeout(AT_ONCE, telling).await.is_err() {
            tracing::warn!(
                notices = notices.len(),
                "queue is slow to hear; the relay goes on"
            );
        }
    }

    /// One step of the relay: removes what was heard, takes up what was not, and tells it. Answers how many notices it
    /// took up.
    ///
    /// # Errors
    /// The store failed.
    pub async fn relay_notices(&self) -> Result<usize, StoreError> {
        self.forget_heard().await?;
        let notices = self.store.lease_notices(RELAY_BATCH).await?;
        self.tell_each(&notices).await;
        self.forget_heard().await?;
        Ok(notices.len())
    }

    /// Whether a step that took up `count` may have left some for another.
    pub(crate) const fn may_be_more_notices(count: usize) -> bool {
        count >= RELAY_BATCH as usize
    }

    async fn forget_heard(&self) -> Result<(), StoreError> {
        let heard = self.notices.take();
        if heard.is_empty() {
            return Ok(());
        }
        self.store.remove_notices(&heard).await
    }

    async fn tell_each(&self, notices: &[VisitNotice]) {
        stream::iter(notices.iter().copied())
            .for_each_concurrent(CALLS_AT_ONCE, |notice| async move {
                let word = notice.notice.as_str();
                match self.queue.tell(&notice).await {
                    Ok(()) => {
                        self.notices.remember(notice.id);
                        metrics::counter!("booking_visit_notices_total", "notice" => word, "outcome" => "heard")
                            .increment(1);
                    }
                    Err(problem) => {
                        tracing::warn!(visit_id = %notice.visit_id, notice = word, error = %problem, "queue did not hear");
                        metrics::counter!("booking_visit_notices_total", "notice" => word, "outcome" => "failed")
                            .increment(1);
                    }
                }
            })
            .await;
    }
}

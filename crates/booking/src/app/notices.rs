//! Telling queue what became of a visit: at once by whoever made it so, and by the relay where that failed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use service_kit::batch::MOST_TOGETHER;
use service_kit::problem::Problem;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::Booking;
use crate::grpc::queue::{Queue, VisitOutcome};
use crate::store::{Notice, NoticeId, StoreError, VisitNotice};

/// How long the caller of a use case waits for queue to hear; after that the relay goes on.
const AT_ONCE: Duration = Duration::from_millis(400);
/// How many calls to queue run at once.
const CALLS_AT_ONCE: usize = 16;
/// How much is told at once aside of whoever made it so.
const TELLING_AT_ONCE: usize = 64;
/// How many notices the relay takes up in one step.
const RELAY_BATCH: u32 = 256;
/// Beyond this, rows stay for the relay to tell once more, which is harmless.
const MAX_REMEMBERED: usize = 20_000;

/// Tells queue, and knows of what its rows can go: the relay removes many with one statement, so that no hold waits for a
/// second commit.
#[derive(Debug)]
pub(super) struct Notices {
    queue: Queue,
    heard: Mutex<Vec<NoticeId>>,
    telling: Arc<Semaphore>,
}

impl Notices {
    pub(super) fn new(queue: Queue) -> Arc<Self> {
        Arc::new(Self {
            queue,
            heard: Mutex::default(),
            telling: Arc::new(Semaphore::new(TELLING_AT_ONCE)),
        })
    }

    fn remember(&self, notices: &[VisitNotice]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() < MAX_REMEMBERED {
            heard.extend(notices.iter().map(|notice| notice.id));
        }
    }

    fn take(&self) -> Vec<NoticeId> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells queue now, within a short time. What it does not hear stays in the outbox.
    pub(super) async fn tell(&self, notices: &[VisitNotice]) {
        let telling = self.tell_each(notices);
        if tokio::time::timeout(AT_ONCE, telling).await.is_err() {
            tracing::warn!(
                notices = notices.len(),
                "queue is slow to hear; the relay goes on"
            );
        }
    }

    /// As [`Self::tell`], for a caller whom it need not keep. Where so much is being told already, the relay tells it.
    pub(super) fn tell_aside(self: &Arc<Self>, notices: Vec<VisitNotice>) {
        if let Ok(permit) = Arc::clone(&self.telling).try_acquire_owned() {
            let all = Arc::clone(self);
            let telling = async move {
                all.tell(&notices).await;
                drop(permit);
            };
            tokio::spawn(telling.in_current_span());
        }
    }

    /// One call for each page that ended, and one for many visits.
    async fn tell_each(&self, notices: &[VisitNotice]) {
        let (pages, ends): (Vec<_>, Vec<_>) = notices
            .iter()
            .copied()
            .partition(|notice| notice.notice == Notice::PageEnded);
        let calls = pages.chunks(1).chain(ends.chunks(MOST_TOGETHER));
        stream::iter(calls)
            .for_each_concurrent(CALLS_AT_ONCE, |told| async move {
                let outcome = match self.tell_together(told).await {
                    Ok(()) => {
                        self.remember(told);
                        "heard"
                    }
                    Err(problem) => {
                        for notice in told {
                            let word = notice.notice.as_str();
                            tracing::warn!(visit_id = %notice.visit_id, notice = word, error = %problem, "queue did not hear");
                        }
                        "failed"
                    }
                };
                for notice in told {
                    let word = notice.notice.as_str();
                    metrics::counter!("booking_visit_notices_total", "notice" => word, "outcome" => outcome)
                        .increment(1);
                }
            })
            .await;
    }

    /// Tells queue that one page ended, or that visits did.
    async fn tell_together(&self, notices: &[VisitNotice]) -> Result<(), Problem> {
        let mut ends = Vec::with_capacity(notices.len());
        for notice in notices {
            match notice.notice {
                Notice::PageEnded => self.queue.end_page(notice.visit_id).await?,
                Notice::Completed => ends.push((notice.visit_id, VisitOutcome::Completed)),
                Notice::Expired => ends.push((notice.visit_id, VisitOutcome::Expired)),
            }
        }
        if ends.is_empty() {
            return Ok(());
        }
        self.queue.end_visits(ends).await
    }
}

impl Booking {
    /// One step of the relay: removes what was heard, takes up what was not, and tells it. Answers how many notices it
    /// took up.
    ///
    /// # Errors
    /// The store failed.
    pub async fn relay_notices(&self) -> Result<usize, StoreError> {
        self.forget_heard().await?;
        let notices = self.store.lease_notices(RELAY_BATCH).await?;
        self.notices.tell_each(&notices).await;
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
}

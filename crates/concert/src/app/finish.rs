//! Finishes what is kept but not seen yet: a concert whose room, a date whose seats another service has to make, a sale
//! that it has to close, a date that it has to cancel.
//!
//! All calls are harmless to repeat. A lease keeps two workers from making them at once, so that a late repetition
//! does not undo a change of the room that came after.

use std::time::Duration;

use vocabulary::{ConcertId, ScheduleId};

use super::{App, AppError, LEASE};
use crate::peers::Opening;
use crate::store::{Lease, ScheduleRef, UnfinishedConcert};

/// The most that one run finishes.
const RUN_LIMIT: u32 = 32;
/// How long the resumer leaves alone what it could not finish.
const PAUSE: Duration = Duration::from_secs(2);

/// What one run of the resumer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Concerts and dates that are now seen.
    pub finished: u32,
    /// Those that have to wait further.
    pub failed: u32,
}

impl App {
    /// Finishes concerts and dates that their requests left unfinished. Works on what waited longest, and leaves alone
    /// what somebody else is at.
    ///
    /// # Errors
    /// The store failed.
    pub async fn finish_unfinished(&self) -> Result<Resumed, AppError> {
        let mut resumed = Resumed::default();
        for _ in 0..RUN_LIMIT {
            let Some(concert) = self.store.lease_next_concert(LEASE).await? else {
                break;
            };
            let finished = self.make_room(&concert).await;
            resumed.note("concert", &finished);
            if finished.is_err() {
                self.store.release_concert(concert.concert_id, PAUSE).await?;
            }
        }
        for _ in 0..RUN_LIMIT {
            let Some(schedule) = self.store.lease_next_schedule(LEASE).await? else {
                break;
            };
            let finished = self.open_seats(&schedule).await;
            resumed.note("schedule", &finished);
            if finished.is_err() {
                self.store.release_schedule(schedule.schedule_id, PAUSE).await?;
            }
        }
        for _ in 0..RUN_LIMIT {
            let Some(date) = self.store.lease_next_closing(LEASE).await? else {
                break;
            };
            // What fails is tried again when its lease is over.
            let closed = self.finish_closing(date).await.map(|_| ());
            resumed.note("closing", &closed);
        }
        for _ in 0..RUN_LIMIT {
            let Some(date) = self.store.lease_next_cancellation(LEASE).await? else {
                break;
            };
            let canceled = self.finish_cancellation(date).await.map(|_| ());
            resumed.note("cancellation", &canceled);
        }
        Ok(resumed)
    }

    /// For whoever holds the lease. After a failure the lease is free at once: the caller may come again.
    pub(super) async fn finish_concert(&self, concert: &UnfinishedConcert) -> Result<(), AppError> {
        let made = self.make_room(concert).await;
        if made.is_err()
            && let Err(error) = self
                .store
                .release_concert(concert.concert_id, Duration::ZERO)
                .await
        {
            tracing::warn!(%error, concert_id = %concert.concert_id, "a lease has to run out");
        }
        made
    }

    pub(super) async fn finish_schedule(&self, schedule: &ScheduleRef) -> Result<(), AppError> {
        let opened = self.open_seats(schedule).await;
        if opened.is_err()
            && let Err(error) = self
                .store
                .release_schedule(schedule.schedule_id, Duration::ZERO)
                .await
        {
            tracing::warn!(%error, schedule_id = %schedule.schedule_id, "a lease has to run out");
        }
        opened
    }

    pub(super) async fn finish_concert_made_before(
        &self,
        concert_id: ConcertId,
    ) -> Result<ConcertId, AppError> {
        match self.store.lease_concert(concert_id, LEASE).await? {
            Lease::Finished => {}
            Lease::Busy => return Err(AppError::StillRunning),
            Lease::Taken(concert) => self.finish_concert(&concert).await?,
        }
        Ok(concert_id)
    }

    pub(super) async fn finish_schedule_made_before(
        &self,
        schedule_id: ScheduleId,
    ) -> Result<ScheduleId, AppError> {
        match self.store.lease_schedule(schedule_id, LEASE).await? {
            Lease::Finished => {}
            Lease::Busy => return Err(AppError::StillRunning),
            Lease::Taken(schedule) => self.finish_schedule(&schedule).await?,
        }
        Ok(schedule_id)
    }

    async fn make_room(&self, concert: &UnfinishedConcert) -> Result<(), AppError> {
        self.queue.put_room(concert.concert_id, &concert.room).await?;
        self.store.list_concert(concert.concert_id).await?;
        self.cache.invalidate(concert.concert_id).await;
        Ok(())
    }

    async fn open_seats(&self, schedule: &ScheduleRef) -> Result<(), AppError> {
        let terms = self.store.sale_terms(schedule.schedule_id).await?;
        let terms = terms.ok_or(AppError::NotFound("schedule"))?;
        let layout = self.layouts.layout_to_be(schedule.schedule_id).await?;
        let opening = Opening {
            schedule_id: schedule.schedule_id,
            concert_id: schedule.concert_id,
            layout: &layout,
            starts_at: terms.starts_at,
            refund_policy: &terms.refund_policy,
        };
        self.booking.open_schedule(opening).await?;
        self.store.put_on_sale(schedule.schedule_id).await?;
        self.cache.invalidate(schedule.concert_id).await;
        Ok(())
    }
}

impl Resumed {
    fn note(&mut self, what: &'static str, finished: &Result<(), AppError>) {
        let outcome = match finished {
            Ok(()) => {
                self.finished += 1;
                "finished"
            }
            Err(error) => {
                self.failed += 1;
                tracing::warn!(error = error as &dyn std::error::Error, what, "not finished yet");
                "failed"
            }
        };
        metrics::counter!("concert_resumed_total", "what" => what, "outcome" => outcome).increment(1);
    }
}

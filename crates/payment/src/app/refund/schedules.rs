//! Dates that their organisers canceled: what was paid for them is refunded, so many reservations a round and no more.
//!
//! Booking's list is the truth: a reservation leaves it when its refund has canceled it, so a round that was cut off, or made
//! by two processes at once, is made good by the next. The refunds themselves are driven as any that are due.

use std::time::Duration;

use service_kit::telemetry::causes;
use tokio_util::sync::CancellationToken;
use vocabulary::ReservationId;

use crate::app::App;
use crate::app::saga::points;
use crate::booking::BookingError;
use crate::domain::Refund;
use crate::store::StoreError;

/// Why a round came to nothing; the next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// Booking.
    #[error(transparent)]
    Booking(#[from] BookingError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Begins refunds for a batch of paid reservations of canceled dates, those after `after`. Answers where the next round
    /// goes on; `None` = from the first.
    ///
    /// # Errors
    /// Booking or the store is away.
    pub async fn refund_schedules_once(
        &self,
        after: Option<ReservationId>,
    ) -> Result<Option<ReservationId>, RoundError> {
        let batch = self.settings.refund_batch;
        let paid = self.booking.to_refund(after, batch).await?;
        let last = paid.last().map(|(reservation_id, _)| *reservation_id);
        if !paid.is_empty() {
            let begun = self.store.insert_schedule_refunds(&paid).await?;
            metrics::counter!("payment_schedule_refunds_total").increment(begun);
            if begun > 0 {
                points::begun::<Refund>();
            }
        }
        let is_full = usize::try_from(batch).is_ok_and(|batch| paid.len() >= batch);
        Ok(last.filter(|_| is_full))
    }

    /// Makes a round every `pace` until `stop`.
    ///
    /// # Errors
    /// Never; the type is that of a task.
    pub async fn keep_refunding_schedules(
        self,
        pace: Duration,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + pace, pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut after = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
            match stop.run_until_cancelled(self.refund_schedules_once(after)).await {
                Some(Ok(next)) => after = next,
                Some(Err(error)) => {
                    tracing::warn!(error = causes(&error), "canceled dates cannot be refunded now");
                }
                None => return Ok(()),
            }
        }
    }
}

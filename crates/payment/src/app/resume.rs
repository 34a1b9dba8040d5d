//! Sagas whose driver died, or that wait for something: whichever replica is alive takes them up.
//!
//! Each kind has places of its own, so that a flood of one does not keep another waiting.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use service_kit::telemetry::causes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::App;
use super::saga::{Position, Saga, SagaError};
use crate::domain::{Charge, Payment, Refund};
use crate::store::StoreError;

impl App {
    /// Takes up what is due of every kind and carries it as far as it goes now. Answers how many sagas that were.
    ///
    /// # Errors
    /// The store.
    pub async fn resume_once(&self) -> Result<usize, StoreError> {
        let payments = self.resume_due::<Payment>().await?;
        let charges = self.resume_due::<Charge>().await?;
        let refunds = self.resume_due::<Refund>().await?;
        Ok(payments + charges + refunds)
    }

    async fn resume_due<S: Saga>(&self) -> Result<usize, StoreError> {
        let due = self.take_up::<S>(S::places(&self.settings)).await?;
        let count = due.len();
        join_all(due.into_iter().map(|saga| self.resume(saga))).await;
        Ok(count)
    }

    /// Resumes what is due of one kind every `pace`, from one `pace` on, until `stop`. A slow saga holds up its own place and no
    /// other.
    ///
    /// # Errors
    /// Never; the type is that of a task.
    pub async fn keep_resuming<S: Saga>(self, pace: Duration, stop: CancellationToken) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(S::places(&self.settings)));
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + pace, pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
            let free = places.available_permits();
            if free == 0 {
                continue;
            }
            // What is taken up and not driven is due again when its lease ends.
            let Some(due) = stop.run_until_cancelled(self.take_up::<S>(free)).await else {
                return Ok(());
            };
            match due {
                Ok(due) => {
                    for saga in due {
                        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                            return Ok(());
                        };
                        let app = self.clone();
                        self.sagas.spawn(async move {
                            app.resume(saga).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(saga = S::KIND, error = causes(&error), "due sagas cannot be read");
                }
            }
        }
    }

    async fn take_up<S: Saga>(&self, limit: usize) -> Result<Vec<S>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = S::take_up_due(&self.store, limit, self.settings.provider_lease).await?;
        metrics::counter!("payment_resumed_total", "saga" => S::KIND).increment(due.len() as u64);
        Ok(due)
    }

    async fn resume<S: Saga>(&self, saga: S) {
        let Position { id, state, .. } = saga.position();
        tracing::info!(saga = S::KIND, saga_id = %id, state, "resumed");
        match self.drive(saga, Duration::ZERO).await {
            Ok(_) | Err(SagaError::Store(StoreError::Superseded)) => {}
            Err(error) => {
                tracing::error!(saga = S::KIND, saga_id = %id, state, error = causes(&error), "a saga is stuck for now");
            }
        }
    }
}

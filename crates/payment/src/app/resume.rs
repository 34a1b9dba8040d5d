//! Payments whose driver died, or that wait for something: whichever replica is alive takes them up.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use service_kit::telemetry::causes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::App;
use super::saga::SagaError;
use crate::domain::Payment;
use crate::store::StoreError;

impl App {
    /// Takes up what is due and carries it as far as it goes now. Answers how many payments that were.
    ///
    /// # Errors
    /// The store.
    pub async fn resume_once(&self) -> Result<usize, StoreError> {
        let due = self.take_up(self.settings.resume_concurrency).await?;
        let count = due.len();
        join_all(due.into_iter().map(|payment| self.resume(payment))).await;
        Ok(count)
    }

    /// Resumes what is due every `pace` until `stop`. A slow payment holds up its own place and no other.
    ///
    /// # Errors
    /// Never; the type is that of a task.
    pub async fn keep_resuming(self, pace: Duration, stop: CancellationToken) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(self.settings.resume_concurrency));
        let mut ticks = tokio::time::interval(pace);
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
            let Some(due) = stop.run_until_cancelled(self.take_up(free)).await else {
                return Ok(());
            };
            match due {
                Ok(due) => {
                    for payment in due {
                        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                            return Ok(());
                        };
                        let app = self.clone();
                        self.sagas.spawn(async move {
                            app.resume(payment).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(error = causes(&error), "due payments cannot be read");
                }
            }
        }
    }

    async fn take_up(&self, limit: usize) -> Result<Vec<Payment>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self
            .store
            .take_up_due(limit, self.settings.provider_lease)
            .await?;
        metrics::counter!("payment_resumed_total").increment(due.len() as u64);
        Ok(due)
    }

    async fn resume(&self, payment: Payment) {
        let (payment_id, state) = (payment.payment_id, payment.state);
        tracing::info!(%payment_id, %state, "resumed");
        match self.drive(payment, Duration::ZERO).await {
            Ok(_) | Err(SagaError::Store(StoreError::Superseded)) => {}
            Err(error) => {
                tracing::error!(%payment_id, %state, error = causes(&error), "a payment is stuck for now");
            }
        }
    }
}

//! Reconciling by itself, again and again, on one replica at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use service_kit::rounds::repeat;
use service_kit::telemetry::causes;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{App, ReconcileError, Report, Scope};
use crate::domain::reconcile::Difference;

/// How often the service reconciles by itself, and what.
#[derive(Debug, Clone)]
pub struct ReconcileSettings {
    /// The pause between two runs; zero switches them off.
    pub every: Duration,
    /// How far back a run looks.
    pub window: Duration,
    /// What is under way for longer than this is stuck.
    pub stuck_after: Duration,
}

impl App {
    /// Reconciles what is recent every so often, until `stop`.
    ///
    /// # Errors
    /// Never; the type is that of a task.
    pub async fn keep_reconciling(
        self,
        settings: ReconcileSettings,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        if settings.every.is_zero() {
            stop.cancelled().await;
            return Ok(());
        }
        // A process that has just started has other things to do.
        stop.run_until_cancelled(tokio::time::sleep(settings.every)).await;
        let round = async || {
            let run = stop.run_until_cancelled(self.reconcile_recent(&settings)).await;
            if let Some(Err(error)) = run {
                tracing::warn!(error = causes(&error), "the books could not be compared");
            }
            settings.every
        };
        repeat(stop.clone(), round).await
    }

    /// One run over what is recent, unless another replica is at it.
    ///
    /// # Errors
    /// A book cannot be read.
    pub async fn reconcile_recent(
        &self,
        settings: &ReconcileSettings,
    ) -> Result<Option<Report>, ReconcileError> {
        let Some(lock) = self.store.try_reconcile_lock().await? else {
            return Ok(None);
        };
        let started = Instant::now();
        let scope = Scope {
            since: Some(OffsetDateTime::now_utc() - settings.window),
            stuck_after: settings.stuck_after,
        };
        let report = self.reconcile(&scope, &|_| {}).await;
        lock.release().await;
        let report = report?;
        tell(&report, started.elapsed());
        Ok(Some(report))
    }
}

fn tell(report: &Report, took: Duration) {
    let mut counts: BTreeMap<_, f64> = Difference::CODES.iter().map(|code| (*code, 0.0)).collect();
    for difference in &report.differences {
        *counts.entry(difference.code()).or_default() += 1.0;
        tracing::error!(
            difference = difference.code(),
            error = difference.cause(),
            "books differ"
        );
    }
    for (code, count) in counts {
        metrics::gauge!("payment_reconciliation_differences", "code" => code).set(count);
    }
    if report.complete {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        metrics::gauge!("payment_reconciliation_last_success_timestamp_seconds").set(now as f64);
    }
    tracing::info!(
        took_ms = service_kit::telemetry::millis(took),
        differences = report.differences.len(),
        "books compared"
    );
}

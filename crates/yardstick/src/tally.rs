//! What many callers at once did, and how long each call took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Calls that were answered as they should be.
#[derive(Debug)]
pub(crate) struct Tally {
    /// In nanoseconds.
    latencies: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latencies: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        })
    }

    pub(crate) fn answered(&mut self, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(nanos);
    }

    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.latencies.add(&other.latencies)?)
    }

    pub(crate) fn json(&self, took: Duration) -> Value {
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        let latencies = BTreeMap::from([
            ("p50", micros(self.latencies.value_at_quantile(0.5))),
            ("p99", micros(self.latencies.value_at_quantile(0.99))),
            ("max", micros(self.latencies.max())),
        ]);
        json!({ "done": self.latencies.len(), "seconds": took.as_secs_f64(), "latencyMicros": latencies })
    }
}

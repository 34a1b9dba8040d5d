//! Rounds of one thing, and their medians.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::cpu::Used;
use super::super::load::Load;
use super::super::stats::{Spread, per};
use super::yardstick::Tally;

/// The name of what measures, in figures of CPU.
pub(super) const YARDSTICK: &str = "yardstick";

/// One round: so many calls in so many seconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Round {
    pub(super) done: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Microseconds of CPU for one call, by process.
    pub(super) cpu_micros_each: BTreeMap<&'static str, f64>,
    /// Cores that processes used which have nothing to do with this.
    pub(super) other_cores: f64,
}

impl Round {
    pub(super) fn of(load: &Load, used: &Used) -> Round {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        Round {
            failures: load.failed.clone(),
            p50_ms: ms(load.latencies.value_at_quantile(0.5)),
            p99_ms: ms(load.latencies.value_at_quantile(0.99)),
            max_ms: ms(load.latencies.max()),
            ..Round::counted(load.done, load.took, used)
        }
    }

    /// Callers of a program that has ended.
    pub(super) fn of_tally(tally: &Tally, used: &Used) -> Round {
        let latency = &tally.latency_micros;
        let took = Duration::from_secs_f64(tally.seconds);
        let mut round = Round {
            p50_ms: latency.p50 / 1_000.0,
            p99_ms: latency.p99 / 1_000.0,
            max_ms: latency.max / 1_000.0,
            ..Round::counted(tally.done, took, used)
        };
        let program = used.ended_children.as_micros() as f64;
        round.cpu_micros_each.insert(YARDSTICK, per(program, tally.done));
        round
    }

    fn counted(done: u64, took: Duration, used: &Used) -> Round {
        let seconds = took.as_secs_f64();
        let each = used.by_process.iter();
        Round {
            done,
            failures: BTreeMap::new(),
            seconds,
            per_second: done as f64 / seconds,
            p50_ms: 0.0,
            p99_ms: 0.0,
            max_ms: 0.0,
            cpu_micros_each: each
                .map(|(name, time)| (*name, per(time.as_micros() as f64, done)))
                .collect(),
            other_cores: used.others.as_secs_f64() / seconds,
        }
    }

    /// CPU of one process for one call, in microseconds.
    pub(super) fn cpu(&self, process: &str) -> f64 {
        self.cpu_micros_each.get(process).copied().unwrap_or_default()
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8.0}/s, p50 {:.2} ms, p99 {:.2} ms",
            self.per_second, self.p50_ms, self.p99_ms
        )?;
        for (reason, count) in &self.failures {
            write!(f, ", {count} FAILED: {reason}")?;
        }
        Ok(())
    }
}

/// Rounds of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured(pub(super) Vec<Round>);

impl Measured {
    pub(super) fn over(&self, figure: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.0.iter().map(figure))
    }

    /// Of each round by the one that was made beside it.
    pub(super) fn ratio(&self, to: &Measured, figure: impl Fn(&Round) -> f64) -> Spread {
        let pairs = self.0.iter().zip(&to.0);
        Spread::of(
            pairs
                .map(|(ours, theirs)| (figure(ours), figure(theirs)))
                .filter(|(_, theirs)| *theirs > 0.0)
                .map(|(ours, theirs)| ours / theirs),
        )
    }

    pub(super) fn failures(&self) -> u64 {
        self.0.iter().flat_map(|round| round.failures.values()).sum()
    }

    /// Medians by process.
    pub(super) fn cpu(&self) -> BTreeMap<&'static str, f64> {
        let names = self.0.iter().flat_map(|round| round.cpu_micros_each.keys());
        names
            .map(|name| (*name, self.over(|round| round.cpu(name)).median))
            .collect()
    }

    pub(super) fn json(&self) -> Result<Value> {
        Ok(json!({
            "perSecond": self.over(|round| round.per_second),
            "p50Ms": self.over(|round| round.p50_ms),
            "p99Ms": self.over(|round| round.p99_ms),
            "failures": self.failures(),
            "cpuMicrosEach": self.cpu(),
            "rounds": serde_json::to_value(&self.0)?,
        }))
    }
}

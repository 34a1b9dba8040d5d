//! What `bench pay` found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::bench::cpu::{CLIENT, Used};
use crate::bench::facts::Facts;
use crate::bench::load::Load;
use crate::bench::pgbench::Ran;
use crate::bench::postgres::Written;
use crate::bench::stats::{Commits, Spread, commit_ratio, per};

/// What the ratio of points-only payments should be at least.
pub(super) const AIM: f64 = 0.8;

/// Microseconds of CPU by process.
type CpuMicros = BTreeMap<&'static str, f64>;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    pub(super) seconds: u32,
    pub(super) rounds: u32,
    pub(super) concurrency: u32,
    pub(super) pgbench_clients: u32,
    pub(super) buyers: usize,
    pub(super) pgbench_commits_per_script: u32,
}

/// What was counted of payments that were alone, one after another, background work of the system taken off.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    /// Transactions that wrote, of the whole server.
    pub(super) writes_per_payment: f64,
    /// All transactions by database, those included that only read.
    pub(super) transactions_per_payment: BTreeMap<String, f64>,
}

/// Payments through the gateway, for some seconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PayRound {
    pub(super) payments: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    pub(super) writes_per_payment: f64,
    pub(super) wal_bytes_per_payment: f64,
    pub(super) cpu_micros_per_payment: CpuMicros,
    /// Cores that processes used which have nothing to do with this.
    pub(super) other_cores: f64,
    /// The holds were paid before the time was over.
    pub(super) ran_dry: bool,
}

impl PayRound {
    pub(super) fn of(load: &Load, used: &Used, written: Written) -> PayRound {
        let seconds = load.took.as_secs_f64();
        let ms = |micros: u64| micros as f64 / 1_000.0;
        PayRound {
            payments: load.done,
            failures: load.failed.clone(),
            seconds,
            per_second: load.done as f64 / seconds,
            p50_ms: ms(load.latencies.value_at_quantile(0.5)),
            p99_ms: ms(load.latencies.value_at_quantile(0.99)),
            max_ms: ms(load.latencies.max()),
            writes_per_payment: per(written.transactions as f64, load.done),
            wal_bytes_per_payment: per(written.wal_bytes as f64, load.done),
            cpu_micros_per_payment: cpu_per(used, load.done),
            other_cores: used.others.as_secs_f64() / seconds,
            ran_dry: load.ran_dry,
        }
    }

    fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl fmt::Display for PayRound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.0}/s in {:.1} s, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {:.2} commits each",
            self.per_second, self.seconds, self.p50_ms, self.p99_ms, self.max_ms, self.writes_per_payment
        )?;
        for (reason, count) in &self.failures {
            write!(f, ", {count} FAILED: {reason}")?;
        }
        if self.ran_dry {
            write!(f, ", no hold was left before the time was over")?;
        }
        Ok(())
    }
}

/// pgbench's scripts, for some seconds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PgbenchRound {
    pub(super) scripts: u64,
    pub(super) per_second: f64,
    pub(super) mean_ms: f64,
    pub(super) writes_per_script: f64,
    pub(super) wal_bytes_per_script: f64,
    pub(super) cpu_micros_per_script: CpuMicros,
    pub(super) other_cores: f64,
}

impl PgbenchRound {
    pub(super) fn of(ran: &Ran, used: &Used, written: Written) -> PgbenchRound {
        let mut cpu = cpu_per(used, ran.scripts);
        cpu.remove(CLIENT);
        let program = used.ended_children.as_micros() as f64;
        cpu.insert("pgbench", per(program, ran.scripts));
        let seconds = ran.scripts as f64 / ran.scripts_per_second;
        PgbenchRound {
            scripts: ran.scripts,
            per_second: ran.scripts_per_second,
            mean_ms: ran.mean_ms,
            writes_per_script: per(written.transactions as f64, ran.scripts),
            wal_bytes_per_script: per(written.wal_bytes as f64, ran.scripts),
            cpu_micros_per_script: cpu,
            other_cores: used.others.as_secs_f64() / seconds,
        }
    }
}

impl fmt::Display for PgbenchRound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.0}/s, mean {:.1} ms, {:.2} commits each",
            self.per_second, self.mean_ms, self.writes_per_script
        )
    }
}

fn cpu_per(used: &Used, count: u64) -> CpuMicros {
    let each = used.by_process.iter();
    each.map(|(name, time)| (*name, per(time.as_micros() as f64, count)))
        .collect()
}

/// One way to pay.
#[derive(Debug, Clone)]
pub(super) struct Paid {
    pub(super) counted: Counted,
    pub(super) rounds: Vec<PayRound>,
}

impl Paid {
    pub(super) fn new(counted: Counted) -> Paid {
        Paid {
            counted,
            rounds: Vec::new(),
        }
    }

    pub(super) fn over(&self, figure: impl Fn(&PayRound) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(figure))
    }

    pub(super) fn cpu(&self) -> CpuMicros {
        medians(self.rounds.iter().map(|round| &round.cpu_micros_per_payment))
    }

    pub(super) fn failures(&self) -> u64 {
        self.rounds.iter().map(PayRound::failed).sum()
    }

    /// Each round by the one of pgbench that was made beside it. A payment counts for the commits that it makes when it is
    /// alone, however many others share them in the round.
    pub(super) fn ratio(&self, pgbench: &[PgbenchRound]) -> Spread {
        let pairs = self.rounds.iter().zip(pgbench);
        Spread::of(pairs.map(|(paid, pgbench)| {
            commit_ratio(
                Commits {
                    runs_per_second: paid.per_second,
                    commits_per_run: self.counted.writes_per_payment,
                },
                Commits {
                    runs_per_second: pgbench.per_second,
                    commits_per_run: pgbench.writes_per_script,
                },
            )
        }))
    }

    fn json(&self, pgbench: &[PgbenchRound]) -> Result<Value> {
        Ok(json!({
            "perSecond": self.over(|round| round.per_second),
            "p50Ms": self.over(|round| round.p50_ms),
            "p99Ms": self.over(|round| round.p99_ms),
            "maxMs": self.over(|round| round.max_ms),
            "failures": self.failures(),
            "ratio": self.ratio(pgbench),
            "counted": serde_json::to_value(&self.counted)?,
            "cpuMicrosPerPayment": self.cpu(),
            "rounds": serde_json::to_value(&self.rounds)?,
        }))
    }
}

fn medians<'a>(rounds: impl Iterator<Item = &'a CpuMicros> + Clone) -> CpuMicros {
    let names: Vec<&'static str> = rounds.clone().flat_map(BTreeMap::keys).copied().collect();
    names
        .into_iter()
        .map(|name| {
            let values = rounds.clone().filter_map(|round| round.get(name).copied());
            (name, Spread::of(values).median)
        })
        .collect()
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) facts: Facts,
    pub(super) settings: Settings,
    pub(super) points: Paid,
    pub(super) card: Paid,
    pub(super) pgbench: Vec<PgbenchRound>,
}

impl Figures {
    pub(super) fn failures(&self) -> u64 {
        self.points.failures() + self.card.failures()
    }

    pub(super) fn json(&self) -> Result<Value> {
        let over = |figure: fn(&PgbenchRound) -> f64| Spread::of(self.pgbench.iter().map(figure));
        Ok(json!({
            "bench": "pay",
            "facts": serde_json::to_value(&self.facts)?,
            "settings": serde_json::to_value(&self.settings)?,
            "points": self.points.json(&self.pgbench)?,
            "card": self.card.json(&self.pgbench)?,
            "pgbench": {
                "perSecond": over(|round| round.per_second),
                "meanMs": over(|round| round.mean_ms),
                "cpuMicrosPerScript": self.pgbench_cpu(),
                "rounds": serde_json::to_value(&self.pgbench)?,
            },
        }))
    }

    pub(super) fn pgbench_cpu(&self) -> CpuMicros {
        medians(self.pgbench.iter().map(|round| &round.cpu_micros_per_script))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::documented::{documented, written};

    const MAPS: [&str; 4] = [
        "cpuMicrosPerPayment",
        "cpuMicrosPerScript",
        "transactionsPerPayment",
        "failures",
    ];

    fn round(per_second: f64, writes_per_payment: f64) -> PayRound {
        PayRound {
            payments: 100,
            failures: BTreeMap::from([("answered 503 unavailable".to_owned(), 2)]),
            seconds: 5.0,
            per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            max_ms: 3.0,
            writes_per_payment,
            wal_bytes_per_payment: 5_000.0,
            cpu_micros_per_payment: BTreeMap::from([("payment", 300.0)]),
            other_cores: 0.1,
            ran_dry: false,
        }
    }

    fn pgbench(per_second: f64) -> PgbenchRound {
        PgbenchRound {
            scripts: 100,
            per_second,
            mean_ms: 1.0,
            writes_per_script: 6.0,
            wal_bytes_per_script: 2_000.0,
            cpu_micros_per_script: BTreeMap::from([("postgres", 100.0)]),
            other_cores: 0.0,
        }
    }

    fn figures() -> Figures {
        let counted = Counted {
            writes_per_payment: 6.0,
            transactions_per_payment: BTreeMap::from([("payment".to_owned(), 4.0)]),
        };
        let paid = |rounds: Vec<PayRound>| Paid {
            counted: counted.clone(),
            rounds,
        };
        Figures {
            facts: Facts {
                date: "2026-11-20T10:00:00Z".to_owned(),
                commit: "0123456789abcdef".to_owned(),
                changed: false,
                cores: 2,
                processor: "a processor".to_owned(),
                memory_mib: 4_096,
                kernel: "6.1".to_owned(),
                postgres: "15.14".to_owned(),
                fsync: "on".to_owned(),
                synchronous_commit: "on".to_owned(),
            },
            settings: Settings {
                seconds: 5,
                rounds: 3,
                concurrency: 16,
                pgbench_clients: 8,
                buyers: 256,
                pgbench_commits_per_script: 6,
            },
            // The first round's payments shared many of their commits.
            points: paid(vec![round(800.0, 0.5), round(450.0, 6.0), round(700.0, 6.0)]),
            card: paid(vec![round(600.0, 9.0)]),
            pgbench: vec![pgbench(1_000.0), pgbench(500.0), pgbench(1_000.0)],
        }
    }

    #[test]
    fn each_round_is_compared_with_the_one_beside_it() {
        let figures = figures();
        let ratio = figures.points.ratio(&figures.pgbench);
        // Not the quotient of the medians: the machine was slow in the second round, for both.
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.8, 0.7, 0.9));
        assert_eq!(figures.card.ratio(&figures.pgbench).median, 0.6);
    }

    #[test]
    fn no_failure_is_hidden() {
        let figures = figures();
        assert_eq!(figures.failures(), 8);
        assert_eq!(figures.json().unwrap()["points"]["failures"], 6);
        assert!(
            figures.points.rounds[0]
                .to_string()
                .contains("2 FAILED: answered 503")
        );
    }

    #[test]
    fn cpu_is_shared_out_among_payments() {
        let used = Used {
            by_process: BTreeMap::from([("payment", Duration::from_millis(200)), (CLIENT, Duration::ZERO)]),
            ended_children: Duration::from_millis(50),
            others: Duration::ZERO,
        };
        assert_eq!(cpu_per(&used, 1_000)["payment"], 200.0);
        let ran = Ran {
            scripts: 100,
            scripts_per_second: 20.0,
            mean_ms: 50.0,
        };
        let round = PgbenchRound::of(&ran, &used, Written::default());
        assert_eq!(round.cpu_micros_per_script["pgbench"], 500.0);
        assert!(!round.cpu_micros_per_script.contains_key(CLIENT));
    }

    #[test]
    fn the_file_has_the_documented_fields_and_no_other() {
        let written = written(&figures().json().unwrap(), &MAPS);
        assert_eq!(written, documented("pay"));
    }
}

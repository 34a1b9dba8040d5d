//! `cargo xtask bench queue`: what it costs to wait. Polls beside handlers that do less, joins beside the line's own
//! script, memory and costs by the length of the line, and how long a freed place waits for its next user.
//! docs/performance.md says what is counted and what the ratios mean.

mod joins;
mod lag;
mod measured;
mod polls;
mod redis;
mod report;
mod sizes;
mod table;
mod yardstick;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::Serialize;

use self::redis::Redis;
use self::report::Figures;
use self::yardstick::Yardstick;
use super::facts::Facts;
use super::postgres::Postgres;
use super::stage::Stage;
use super::{FROM_ONE_ADDRESS, positive, publish};
use crate::report::Report;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Also write everything that was measured to this file; docs/performance.md describes its fields.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// How long each round of polls and of joins lasts.
    #[arg(long, default_value_t = 5, value_parser = positive)]
    pub(super) seconds: u32,
    /// Rounds of everything that is compared.
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub(super) rounds: u32,
    /// Short lines and few people: shows that everything works, and measures nothing worth keeping.
    #[arg(long)]
    pub(super) quick: bool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    seconds: u32,
    rounds: u32,
    quick: bool,
    /// Of the clients that poll.
    connections: usize,
    /// Who poll by rank.
    ranked: usize,
    /// Who join through HTTP, in one room after another.
    users: usize,
    /// Joins under way at once.
    joins_at_once: usize,
    /// Rounds in which one thing after another is timed.
    cost_rounds: u32,
    lag: lag::Settings,
}

impl Settings {
    fn new(options: &Options) -> Settings {
        let quick = options.quick;
        Settings {
            seconds: options.seconds,
            rounds: options.rounds,
            quick,
            connections: 32,
            ranked: if quick { 10_000 } else { 1_000_000 },
            users: if quick { 128 } else { 768 },
            joins_at_once: 32,
            cost_rounds: if quick { 2 } else { 3 * options.rounds },
            lag: lag::Settings::new(quick),
        }
    }

    /// Lengths of line, the shortest first.
    fn sizes(&self) -> [u64; 3] {
        match self.quick {
            true => [1_000, 5_000, 20_000],
            false => [1_000, 100_000, 1_000_000],
        }
    }
}

/// What every measurement works with.
struct Bench<'a> {
    settings: Settings,
    stage: &'a Stage,
    yardstick: Yardstick<'a>,
    redis: Redis,
    report: &'a Report,
}

pub(crate) async fn run(
    options: &Options,
    root: &Path,
    bin_dir: PathBuf,
    stage: &mut Stage,
    report: &Report,
) -> Result<()> {
    report.heading("a system of its own");
    let program = bin_dir.join("yardstick");
    stage.start(root, bin_dir, &FROM_ONE_ADDRESS, report).await?;
    let postgres = Postgres::connect(&stage.postgres()?).await?;
    let bench = Bench {
        settings: Settings::new(options),
        yardstick: Yardstick::new(program, root, stage)?,
        redis: Redis::at(stage.redis()?),
        stage,
        report,
    };
    let facts = Facts::gather(root, &postgres).await?;
    let version = bench.redis.look().await?.version()?;
    // The rooms that are made for joins come last: every tick looks at all there are.
    let figures = Figures {
        polls: polls::measure(&bench).await?,
        sizes: sizes::measure(&bench).await?,
        lag: lag::measure(&bench).await?,
        joins: joins::measure(&bench).await?,
        redis: version,
        settings: bench.settings,
        facts,
    };
    publish(&figures, &figures.json()?, options.json.as_deref())?;
    let failures = figures.failures();
    ensure!(failures == 0, "{failures} calls failed");
    Ok(())
}

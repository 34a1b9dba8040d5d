//! `cargo xtask bench`: how fast something is, beside what this machine could do at best, in one run.
//!
//! A machine drifts by a third between minutes, so a figure alone says little. What is measured and what it is measured
//! by take turns, in rounds; the answer is the median of their ratios, and how far the rounds are apart.

mod client;
mod cpu;
#[cfg(test)]
mod documented;
mod facts;
mod load;
mod pay;
mod pgbench;
mod postgres;
mod prometheus;
mod queue;
mod stage;
mod stats;
mod users;
mod wire;

use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;

use crate::cargo::{self, Built};
use crate::report::{Report, say};
use crate::stop::Stop;
use stage::Stage;

/// Preparing must not be in the way: everybody comes from one address, and stays logged in.
const FROM_ONE_ADDRESS: [(&str, &str); 6] = [
    ("SIGN_UPS_PER_ADDRESS", "1000000"),
    ("LOGIN_FAILURES_PER_ADDRESS", "1000000"),
    ("JOINS_PER_USER", "0"),
    ("JOINS_PER_ADDRESS", "0"),
    ("HASH_WAIT_MS", "30000"),
    ("ACCESS_TOKEN_SECONDS", "86400"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Payments per second through the gateway, beside pgbench making the same number of commits.
    Pay(pay::Options),
    /// What waiting costs: polls, joins, memory by the length of the line, and how long a freed place stays free.
    Queue(queue::Options),
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let report = Report::new();
    let mut stop = Stop::listen()?;
    let mut stage = Stage::default();
    let measuring = async {
        let root = cargo::root()?;
        report.heading("optimised programs (the first time takes some minutes)");
        let bin_dir = cargo::build(&root, Built::OptimisedPrograms).await?;
        // The client shares the machine with what it measures: it must not be the slow one.
        if cfg!(debug_assertions) {
            let mut optimised = std::process::Command::new(bin_dir.join("xtask"));
            let error = optimised.args(std::env::args_os().skip(1)).exec();
            return Err(error).context("cannot start the optimised client");
        }
        match &options.what {
            What::Pay(options) => pay::run(options, &root, bin_dir, &mut stage, &report).await,
            What::Queue(options) => queue::run(options, &root, bin_dir, &mut stage, &report).await,
        }
    };
    let outcome = tokio::select! {
        outcome = measuring => outcome,
        signal = stop.wished() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    if let Err(error) = &outcome {
        eprintln!("\nerror: {error:#}\n");
    }
    tokio::select! {
        () = stage.stop(&report) => {}
        // A second wish is one for haste: what is left is killed.
        _ = stop.wished() => report.step("killing what is left"),
    }
    match outcome {
        Ok(()) => {
            stage.clear().await?;
            Ok(ExitCode::SUCCESS)
        }
        Err(_) => Ok(ExitCode::FAILURE),
    }
}

/// Says what was found, and writes it to `file` for programs.
fn publish(figures: &impl fmt::Display, json: &Value, file: Option<&Path>) -> Result<()> {
    say(&figures.to_string());
    let Some(path) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(json)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// For options: a number that makes sense.
fn positive(text: &str) -> Result<u32> {
    match text.parse() {
        Ok(0) => bail!("must be 1 or more"),
        number => Ok(number?),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bench: Options,
    }

    fn parse(words: &str) -> clap::error::Result<What> {
        let line = Line::try_parse_from(format!("bench {words}").split_whitespace())?;
        Ok(line.bench.what)
    }

    fn pay(words: &str) -> pay::Options {
        match parse(words) {
            Ok(What::Pay(options)) => options,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn bench_pay_takes_a_file_a_time_a_concurrency_and_rounds() {
        let settings = |options: &pay::Options| {
            let pay::Options {
                seconds,
                concurrency,
                clients,
                rounds,
                ..
            } = *options;
            (seconds, concurrency, clients, rounds)
        };
        let options = pay("pay");
        assert_eq!(settings(&options), (5, 256, 48, 3));
        assert_eq!(options.json, None);
        let options = pay("pay --json out.json --seconds 2 --concurrency 64 --clients 8 --rounds 1");
        assert_eq!(settings(&options), (2, 64, 8, 1));
        assert_eq!(options.json.as_deref(), Some(Path::new("out.json")));
    }

    #[test]
    fn bench_queue_takes_a_file_a_time_rounds_and_a_wish_for_haste() {
        let Ok(What::Queue(options)) = parse("queue") else {
            unreachable!("it was asked for");
        };
        assert_eq!(
            (options.seconds, options.rounds, options.quick, options.json),
            (5, 3, false, None)
        );
        let Ok(What::Queue(options)) = parse("queue --quick --json out.json --seconds 1 --rounds 2") else {
            unreachable!("it was asked for");
        };
        assert_eq!((options.seconds, options.rounds, options.quick), (1, 2, true));
        assert_eq!(options.json.as_deref(), Some(Path::new("out.json")));
    }

    #[test]
    fn bench_refuses_what_measures_nothing() {
        for words in [
            "",
            "sleep",
            "pay --seconds 0",
            "pay --concurrency 0",
            "pay --rounds x",
            "queue --seconds 0",
            "queue --concurrency 3",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}

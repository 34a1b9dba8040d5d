//! `cargo xtask test`: everything that must hold before a change is taken, with servers of its own.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use local_servers::{Durability, Endpoints, Given, Home, Kind, Servers};

use crate::cargo::{self, Built};
use crate::report::{Report, say};
use crate::stop::Stop;
use crate::{deploy_checks, docs, fuzz_api, proto, sqlx};

/// Tests take these for the servers to use.
const VARIABLES: [(Kind, &str); 3] = [
    (Kind::Postgres, "FRONTROW_TEST_POSTGRES_URL"),
    (Kind::Redis, "FRONTROW_TEST_REDIS_URL"),
    (Kind::RabbitMq, "FRONTROW_TEST_AMQP_URL"),
];

const DENY_VERSION: &str = "0.20.2";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only the tests whose names contain this, and none of the other checks.
    filter: Option<String>,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let mut steps = Steps::new();
    let mut stop = Stop::listen()?;
    let mut servers = None;
    let outcome = tokio::select! {
        outcome = check_all(&options, &mut steps, &mut servers) => outcome,
        signal = stop.wished() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    if let Some(servers) = servers {
        tokio::select! {
            () = Servers::stop(servers) => {}
            _ = stop.wished() => {}
        }
    }
    let all_well = steps.summary();
    outcome?;
    if options.filter.is_none() {
        steps.keep(&cargo::root()?)?;
    }
    Ok(if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A failed step is noted and the next one done; the error is one that leaves nothing to do.
async fn check_all(options: &Options, steps: &mut Steps, servers: &mut Option<Servers>) -> Result<()> {
    let root = cargo::root()?;
    let home = Home::open(root.join(".frontrow/test")).await?;
    // Tests ask for nothing that an earlier run has left.
    home.empty().await?;
    let report = steps.report;
    if options.filter.is_none() {
        let mut fmt = cargo::cargo(&root);
        fmt.args(["fmt", "--all", "--check"]);
        steps.take("formatting", cargo::succeed(fmt)).await;

        let mut clippy = cargo::cargo(&root);
        clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
        steps.take("clippy", cargo::succeed(clippy)).await;

        steps.take("dependencies", deny(&root, &report)).await;
        steps.take_if("contracts", proto::check(&root, &report)).await;
        steps
            .take_if("containers", deploy_checks::containers(&root, &report))
            .await;
        steps
            .take_if("manifests", deploy_checks::manifests(&root, &report))
            .await;
    }
    let mut bin_dir = PathBuf::new();
    let built = async {
        bin_dir = cargo::build(&root, Built::ProgramsAndTests).await?;
        Ok(())
    };
    if !steps.take("build", built).await {
        return Ok(());
    }
    if options.filter.is_none() {
        steps.take("generated pages", docs::check(&root, &bin_dir)).await;
        steps.take("queries", Box::pin(sqlx::renew(true, &report))).await;
    }

    let given = Given::from_variables(|kind| {
        let (_, test) = VARIABLES[kind as usize];
        if std::env::var_os(test).is_some() {
            test
        } else {
            kind.variable()
        }
    });
    let mut urls = Vec::new();
    let started = async {
        let acquired = Servers::acquire(&home, &given, Durability::Off, &|line| report.step(line)).await?;
        urls = VARIABLES
            .iter()
            .map(|(kind, name)| (*name, acquired.url(*kind).to_string()))
            .collect();
        *servers = Some(acquired);
        Ok(())
    };
    if !steps.take("servers", Box::pin(started)).await {
        return Ok(());
    }
    if let (None, Some(servers)) = (&options.filter, &*servers) {
        let fuzzing = fuzz_api::Options::default();
        let fuzzed = fuzz_api::check(&root, &bin_dir, Endpoints::from(servers), &fuzzing, &report);
        steps.take_if("fuzzed API", Box::pin(fuzzed)).await;
    }
    let mut tests = cargo::cargo(&root);
    tests.args(["test", "--workspace", "--no-fail-fast"]).envs(urls);
    if let Some(filter) = &options.filter {
        tests.args(["--", filter]);
    }
    steps.take("tests", cargo::succeed(tests)).await;
    Ok(())
}

/// Licences, sources and doubled dependencies, by cargo-deny; advisories need a database from the network.
async fn deny(root: &Path, report: &Report) -> Result<()> {
    let program = match std::process::Command::new("cargo-deny").arg("--version").output() {
        Ok(output) if output.status.success() => PathBuf::from("cargo-deny"),
        _ => installed_deny(root, report).await?,
    };
    // Called directly, since it may stand outside PATH; it finds cargo by itself.
    let mut command = cargo::program(root, program);
    command.args([
        "--log-level",
        "warn",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    cargo::succeed(command).await
}

async fn installed_deny(root: &Path, report: &Report) -> Result<PathBuf> {
    let tools = root.join(".frontrow/tools");
    let program = tools.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    report.step(&format!(
        "installing cargo-deny {DENY_VERSION} into .frontrow/tools, once; one to two minutes"
    ));
    let target = tools.join("target");
    let mut install = cargo::cargo(root);
    // Unoptimised: it builds in a third of the time, and runs for a second.
    install
        .args([
            "install",
            "cargo-deny",
            "--version",
            DENY_VERSION,
            "--locked",
            "--debug",
            "--quiet",
            "--root",
        ])
        .arg(&tools)
        .env("CARGO_TARGET_DIR", &target);
    cargo::succeed(install)
        .await
        .context("cargo-deny could not be installed")?;
    let _ = std::fs::remove_dir_all(target);
    Ok(program)
}

/// What was done, how long it took, and whether it went well.
struct Steps {
    report: Report,
    done: Vec<(&'static str, f64, Verdict)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Failed,
    /// This machine lacks what it needs.
    Skipped(String),
}

impl Steps {
    fn new() -> Steps {
        Steps {
            report: Report::new(),
            done: Vec::new(),
        }
    }

    async fn take(&mut self, name: &'static str, step: impl Future<Output = Result<()>>) -> bool {
        self.take_if(name, async { step.await.map(|()| None) }).await
    }

    /// A step that may answer why this machine cannot do it.
    async fn take_if(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Result<Option<String>>>,
    ) -> bool {
        self.report.heading(name);
        let begun = Instant::now();
        let outcome = step.await;
        let seconds = begun.elapsed().as_secs_f64();
        let verdict = match outcome {
            Ok(None) => Verdict::Well,
            Ok(Some(reason)) => {
                self.report.step(&format!("SKIPPED: {reason}"));
                Verdict::Skipped(reason)
            }
            Err(error) => {
                self.report.step(&format!("FAILED: {error:#}"));
                Verdict::Failed
            }
        };
        let well = verdict != Verdict::Failed;
        self.done.push((name, seconds, verdict));
        well
    }

    /// Adds a line to `.frontrow/test-times.jsonl`: when, whether all was well, and the seconds of each step. Whoever
    /// wonders since when something is slow, or came to fail, finds it there.
    fn keep(&self, root: &Path) -> Result<()> {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let seconds: BTreeMap<_, _> = self
            .done
            .iter()
            .map(|(name, seconds, _)| (*name, seconds))
            .collect();
        let line = serde_json::json!({
            "atUnixSeconds": at,
            "well": self.all_well(),
            "togetherSeconds": self.report.elapsed().as_secs_f64(),
            "seconds": seconds,
        });
        let path = root.join(".frontrow/test-times.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}"))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn all_well(&self) -> bool {
        !self.done.is_empty() && self.done.iter().all(|(.., verdict)| *verdict != Verdict::Failed)
    }

    /// Says it all again in a few lines; true when every step went well.
    fn summary(&self) -> bool {
        say("");
        for (name, seconds, verdict) in &self.done {
            let verdict = match verdict {
                Verdict::Well => "ok".to_owned(),
                Verdict::Failed => "FAILED".to_owned(),
                Verdict::Skipped(reason) => format!("SKIPPED: {reason}"),
            };
            say(&format!("{name:<24} {seconds:7.1} s   {verdict}"));
        }
        let all_well = self.all_well();
        let skipped = self
            .done
            .iter()
            .any(|(.., verdict)| matches!(verdict, Verdict::Skipped(_)));
        let verdict = match (all_well, skipped) {
            (true, false) => "all is well",
            (true, true) => "all that was done is well; see what was SKIPPED",
            (false, _) => "NOT all is well",
        };
        say(&format!(
            "{:<24} {:7.1} s   {verdict}",
            "together",
            self.report.elapsed().as_secs_f64()
        ));
        all_well
    }
}

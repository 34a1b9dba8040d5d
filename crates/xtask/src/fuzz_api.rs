//! `cargo xtask fuzz-api`: every operation of the public API against its own document, by schemathesis, on a system of
//! its own. The same requests at each run.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use local_servers::{Durability, Endpoints, Given, Home, Servers, System, SystemOptions};

use crate::cargo::{self, Built};
use crate::report::Report;
use crate::stop::Stop;
use crate::tools::{self, Tool};

const VERSION: &str = "4.32.5";
const HOOKS: &str = "tests/fuzz/hooks.py";

/// What an answer must keep. `positive_data_acceptance` is not among them: that a seat is free or a password right is
/// no matter of the schema.
const CHECKS: &str = "no_fault_of_ours,code_is_described,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many requests to make up for each operation, over the fixed ones.
    #[arg(long, default_value_t = EXAMPLES)]
    examples: u32,
    /// Where the making up begins.
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// A minute on two cores; what takes so much longer hangs.
const BOUND: Duration = Duration::from_secs(300);
const EXAMPLES: u32 = 40;

impl Default for Options {
    fn default() -> Options {
        Options {
            examples: EXAMPLES,
            seed: 1,
        }
    }
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let report = Report::new();
    let root = cargo::root()?;
    let mut stop = Stop::listen()?;
    let bin_dir = cargo::build(&root, Built::Programs).await?;
    let home = Home::open(root.join(".frontrow/fuzz-servers")).await?;
    home.empty().await?;
    let progress = |line: &str| report.step(line);
    let servers = Servers::acquire(&home, &Given::from_env(), Durability::Off, &progress).await?;
    let endpoints = Endpoints::from(&servers);
    let outcome = tokio::select! {
        outcome = check(&root, &bin_dir, endpoints, &options, &report) => outcome,
        signal = stop.wished() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    servers.stop().await;
    if let Some(reason) = outcome? {
        report.step(&format!("SKIPPED: {reason}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts a system on these servers, fuzzes it, and leaves nothing of it; answers why where it cannot be done.
pub(crate) async fn check(
    root: &Path,
    bin_dir: &Path,
    endpoints: Endpoints,
    options: &Options,
    report: &Report,
) -> Result<Option<String>> {
    let program = match tools::python(root, "schemathesis", VERSION, "schemathesis", report).await? {
        Tool::There(program) => program,
        Tool::Absent(reason) => return Ok(Some(reason)),
    };
    let home = Home::open(root.join(".frontrow/fuzz")).await?;
    home.empty().await?;
    let name = format!(
        "fuzz_{}_",
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis()
    );
    let mut system = SystemOptions::new(home.clone(), bin_dir, endpoints);
    system.database_prefix.clone_from(&name);
    system.env.push(("AMQP_NAME_PREFIX".to_owned(), name));
    // All requests come from one address.
    for limit in [
        "SIGN_UPS_PER_ADDRESS",
        "LOGIN_FAILURES_PER_ADDRESS",
        "JOINS_PER_USER",
        "JOINS_PER_ADDRESS",
    ] {
        system.env.push((limit.to_owned(), "1000000".to_owned()));
    }
    // A stream is an answer like the others: one that ends.
    system
        .env
        .push(("EVENT_STREAM_SECONDS".to_owned(), "1".to_owned()));
    system
        .service_env
        .insert("concert", vec![("SEED_DEMO".to_owned(), "false".to_owned())]);
    let system = System::start(system, &|_| {}).await?;

    let mut fuzz = cargo::program(root, program);
    fuzz.current_dir(home.dir())
        .arg("run")
        .arg(format!("{}/openapi.json", system.base_url()))
        .args(["--checks", CHECKS])
        // Links between operations are what the end-to-end tests follow.
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &options.examples.to_string()])
        .args(["--seed", &options.seed.to_string()])
        .args(["--generation-database", "none"])
        .args(["--generation-with-security-parameters", "false"])
        .args([
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-shrink",
        ])
        .args(["--continue-on-failure", "--no-color"])
        .env("SCHEMATHESIS_HOOKS", root.join(HOOKS));
    let outcome = match tokio::time::timeout(BOUND, cargo::succeed(fuzz)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("it is not through after {} s", BOUND.as_secs())),
    };
    system
        .discard()
        .await
        .context("cannot tidy up after the fuzzing")?;
    outcome
        .with_context(|| format!("the services' logs are in {}", home.logs().display()))
        .map(|()| None)
}

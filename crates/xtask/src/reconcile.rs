//! `cargo xtask reconcile`: the payment provider's books, the ledger and the reservations of the system that `up` runs, side
//! by side. The comparison itself is payment's; here it is only given that system's environment.

use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use local_servers::{environment_of, running};
use tokio::process::Command;

use crate::cargo;

/// Whose command it is, and whom it asks.
const SERVICE: &str = "payment";
const ASKED: [&str; 2] = ["booking", "psp-simulator"];
/// As the service's own command has it: equal is 0, different is 1.
const NOT_COMPARED: u8 = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What was made from here on: a time such as 2026-11-20T09:00:00Z, or 90s, 30m, 24h, 7d ago. Without it, everything.
    #[arg(long)]
    since: Option<String>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Ends with 0 when all books tell the same story, 1 when they differ, 2 when they could not be compared.
pub(crate) async fn run(options: Options) -> ExitCode {
    compare(options).await.unwrap_or_else(|error| {
        eprintln!("\nerror: {error:#}");
        ExitCode::from(NOT_COMPARED)
    })
}

async fn compare(options: Options) -> Result<ExitCode> {
    let home = cargo::root()?.join(".frontrow");
    let running = running(&home);
    if let Some(missing) = ASKED
        .iter()
        .find(|asked| running.iter().all(|what| what != *asked))
    {
        bail!("{missing} does not run in .frontrow/: `cargo xtask up`");
    }
    let env = environment_of(&home, SERVICE).context("payment's environment is not in .frontrow/env/")?;
    let this = std::env::current_exe().context("cannot find this program")?;
    let program = this.with_file_name(SERVICE);
    if !program.is_file() {
        bail!("{} is not built: `cargo build --workspace`", program.display());
    }
    let status = Command::new(&program)
        .arg("reconcile")
        .args(options.since.iter().flat_map(|since| ["--since", since]))
        .args(options.json.then_some("--json"))
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(NOT_COMPARED)))
}

//! The project's own commands: `cargo xtask --help`.

mod bench;
mod cargo;
mod deploy_checks;
mod docs;
mod doctor;
mod fuzz_api;
mod proto;
mod reconcile;
mod report;
mod sqlx;
mod stop;
mod test;
mod tools;
mod up;
mod walk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the whole system with a demonstration in it, buy two seats as a buyer would, and keep serving.
    Up(up::Options),
    /// Prove it: formatting, lints, dependencies, documentation and every test. Needs nothing running.
    Test(test::Options),
    /// Measure how fast it is, beside what this machine could do at best.
    Bench(bench::Options),
    /// Say what is wrong with this machine, or with a running system, and how to mend it.
    Doctor(doctor::Options),
    /// Write docs/configuration.md and docs/errors.md from what the programs say about themselves.
    Docs(docs::Options),
    /// Throw made-up requests at every route of a running system, and hold its answers against the API's document.
    FuzzApi(fuzz_api::Options),
    /// Hold the payment provider's books, the ledger and the reservations of a running system against each other.
    Reconcile(reconcile::Options),
    /// Renew the committed results of checking every SQL query against a database.
    Sqlx(sqlx::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = sqlx::as_compiler() {
        return code;
    }
    let outcome = match Cli::parse().command {
        Command::Up(options) => Box::pin(up::run(options)).await,
        Command::Test(options) => Box::pin(test::run(options)).await,
        Command::Bench(options) => Box::pin(bench::run(options)).await,
        Command::Doctor(options) => Box::pin(doctor::run(options)).await,
        Command::Docs(options) => docs::run(options).await,
        Command::FuzzApi(options) => Box::pin(fuzz_api::run(options)).await,
        Command::Reconcile(options) => Ok(reconcile::run(options).await),
        Command::Sqlx(options) => sqlx::run(options).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

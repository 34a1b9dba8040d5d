//! The payment service.

use std::process::ExitCode;

use clap::Parser;
use payment::app::grant;
use payment::app::reconcile::{Scope, since};
use payment::config::Config;
use payment::startup::{Application, use_cases};
use payment::store::{MIGRATOR, Store};
use service_kit::database::DatabaseConfig;
use service_kit::{admin, cli, config, tasks, telemetry};
use time::OffsetDateTime;
use vocabulary::{Amount, UserId};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wallets, payments and refunds.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// Serves until SIGTERM or SIGINT.
    Serve,
    /// Brings the database's schema up to date.
    Migrate,
    /// Asks the process that serves here whether it is ready.
    Healthcheck,
    /// Prints every configuration key.
    Config {
        /// Instead says what is wrong with the configuration of this environment.
        #[arg(long)]
        check: bool,
    },
    /// Compares the payment provider's books, the ledger and the reservations; changes nothing. Exits with 0 when all tell
    /// the same story, 1 when they differ, 2 when they could not be compared.
    Reconcile {
        /// What was made from here on: a time such as 2026-11-20T09:00:00Z, or 90s, 30m, 24h, 7d ago. Without it,
        /// everything.
        #[arg(long, value_parser = since)]
        since: Option<OffsetDateTime>,
        /// Prints the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Gives a user of a demonstration or test system points.
    Grant {
        /// Whose wallet.
        #[arg(long)]
        user_id: UserId,
        /// How many points; 1 point = 1 KRW.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=Amount::MAX.get()))]
        points: i64,
        /// The same operation grants once, however often it is run.
        #[arg(long)]
        operation: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match Command::parse() {
        Command::Reconcile { since, json } => match reconcile(since, json).await {
            Ok(equal) => ExitCode::from(u8::from(!equal)),
            Err(error) => {
                cli::exit(Err(error));
                ExitCode::from(2)
            }
        },
        command => cli::exit(run(command).await),
    }
}

/// Answers whether all books tell the same story.
async fn reconcile(since: Option<OffsetDateTime>, json: bool) -> anyhow::Result<bool> {
    let config = config::load(Config::read)?;
    let scope = Scope {
        since,
        stuck_after: config.reconcile.stuck_after,
    };
    let progress = |what: &str| eprintln!("comparing {what}");
    let report = use_cases(&config)?.reconcile(&scope, &progress).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    anyhow::ensure!(
        report.complete || !report.differences.is_empty(),
        "too much was on its way to compare all of it"
    );
    Ok(report.is_equal())
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let config = config::load(Config::read)?;
            let _telemetry = telemetry::init("payment", &config.telemetry)?;
            #[cfg(feature = "failpoints")]
            let _armed = payment::app::saga::points::arm();
            let application = Application::build(config).await?;
            application.run_until_stopped(tasks::shutdown_signal()).await
        }
        // Has its own exit codes.
        Command::Reconcile { since, json } => reconcile(since, json).await.map(drop),
        Command::Migrate => config::load(DatabaseConfig::read)?.migrate(&MIGRATOR).await,
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
        Command::Grant {
            user_id,
            points,
            operation,
        } => {
            let store = Store::new(config::load(DatabaseConfig::read)?.pool()?);
            let granted = grant(&store, user_id, Amount::new(points)?, &operation).await?;
            println!("{}", if granted { "granted" } else { "granted before" });
            Ok(())
        }
    }
}

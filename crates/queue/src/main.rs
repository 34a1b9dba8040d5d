//! The queue service: waiting rooms, queue tokens and visits.

use std::process::ExitCode;

use clap::Parser;
use queue::config::Config;
use queue::startup::Application;
use queue::store::MIGRATOR;
use service_kit::database::DatabaseConfig;
use service_kit::{admin, cli, config, tasks, telemetry};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Waiting rooms, queue tokens and visits.
#[derive(Debug, Parser)]
#[command(name = "queue", version)]
enum Command {
    /// Serve until SIGTERM.
    Serve,
    /// Bring the database up to date.
    Migrate,
    /// Ask the process that serves ADMIN_ADDR whether it is ready.
    Healthcheck,
    /// Print every configuration key.
    Config {
        /// Instead says what is wrong with the configuration of this environment.
        #[arg(long)]
        check: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    cli::exit(run(Command::parse()).await)
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let config = config::load(Config::read)?;
            let _telemetry = telemetry::init("queue", &config.telemetry)?;
            Application::build(config)
                .await?
                .run_until_stopped(tasks::shutdown_signal())
                .await
        }
        Command::Migrate => config::load(DatabaseConfig::read)?.migrate(&MIGRATOR).await,
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
    }
}

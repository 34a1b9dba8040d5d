//! The concert service as a process.

use std::process::ExitCode;

use clap::Parser;
use concert::config::Config;
use concert::startup::Application;
use concert::store;
use service_kit::database::DatabaseConfig;
use service_kit::{admin, cli, config, tasks, telemetry};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Concerts, schedules, venues, seat layouts and prices.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// Serve gRPC until SIGTERM or SIGINT.
    Serve,
    /// Bring the database's schema up to date.
    Migrate,
    /// Ask the process on this machine whether it is ready.
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
            let _telemetry = telemetry::init("concert", &config.telemetry)?;
            let application = Application::build(config).await?;
            application.run_until_stopped(tasks::shutdown_signal()).await
        }
        Command::Migrate => {
            config::load(DatabaseConfig::read)?
                .migrate(&store::MIGRATOR)
                .await
        }
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
    }
}

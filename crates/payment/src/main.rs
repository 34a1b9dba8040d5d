//! The payment service.

use std::process::ExitCode;

use clap::Parser;
use payment::app::grant;
use payment::config::Config;
use payment::startup::Application;
use payment::store::{MIGRATOR, Store};
use service_kit::database::DatabaseConfig;
use service_kit::{admin, cli, config, tasks, telemetry};
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
    cli::exit(run(Command::parse()).await)
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

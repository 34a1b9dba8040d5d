//! The booking service: `serve | migrate | healthcheck | config`.

use std::process::ExitCode;

use booking::config::Config;
use booking::startup::Application;
use booking::store;
use clap::Parser;
use service_kit::database::DatabaseConfig;
use service_kit::{admin, cli, config, tasks, telemetry};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Holds seats, sells them, and puts back on sale what is not paid.
#[derive(Parser)]
enum Command {
    /// Serves until SIGTERM or SIGINT.
    Serve,
    /// Brings the database's schema up to date.
    Migrate,
    /// Asks the process on this machine whether it is ready.
    Healthcheck,
    /// Says whether RabbitMQ's queues are as this configuration wants them.
    CheckQueues,
    /// Prints every key of the configuration.
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
            let _telemetry = telemetry::init("booking", &config.telemetry)?;
            let application = Application::build(config).await?;
            application.run_until_stopped(tasks::shutdown_signal()).await
        }
        Command::Migrate => {
            config::load(DatabaseConfig::read)?
                .migrate(&store::MIGRATOR)
                .await
        }
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::CheckQueues => {
            let config = config::load(Config::read)?;
            let queue = config
                .amqp
                .delay_queue(contracts::expiry::PURPOSE, config.times.hold);
            Ok(queue.check(&config.amqp).await?)
        }
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
    }
}

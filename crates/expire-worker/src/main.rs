//! The worker that brings the end of holds to booking's mind: `serve | healthcheck | config`.

use std::process::ExitCode;

use clap::Parser;
use expire_worker::config::Config;
use expire_worker::startup::Application;
use service_kit::{admin, cli, config, tasks, telemetry};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has booking expire what RabbitMQ says is due.
#[derive(Parser)]
enum Command {
    /// Consumes until SIGTERM or SIGINT.
    Serve,
    /// Asks the process on this machine whether it is ready.
    Healthcheck,
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
            let _telemetry = telemetry::init("expire-worker", &config.telemetry)?;
            let application = Application::build(config).await?;
            application.run_until_stopped(tasks::shutdown_signal()).await
        }
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
    }
}

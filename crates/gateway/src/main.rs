//! `gateway serve`: the public HTTP API as a process.

use std::process::ExitCode;

use clap::Parser;
use gateway::config::Config;
use gateway::startup::Application;
use gateway::{errors_page, openapi};
use service_kit::{admin, cli, config, tasks, telemetry};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The public HTTP API.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve,
    /// Ask the running process whether it is ready.
    Healthcheck,
    /// Print every configuration key.
    Config {
        /// Instead says what is wrong with the configuration of this environment.
        #[arg(long)]
        check: bool,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Print the reference of problem codes.
    Errors,
}

#[tokio::main]
async fn main() -> ExitCode {
    cli::exit(run(Command::parse()).await)
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let config = config::load(Config::read)?;
            let _telemetry = telemetry::init("gateway", &config.telemetry)?;
            Application::build(config)
                .await?
                .run_until_stopped(tasks::shutdown_signal())
                .await
        }
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
        Command::Openapi => {
            println!("{}", serde_json::to_string_pretty(&openapi::document())?);
            Ok(())
        }
        Command::Errors => {
            print!("{}", errors_page::page()?);
            Ok(())
        }
    }
}

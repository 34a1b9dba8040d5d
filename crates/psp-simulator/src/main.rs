//! `psp-simulator serve`: the stand-in for the payment provider as a process.

use std::io::IsTerminal as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use psp_simulator::{config::Config, healthcheck, startup::Application};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the provider's API until SIGINT or SIGTERM.
    Serve(Box<Config>),
    /// Ask the simulator that serves here whether it answers.
    Healthcheck {
        /// Where it listens.
        #[arg(long, env = "SIMULATOR_ADDR", default_value = "127.0.0.1:9090")]
        addr: SocketAddr,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stdout().is_terminal())
        .init();

    match Cli::parse().command {
        Command::Serve(config) => serve(*config).await,
        Command::Healthcheck { addr } => Ok(healthcheck::ask(addr).await?),
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };

    let application = Application::build(config).await?;
    tracing::info!(addr = %application.addr(), "serving");
    application.run_until_stopped(shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

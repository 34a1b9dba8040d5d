//! The auth service: users, roles, passwords, sessions and signing keys.

use std::process::ExitCode;

use auth::app;
use auth::config::Config;
use auth::domain::Email;
use auth::startup::Application;
use auth::store::{MIGRATOR, Store};
use clap::Parser;
use service_kit::database::DatabaseConfig;
use service_kit::{admin, cli, config, tasks, telemetry};
use vocabulary::Role;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Users, roles, passwords, sessions and signing keys.
#[derive(Debug, Parser)]
#[command(name = "auth", version)]
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
    /// Give a role to an account; its tokens carry it from the next login or refresh on.
    GrantRole(RoleOfAccount),
    /// Take a role from an account; its access tokens carry it until they end.
    RevokeRole(RoleOfAccount),
    /// Sign with a new key from now on; tokens of the old one stay good until they end.
    RotateSigningKey,
}

#[derive(Debug, clap::Args)]
struct RoleOfAccount {
    /// The account's address.
    #[arg(long, value_parser = Email::parse)]
    email: Email,
    /// BUYER or ORGANISER.
    #[arg(long)]
    role: Role,
}

#[tokio::main]
async fn main() -> ExitCode {
    cli::exit(run(Command::parse()).await)
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let config = config::load(Config::read)?;
            let _telemetry = telemetry::init("auth", &config.telemetry)?;
            Application::build(config)
                .await?
                .run_until_stopped(tasks::shutdown_signal())
                .await
        }
        Command::Migrate => config::load(DatabaseConfig::read)?.migrate(&MIGRATOR).await,
        Command::Healthcheck => admin::healthcheck(config::load(admin::read_addr)?).await,
        Command::Config { check } => Ok(cli::config(Config::read, check)?),
        Command::GrantRole(RoleOfAccount { email, role }) => {
            app::grant_role(&store()?, &email, role).await?;
            println!("{email} has the role {role}");
            Ok(())
        }
        Command::RevokeRole(RoleOfAccount { email, role }) => {
            app::revoke_role(&store()?, &email, role).await?;
            println!("{email} does not have the role {role}");
            Ok(())
        }
        Command::RotateSigningKey => {
            let kid = app::rotate_signing_key(&store()?).await?;
            println!("{kid} signs from now on");
            Ok(())
        }
    }
}

fn store() -> anyhow::Result<Store> {
    Ok(Store::new(config::load(DatabaseConfig::read)?.pool()?))
}

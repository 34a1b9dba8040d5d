//! What the `main` of every service needs besides its own page.

use std::process::ExitCode;

use crate::config::{self, ConfigError, Environment};

/// Turns a result into an exit code; an error goes to standard error, with its causes.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also for a process whose logs nobody reads yet.
            tracing::error!(error = format!("{error:#}"), "the process failed");
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command `config`: prints every key as rows of a Markdown table, or with `check` reads this environment.
///
/// # Errors
/// With `check`, every key that is missing or wrong.
pub fn config<C>(read: impl FnOnce(&mut Environment) -> C, check: bool) -> Result<(), ConfigError> {
    if check {
        return config::load(read).map(drop);
    }
    print_config(read);
    Ok(())
}

fn print_config<C>(read: impl FnOnce(&mut Environment) -> C) {
    for key in config::describe(read) {
        let default = key
            .default
            .map_or_else(|| "required".to_owned(), |default| format!("`{default}`"));
        println!(
            "| `{}` | {default} | {} | {} |",
            key.name, key.values, key.meaning
        );
    }
}

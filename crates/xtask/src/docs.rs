//! `cargo xtask docs`: the pages that are written from what the programs say: docs/configuration.md from each program's
//! own keys, docs/errors.md from the gateway's problem codes.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use local_servers::topology::{GATEWAY, Role, SERVICES, Service};
use tokio::process::Command;

use crate::cargo::{self, Built};
use crate::report::say;

const CONFIGURATION: &str = "docs/configuration.md";
const ERRORS: &str = "docs/errors.md";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Fail when a page is not what the programs say, instead of writing it.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let root = cargo::root()?;
    let bin_dir = cargo::build(&root, Built::Programs).await?;
    if options.check {
        check(&root, &bin_dir).await?;
        say(&format!("{CONFIGURATION} and {ERRORS} are what the programs say"));
    } else {
        fs::create_dir_all(root.join("docs")).context("cannot make docs/")?;
        for (page, text) in pages(&bin_dir).await? {
            fs::write(root.join(page), text).with_context(|| format!("cannot write {page}"))?;
            say(&format!("wrote {page}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when a committed page differs.
pub(crate) async fn check(root: &Path, bin_dir: &Path) -> Result<()> {
    for (page, current) in pages(bin_dir).await? {
        let committed = fs::read_to_string(root.join(page)).unwrap_or_default();
        if let Some((number, (old, new))) = committed
            .lines()
            .zip(current.lines())
            .enumerate()
            .find(|(_, (old, new))| old != new)
        {
            bail!(
                "{page} is stale at line {}:\n  it says    {old}\n  should be  {new}\nrun `cargo xtask docs`",
                number + 1
            );
        }
        ensure!(
            committed == current,
            "{page} is not complete; run `cargo xtask docs`"
        );
    }
    Ok(())
}

/// Each page with its text.
async fn pages(bin_dir: &Path) -> Result<[(&'static str, String); 2]> {
    let errors = print(GATEWAY, bin_dir, &["errors"]).await?;
    Ok([
        (CONFIGURATION, configuration(bin_dir).await?),
        (ERRORS, format!("{}\n", errors.trim_end())),
    ])
}

async fn configuration(bin_dir: &Path) -> Result<String> {
    let mut page = String::from(
        "# Configuration\n\n\
         <!-- Written by `cargo xtask docs` from what the programs say; do not edit. -->\n\n\
         Every service is configured by its environment alone. It checks all keys at its start and reports every\n\
         mistake at once. `<service> config` prints its table.\n",
    );
    // The tool after the services.
    let (tools, services): (Vec<_>, Vec<_>) = SERVICES
        .iter()
        .partition(|service| service.role == Role::Provider);
    for service in services.into_iter().chain(tools) {
        let text = describe(service, bin_dir).await?;
        write!(page, "\n## {}\n\n{text}", service.name)?;
    }
    Ok(page)
}

async fn describe(service: &Service, bin_dir: &Path) -> Result<String> {
    // The stand-in for the provider is a tool with flags, not a service of ours.
    if service.role == Role::Provider {
        let help = print(service.name, bin_dir, &["serve", "--help"]).await?;
        return Ok(format!("```text\n{}\n```\n", help.trim_end()));
    }
    let rows = print(service.name, bin_dir, &["config"]).await?;
    Ok(format!(
        "| Key | Default | Values | Meaning |\n|---|---|---|---|\n{}\n",
        rows.trim_end()
    ))
}

async fn print(program: &str, bin_dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(bin_dir.join(program))
        .args(arguments)
        // The page must not depend on the environment it is written in.
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {program}"))?;
    let call = format!("{program} {}", arguments.join(" "));
    ensure!(
        output.status.success(),
        "`{call}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).with_context(|| format!("`{call}` prints no text"))?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

//! `cargo xtask docs`: docs/configuration.md, from what each program says about its own keys.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use local_servers::topology::{Role, SERVICES, Service};
use tokio::process::Command;

use crate::cargo;
use crate::report::say;

const PAGE: &str = "docs/configuration.md";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Fail when the page is not what the programs say, instead of writing it.
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let root = cargo::root()?;
    let bin_dir = cargo::build(&root, false).await?;
    if options.check {
        check(&root, &bin_dir).await?;
        say(&format!("{PAGE} is what the programs say"));
    } else {
        let page = root.join(PAGE);
        fs::create_dir_all(root.join("docs")).context("cannot make docs/")?;
        fs::write(&page, page_text(&bin_dir).await?)
            .with_context(|| format!("cannot write {}", page.display()))?;
        say(&format!("wrote {PAGE}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when the committed page differs.
pub(crate) async fn check(root: &Path, bin_dir: &Path) -> Result<()> {
    let committed = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    let current = page_text(bin_dir).await?;
    if let Some((number, (old, new))) = committed
        .lines()
        .zip(current.lines())
        .enumerate()
        .find(|(_, (old, new))| old != new)
    {
        bail!(
            "{PAGE} is stale at line {}:\n  it says    {old}\n  should be  {new}\nrun `cargo xtask docs`",
            number + 1
        );
    }
    ensure!(
        committed == current,
        "{PAGE} is not complete; run `cargo xtask docs`"
    );
    Ok(())
}

async fn page_text(bin_dir: &Path) -> Result<String> {
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
        let help = output(service, bin_dir, &["serve", "--help"]).await?;
        return Ok(format!("```text\n{}\n```\n", help.trim_end()));
    }
    let rows = output(service, bin_dir, &["config"]).await?;
    Ok(format!(
        "| Key | Default | Values | Meaning |\n|---|---|---|---|\n{}\n",
        rows.trim_end()
    ))
}

async fn output(service: &Service, bin_dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(bin_dir.join(service.name))
        .args(arguments)
        // The page must not depend on the environment it is written in.
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {}", service.name))?;
    let call = format!("{} {}", service.name, arguments.join(" "));
    ensure!(
        output.status.success(),
        "`{call}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).with_context(|| format!("`{call}` prints no text"))?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

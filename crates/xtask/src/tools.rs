//! Tools of other ecosystems, each at one version, installed once into `.frontrow/tools`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::cargo;
use crate::report::Report;

/// A tool that is there, or why it cannot be had on this machine.
pub(crate) enum Tool {
    There(PathBuf),
    Absent(String),
}

/// A program of a package of Python's index, in a virtual environment of its own.
pub(crate) async fn python(
    root: &Path,
    package: &str,
    version: &str,
    program: &str,
    report: &Report,
) -> Result<Tool> {
    let folder = root.join(format!(".frontrow/tools/{package}-{version}"));
    let installed = folder.join("bin").join(program);
    // Written last, so that an installation that broke off is begun again.
    let whole = folder.join("installed");
    if whole.is_file() {
        return Ok(Tool::There(installed));
    }
    let mut probe = cargo::program(root, "python3");
    // Debian ships venv without what it needs to install pip.
    probe.args(["-c", "import venv, ensurepip"]);
    if !answers(probe).await {
        return Ok(Tool::Absent("python3 with venv is not installed".to_owned()));
    }
    report.step(&format!(
        "installing {package} {version} into .frontrow/tools, once"
    ));
    let mut make = cargo::program(root, "python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    cargo::succeed(make).await?;
    let mut install = cargo::program(root, folder.join("bin/pip"));
    install
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .arg(format!("{package}=={version}"));
    cargo::succeed(install)
        .await
        .with_context(|| format!("{package} could not be installed"))?;
    std::fs::write(&whole, "").with_context(|| format!("cannot write {}", whole.display()))?;
    Ok(Tool::There(installed))
}

/// A program of a package of Node's index, in a folder of its own.
pub(crate) async fn node(
    root: &Path,
    package: &str,
    version: &str,
    program: &str,
    report: &Report,
) -> Result<Tool> {
    let plain = package.trim_start_matches('@').replace('/', "-");
    let folder = root.join(format!(".frontrow/tools/{plain}-{version}"));
    let installed = folder.join("node_modules/.bin").join(program);
    let whole = folder.join("installed");
    if whole.is_file() {
        return Ok(Tool::There(installed));
    }
    let mut probe = cargo::program(root, "npm");
    probe.arg("--version");
    if !answers(probe).await {
        return Ok(Tool::Absent("node with npm is not installed".to_owned()));
    }
    report.step(&format!(
        "installing {package} {version} into .frontrow/tools, once"
    ));
    let mut install = cargo::program(root, "npm");
    install
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .arg(format!("{package}@{version}"));
    cargo::succeed(install)
        .await
        .with_context(|| format!("{package} could not be installed"))?;
    std::fs::write(&whole, "").with_context(|| format!("cannot write {}", whole.display()))?;
    Ok(Tool::There(installed))
}

async fn answers(mut command: tokio::process::Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success())
}

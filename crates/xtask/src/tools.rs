//! Tools of other ecosystems, each at one version, installed once into `.frontrow/tools`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

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
    if !has_venv(root).await
        && let Err(reason) = install_venv(root, report).await
    {
        return Ok(Tool::Absent(format!(
            "python3 with venv is not installed, {reason}"
        )));
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

async fn has_venv(root: &Path) -> bool {
    let mut probe = cargo::program(root, "python3");
    // Debian ships venv without what it needs to install pip.
    probe.args(["-c", "import venv, ensurepip"]);
    answers(probe).await
}

/// By Debian's package, where that can be done without asking anybody; the error says why not.
async fn install_venv(root: &Path, report: &Report) -> Result<(), &'static str> {
    let mut apt = cargo::program(root, "apt-get");
    apt.arg("--version");
    if !answers(apt).await {
        return Err("and there is no apt-get to install it with");
    }
    if !rustix::process::geteuid().is_root() {
        return Err("and only root may install python3-venv");
    }
    report.step("installing python3-venv with apt");
    let mut install = cargo::program(root, "sh");
    install
        .args(["-c", INSTALL_VENV])
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Not to be torn apart in the middle of dpkg.
        .kill_on_drop(false);
    let installed = tokio::time::timeout(INSTALL_BOUND, install.status()).await;
    match installed {
        Ok(Ok(status)) if status.success() && has_venv(root).await => Ok(()),
        Ok(_) => Err("and apt-get did not bring it"),
        Err(_) => Err("and apt-get took more than five minutes"),
    }
}

const INSTALL_BOUND: Duration = Duration::from_secs(5 * 60);

/// Package lists may be missing, or so old that what they name is gone.
const INSTALL_VENV: &str = "
apt_install() {
    apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 python3 python3-venv
}
apt_install || { apt-get update -qq -o Acquire::Retries=3 && apt_install; }
";

async fn answers(mut command: tokio::process::Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .is_ok_and(|status| status.success())
}

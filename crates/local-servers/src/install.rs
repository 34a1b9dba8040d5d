//! Installs Debian's server packages where that can be done without asking anybody: as root, or with a sudo that wants
//! no password. The packages' own services are neither started now nor at the next boot.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::account::is_root;
use crate::acquire::Progress;
use crate::{Kind, programs};

const INSTALL_BOUND: Duration = Duration::from_secs(15 * 60);

/// Does the whole of it as root, so that an ordinary user needs sudo once. Arguments: the packages.
///
/// A policy-rc.d that exits 101 is how Debian lets one say "start nothing"; one that is there already stays (a
/// container's image has it, and an administrator may). Postgres's package would also make a cluster of its own, unless
/// createcluster.conf says no; a file that was not there before gets the package's default afterwards.
const SCRIPT: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
kept="$(mktemp -d)"
restore() {
    if [ -e "$kept/policy" ]; then mv -f "$kept/policy" "$policy"; else rm -f "$policy"; fi
    if [ -e "$kept/cluster" ]; then mv -f "$kept/cluster" "$cluster"
    elif [ -e /usr/share/postgresql-common/createcluster.conf ]; then
        cp /usr/share/postgresql-common/createcluster.conf "$cluster"
        rm -f "$cluster.ucf-dist" "$cluster.dpkg-dist"
    else rm -f "$cluster"; fi
    rm -rf "$kept"
}
trap restore EXIT
trap 'exit 1' INT TERM HUP
if [ -e "$policy" ]; then cp -p "$policy" "$kept/policy"; fi
if [ -e "$cluster" ]; then cp -p "$cluster" "$kept/cluster"; fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >"$cluster"

apt_install() {
    apt-get install -y --no-install-recommends \
        -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@"
}
# Package lists may be missing, or so old that what they name is gone.
apt_install "$@" || { apt-get update -o Acquire::Retries=3 && apt_install "$@"; }
if command -v systemctl >/dev/null 2>&1; then
    for package in "$@"; do systemctl disable --quiet "$package.service" || true; done
fi
"#;

/// The error says why nothing can be installed.
pub(crate) async fn possible() -> Result<(), String> {
    if programs::in_path("apt-get").is_none() {
        return Err("there is no apt-get to install them with".to_owned());
    }
    if is_root() {
        return Ok(());
    }
    let sudo = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .output()
        .await;
    if !sudo.is_ok_and(|output| output.status.success()) {
        return Err("not root, and sudo asks for a password".to_owned());
    }
    Ok(())
}

/// The error says why nothing was installed.
pub(crate) async fn install(missing: &[Kind], progress: Progress<'_>) -> Result<(), String> {
    possible().await?;
    let mut command = if is_root() {
        Command::new("/bin/sh")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "/bin/sh"]);
        sudo
    };
    let packages: Vec<_> = missing.iter().map(|kind| kind.debian_package()).collect();
    progress(&format!(
        "installing {} with apt (their own services are not started); about a minute",
        packages.join(", ")
    ));
    let run = command
        .args(["-c", SCRIPT, "install"])
        .args(&packages)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Not to be torn apart by a Ctrl-C in the middle of dpkg.
        .process_group(0)
        .output();
    let output = tokio::time::timeout(INSTALL_BOUND, run)
        .await
        .map_err(|_| "apt-get took more than 15 minutes".to_owned())?
        .map_err(|error| format!("apt-get could not be started: {error}"))?;
    if output.status.success() {
        progress(&format!("installed {}", packages.join(", ")));
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(format!(
        "apt-get failed: {}",
        lines[lines.len().saturating_sub(5)..].join(" / ")
    ))
}

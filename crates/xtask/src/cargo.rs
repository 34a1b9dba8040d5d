//! Calls of cargo, and where it puts things.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use local_servers::topology::SERVICES;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The workspace's folder: the one this program was built from.
pub(crate) fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let xtask = xtask.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    let root = xtask.ancestors().nth(2).context("xtask is not in crates/xtask")?;
    ensure!(
        root.join("Cargo.toml").is_file(),
        "the workspace is not in {}",
        root.display()
    );
    Ok(root.to_owned())
}

/// A call of cargo in the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    program(root, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A call of a program in the workspace: its output is shown and it reads no input.
pub(crate) fn program(root: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(root)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .process_group(0);
    // What `cargo run` has set for us is not meant for others.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// A running call of cargo with all that it has started (compilers, tests): asked to end when dropped.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Running> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", describe(command)))?;
        let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        Ok(Running { child, group })
    }

    async fn end(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await.context("cannot wait for cargo")?;
        self.group = None;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Nobody left in the group is as good.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    /// The programs, to be run.
    Programs,
    /// The programs, optimised.
    OptimisedPrograms,
    /// The programs and all tests, with the features that both share: `cargo test` then finds them as they are and
    /// compiles nothing again.
    ProgramsAndTests,
}

/// Builds the workspace and answers the folder of the programs.
pub(crate) async fn build(root: &Path, built: Built) -> Result<PathBuf> {
    let mut command = cargo(root);
    command.args(["build", "--workspace", "--message-format=json-render-diagnostics"]);
    match built {
        Built::Programs => {}
        Built::OptimisedPrograms => {
            command.arg("--release");
        }
        Built::ProgramsAndTests => {
            command.arg("--all-targets");
        }
    }
    let mut build = Running::start(command.stdout(Stdio::piped()))?;
    let mut programs: Vec<PathBuf> = Vec::new();
    if let Some(output) = build.child.stdout.take() {
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await.context("cannot read what cargo says")? {
            let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else {
                continue;
            };
            if let Some(program) = message["executable"].as_str() {
                programs.push(program.into());
            }
        }
    }
    let status = build.end().await?;
    ensure!(status.success(), "`cargo build --workspace` failed");

    let mut folder = None;
    for service in &SERVICES {
        match programs
            .iter()
            .find(|program| program.file_name() == Some(service.name.as_ref()))
        {
            Some(program) => folder = program.parent().map(Path::to_owned),
            None => bail!("the workspace builds no program `{}`", service.name),
        }
    }
    folder.context("the workspace builds no services")
}

/// Runs a command to its end; the error names it.
pub(crate) async fn succeed(mut command: Command) -> Result<()> {
    let name = describe(&command);
    let status = Running::start(&mut command)?.end().await?;
    ensure!(status.success(), "`{name}` failed ({status})");
    Ok(())
}

fn describe(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

//! Where and with what something was measured.

use std::fmt;
use std::path::Path;
use std::process::Stdio;

use anyhow::Result;
use serde::Serialize;

use super::postgres::Postgres;
use crate::cargo;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// UTC.
    pub(crate) date: String,
    /// Of the workspace.
    pub(crate) commit: String,
    /// Something is not as committed.
    pub(crate) changed: bool,
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) postgres: String,
    /// Whether a commit waits for the disk.
    pub(crate) fsync: String,
    pub(crate) synchronous_commit: String,
}

impl Facts {
    pub(crate) async fn gather(root: &Path, postgres: &Postgres) -> Result<Facts> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, label: &str| {
            let line = text.lines().find(|line| line.starts_with(label));
            let value = line.and_then(|line| line.split_once(':'));
            value
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Ok(Facts {
            date: postgres.date().await?,
            commit: git(root, &["rev-parse", "HEAD"]).await,
            changed: !git(root, &["status", "--porcelain"]).await.is_empty(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: value(&read("/proc/cpuinfo"), "model name"),
            memory_mib: memory_kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgres: postgres.setting("server_version").await?,
            fsync: postgres.setting("fsync").await?,
            synchronous_commit: postgres.setting("synchronous_commit").await?,
        })
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = if self.changed { " with changes" } else { "" };
        write!(
            f,
            "{} · commit {}{changed} · {} cores, {} · {} MiB · Linux {} · Postgres {}, fsync {}",
            self.date,
            self.commit.get(..12).unwrap_or("unknown"),
            self.cores,
            self.processor,
            self.memory_mib,
            self.kernel,
            self.postgres,
            self.fsync,
        )
    }
}

/// Empty where there is no repository: then nobody knows.
async fn git(root: &Path, words: &[&str]) -> String {
    let mut command = cargo::program(root, "git");
    command.args(words).stderr(Stdio::null());
    match command.output().await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => String::new(),
    }
}

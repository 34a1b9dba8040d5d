//! The record of every process that a home has started, kept on disk so that the next run can stop what a crashed
//! run left behind, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Result};
use crate::proc::ProcessId;

/// How long a leftover may take to end after it was asked to.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) what: String,
    #[serde(flatten)]
    pub(crate) id: ProcessId,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    entries: Mutex<Vec<Entry>>,
}

impl Ledger {
    /// Opens the record, with what a former run may have left in it. A record that cannot be read (a crash in the
    /// middle of the machine's own) is an empty one.
    pub(crate) fn open(path: PathBuf) -> Ledger {
        let entries = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Ledger {
            path,
            entries: Mutex::new(entries),
        }
    }

    pub(crate) fn add(&self, what: &str, id: ProcessId) -> Result<()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.id.is_running());
        entries.push(Entry {
            what: what.to_owned(),
            id,
        });
        self.write(&entries)
    }

    pub(crate) fn remove(&self, id: &ProcessId) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.id != *id);
        // A record that names an ended process is harmless: its start time will not match.
        let _ = self.write(&entries);
    }

    /// Stops what is recorded and still is the process that was recorded; answers what that was.
    pub(crate) async fn stop_leftovers(&self) -> Result<Vec<String>> {
        let entries = std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner));
        let leftovers: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| entry.id.is_running())
            .collect();
        for entry in &leftovers {
            // A frozen process does not see the request to end.
            entry.id.thaw_tree();
            // Postgres takes SIGTERM as "wait for every client"; SIGINT is its fast shutdown.
            entry.id.signal(if entry.what == "postgres" {
                Signal::INT
            } else {
                Signal::TERM
            });
        }
        for entry in &leftovers {
            if !entry.id.ended_within(LEFTOVER_GRACE).await {
                for child in entry.id.kill_tree() {
                    child.ended_within(LEFTOVER_GRACE).await;
                }
                entry.id.ended_within(LEFTOVER_GRACE).await;
            }
        }
        self.write(&[])?;
        Ok(leftovers
            .into_iter()
            .map(|entry| format!("{} (process {})", entry.what, entry.id.pid))
            .collect())
    }

    fn write(&self, entries: &[Entry]) -> Result<()> {
        let action = || format!("record processes in {}", self.path.display());
        let text = serde_json::to_vec_pretty(entries)
            .map_err(std::io::Error::from)
            .doing(action)?;
        let new = self.path.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &self.path))
            .doing(action)
    }
}

/// What runs in the home in this folder, such as `booking` or `postgres`; whoever has the home open.
pub fn running(home: &Path) -> Vec<String> {
    let ledger = Ledger::open(path_in(home));
    let entries = ledger
        .entries
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    entries
        .into_iter()
        .filter(|entry| entry.id.is_running())
        .map(|entry| entry.what)
        .collect()
}

pub(crate) fn path_in(home: &Path) -> PathBuf {
    home.join("processes.json")
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> (Child, ProcessId) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = ProcessId::of(child.id().cast_signed()).unwrap();
        (child, id)
    }

    #[tokio::test]
    async fn a_leftover_is_stopped_and_a_stranger_with_a_recycled_pid_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("processes.json");
        let (mut left, left_id) = sleeper();
        let (mut stranger, stranger_id) = sleeper();
        let recycled = ProcessId {
            start_ticks: stranger_id.start_ticks - 1,
            ..stranger_id.clone()
        };

        // What the crashed run wrote.
        let entries = [
            Entry {
                what: "booking".into(),
                id: left_id.clone(),
            },
            Entry {
                what: "redis".into(),
                id: recycled,
            },
        ];
        fs::write(&path, serde_json::to_vec(&entries).unwrap()).unwrap();

        let stopped = Ledger::open(path.clone()).stop_leftovers().await.unwrap();

        assert_eq!(stopped, [format!("booking (process {})", left_id.pid)]);
        assert!(!left_id.is_running());
        assert!(stranger_id.is_running());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        left.wait().unwrap();
    }

    #[tokio::test]
    async fn a_record_that_does_not_read_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("processes.json");
        fs::write(&path, "{ half a rec").unwrap();
        assert!(Ledger::open(path).stop_leftovers().await.unwrap().is_empty());
    }
}

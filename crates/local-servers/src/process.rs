//! One process that we started: recorded, watched, logged to a file, stopped in bounded time.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::{Doing, Result};
use crate::home::Home;
use crate::proc::ProcessId;

/// A log beyond this size is put aside (`.1`) when the next process begins to write it.
const LOG_BYTES: u64 = 32 * 1024 * 1024;

/// How much of a log an error shows.
const TAIL_LINES: usize = 25;
const TAIL_BYTES: u64 = 16 * 1024;

/// How long what was killed may take to be gone.
const KILLED_BOUND: Duration = Duration::from_secs(10);

/// Killed, with all below it, when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    home: Home,
    child: Child,
    id: ProcessId,
    log: PathBuf,
    log_start: u64,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts the command in its own process group, without stdin, its output appended to `log`.
    pub(crate) fn spawn(
        home: &Home,
        what: &str,
        mut command: Command,
        log: PathBuf,
        stop: Signal,
    ) -> Result<Process> {
        let action = || format!("write {}", log.display());
        if fs::metadata(&log).is_ok_and(|meta| meta.len() > LOG_BYTES) {
            fs::rename(&log, log.with_added_extension("1")).doing(action)?;
        }
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .doing(action)?;
        let log_start = output.metadata().doing(action)?.len();
        let errors = output.try_clone().doing(action)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Out of reach of a terminal's Ctrl-C: whoever started it also stops it.
            .process_group(0)
            .spawn()
            .doing(|| format!("start {}", Path::new(command.get_program()).display()))?;
        let Some(id) = ProcessId::of(child.id().cast_signed()) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(std::io::Error::other("/proc does not show it (is this Linux?)"))
                .doing(|| format!("identify the process of {what}"));
        };
        let process = Process {
            home: home.clone(),
            child,
            id: id.clone(),
            log,
            log_start,
            ended: None,
        };
        home.guardian()
            .watch(&id, if stop == Signal::INT { "INT" } else { "TERM" });
        home.ledger().add(what, id)?;
        Ok(process)
    }

    /// The status it ended with; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.ended = Some(status);
            self.home.ledger().remove(&self.id);
        }
        self.ended
    }

    /// Waits for its end; `None` when it still runs after `bound`.
    pub(crate) async fn ended_within(&mut self, bound: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + bound;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks it to end, and kills what is left of it and of those below it after `grace`. True when all ended by
    /// themselves.
    pub(crate) async fn stop(&mut self, signal: Signal, grace: Duration) -> bool {
        if self.ended().is_some() {
            return true;
        }
        self.id.thaw_tree();
        let (below, end) = (self.id.below(), Instant::now() + grace);
        self.id.signal(signal);
        let mut by_itself = self.ended_within(grace).await.is_some();
        if !by_itself {
            self.kill().await;
        }
        // A script may end before the program that it wraps, as RabbitMQ's does.
        for child in below {
            if !child
                .ended_within(end.saturating_duration_since(Instant::now()))
                .await
            {
                by_itself = false;
                child.signal(Signal::KILL);
                child.ended_within(KILLED_BOUND).await;
            }
        }
        by_itself
    }

    /// Kills it and all below it, and waits until they are gone.
    pub(crate) async fn kill(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let below = self.id.kill_tree();
        self.ended_within(KILLED_BOUND).await;
        for child in below {
            child.ended_within(KILLED_BOUND).await;
        }
    }

    pub(crate) fn freeze(&self) {
        self.id.freeze_tree();
    }

    pub(crate) fn thaw(&self) {
        self.id.thaw_tree();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.id.pid
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines that this process wrote, not those of a former one to the same file.
    pub(crate) fn tail(&self) -> String {
        tail(&self.log, self.log_start)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let below = self.id.kill_tree();
            let _ = self.child.wait();
            let end = Instant::now() + Duration::from_secs(2);
            while below.iter().any(ProcessId::is_running) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            self.home.ledger().remove(&self.id);
        }
    }
}

fn tail(log: &Path, from: u64) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            from.max(length.saturating_sub(TAIL_BYTES)).min(length),
        ))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.is_empty() => "    (it wrote nothing)".to_owned(),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().map(|line| format!("    {line}")).collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("    (it cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_outlives_the_script_that_wraps_it_is_stopped_with_it() {
        let home = Home::temporary().await.unwrap();
        let mut script = Command::new("/bin/sh");
        // It ends at once when asked to, and leaves its child behind.
        script.args(["-c", "trap 'exit 0' TERM; sleep 600 & wait"]);
        let log = home.logs().join("script.log");
        let mut process = Process::spawn(&home, "a script", script, log, Signal::TERM).unwrap();
        let child = loop {
            if let Some(child) = process.id.below().pop() {
                break child;
            }
            tokio::task::yield_now().await;
        };
        assert!(!process.stop(Signal::TERM, Duration::from_millis(200)).await);
        assert!(!child.is_running());
    }
}

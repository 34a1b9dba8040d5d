//! Processes as the kernel sees them, from `/proc`: an identity that survives the reuse of a pid, a process's
//! descendants, and signals to them.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// One process, never mistaken for a later one with the same pid: pid, start time in clock ticks since the boot, and
/// that boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    pub(crate) start_ticks: u64,
    pub(crate) boot: String,
}

impl ProcessId {
    /// The process that has this pid now; `None` when there is none.
    pub(crate) fn of(pid: i32) -> Option<ProcessId> {
        Some(ProcessId {
            pid,
            start_ticks: Stat::read(pid)?.start_ticks,
            boot: boot(),
        })
    }

    /// Still running: the same process, not a later one, and not a zombie that nobody has reaped.
    pub(crate) fn is_running(&self) -> bool {
        self.boot == boot()
            && Stat::read(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.ended)
    }

    /// Sends the signal to this process alone, if it still is this process.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_running()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may end between the look and the signal; then there is nothing left to do.
            let _ = kill_process(pid, signal);
        }
    }

    /// Those below this process now.
    pub(crate) fn below(&self) -> Vec<ProcessId> {
        if self.is_running() {
            descendants(self.pid)
        } else {
            Vec::new()
        }
    }

    /// Freezes this process and all below it. The parent first, so that it starts no more children meanwhile.
    pub(crate) fn freeze_tree(&self) {
        self.signal(Signal::STOP);
        for child in descendants(self.pid) {
            child.signal(Signal::STOP);
        }
    }

    pub(crate) fn thaw_tree(&self) {
        for child in descendants(self.pid) {
            child.signal(Signal::CONT);
        }
        self.signal(Signal::CONT);
    }

    /// Kills this process and all below it, at once and without a chance to clean up. Answers who was below, so that
    /// a caller can wait for their end too.
    pub(crate) fn kill_tree(&self) -> Vec<ProcessId> {
        if !self.is_running() {
            return Vec::new();
        }
        self.signal(Signal::STOP);
        let below = descendants(self.pid);
        for child in &below {
            child.signal(Signal::KILL);
        }
        self.signal(Signal::KILL);
        // Children that were born while we looked share the group of a process that we started.
        if let Some(group) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        below
    }

    /// Waits for the end of the process; false when it is still there after `bound`.
    pub(crate) async fn ended_within(&self, bound: Duration) -> bool {
        let end = tokio::time::Instant::now() + bound;
        while self.is_running() {
            if tokio::time::Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

struct Stat {
    parent: i32,
    start_ticks: u64,
    ended: bool,
}

impl Stat {
    fn read(pid: i32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in brackets and may itself hold spaces and brackets: what counts begins
    /// after the last closing one.
    fn parse(line: &str) -> Option<Stat> {
        let mut fields = line.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let threads: u32 = fields.nth(15)?.parse().ok()?;
        let start_ticks = fields.nth(1)?.parse().ok()?;
        // A zombie with threads left still holds its files and ports.
        let ended = matches!(state, "Z" | "X" | "x") && threads <= 1;
        Some(Stat {
            parent,
            start_ticks,
            ended,
        })
    }
}

fn descendants(root: i32) -> Vec<ProcessId> {
    let boot = boot();
    let all: Vec<(i32, Stat)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect();
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in all.iter().filter(|(_, stat)| stat.parent == parent) {
            parents.push(*pid);
            found.push(ProcessId {
                pid: *pid,
                start_ticks: stat.start_ticks,
                boot: boot.clone(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "77 (a) b (c)) S 12 77 77 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 6 0 987654 1 2 3";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.start_ticks, stat.ended), (12, 987_654, false));
    }

    #[test]
    fn this_process_is_running_and_a_later_one_with_its_pid_would_not_be_it() {
        let me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_running());
        assert!(
            !ProcessId {
                start_ticks: me.start_ticks + 1,
                ..me.clone()
            }
            .is_running()
        );
        assert!(
            !ProcessId {
                boot: "another boot".into(),
                ..me
            }
            .is_running()
        );
    }
}

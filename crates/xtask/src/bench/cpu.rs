//! CPU time by process, as the kernel counts it in `/proc`: in ticks of 10 ms, so a round must last some seconds.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Who uses CPU: a name, and the process with all below it.
pub(crate) type Watched = (&'static str, i32);

/// The name of this process in readings: without its children, which have names of their own.
pub(crate) const CLIENT: &str = "client";

/// CPU time that was used up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    by_process: BTreeMap<&'static str, Duration>,
    /// By children of this process that have ended.
    ended_children: Duration,
    /// By the whole machine.
    machine: Duration,
}

/// CPU time that was used between two readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) by_process: BTreeMap<&'static str, Duration>,
    pub(crate) ended_children: Duration,
    /// By processes that are none of ours.
    pub(crate) others: Duration,
}

impl Reading {
    pub(crate) fn take(watched: &[Watched]) -> Result<Reading> {
        let mut stats = BTreeMap::new();
        for entry in fs::read_dir("/proc").context("cannot read /proc")? {
            let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            // A process may end meanwhile: then its parent has its time.
            if let Some(pid) = pid
                && let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat"))
                && let Some(stat) = Stat::parse(&line)
            {
                stats.insert(pid, stat);
            }
        }
        let machine = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let machine = machine_ticks(&machine).context("/proc/stat is not understood")?;
        let me = stats.get(&std::process::id().cast_signed()).copied();
        let me = me.context("/proc does not show this process")?;
        let mut by_process: BTreeMap<_, _> = watched
            .iter()
            .map(|(name, pid)| (*name, time(tree_ticks(*pid, &stats))))
            .collect();
        by_process.insert(CLIENT, time(me.own));
        Ok(Reading {
            by_process,
            ended_children: time(me.ended_children),
            machine: time(machine),
        })
    }

    pub(crate) fn since(&self, earlier: &Reading) -> Used {
        let used = |name, now: Duration| {
            let before = earlier.by_process.get(name).copied().unwrap_or_default();
            now.saturating_sub(before)
        };
        let by_process: BTreeMap<_, _> = self
            .by_process
            .iter()
            .map(|(name, now)| (*name, used(name, *now)))
            .collect();
        let ended_children = self.ended_children.saturating_sub(earlier.ended_children);
        let ours = by_process.values().sum::<Duration>() + ended_children;
        Used {
            others: self.machine.saturating_sub(earlier.machine).saturating_sub(ours),
            by_process,
            ended_children,
        }
    }
}

impl Used {
    /// By all of ours.
    pub(crate) fn together(&self) -> Duration {
        self.by_process.values().sum::<Duration>() + self.ended_children
    }
}

/// In ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    /// The second field is the program's name in brackets and may itself hold spaces and brackets: what counts begins
    /// after the last closing one.
    fn parse(line: &str) -> Option<Stat> {
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Stat {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

/// Of a process and all below it, those that have ended included: their parents inherit their time.
fn tree_ticks(root: i32, stats: &BTreeMap<i32, Stat>) -> u64 {
    let mut sum = 0;
    let mut below = vec![root];
    while let Some(pid) = below.pop() {
        sum += stats.get(&pid).map_or(0, |stat| stat.own + stat.ended_children);
        below.extend(
            stats
                .iter()
                .filter(|(_, stat)| stat.parent == pid)
                .map(|(pid, _)| pid),
        );
    }
    sum
}

/// What all cores worked: all but idle, waiting for the disk, and what the host took away.
fn machine_ticks(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let [user, nice, system, _idle, _disk, hard, soft, ..] = ticks.as_slice() else {
        return None;
    };
    Some(user + nice + system + hard + soft)
}

fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(parent: i32, own: u64, ended_children: u64) -> Stat {
        Stat {
            parent,
            own,
            ended_children,
        }
    }

    #[test]
    fn a_process_has_its_own_time_and_that_of_its_ended_children() {
        let line = "77 (a) b (c)) S 12 77 77 0 -1 4194560 1 0 0 0 10 20 3 4 20 0 6 0 987654 1 2 3";
        assert_eq!(Stat::parse(line), Some(stat(12, 30, 7)));
        assert_eq!(Stat::parse("77 (short) S 12"), None);
    }

    #[test]
    fn a_tree_is_a_process_with_all_below_it_and_nobody_else() {
        let stats = BTreeMap::from([
            (1, stat(0, 1_000, 1_000)),
            (10, stat(1, 5, 2)),
            (11, stat(10, 7, 0)),
            (12, stat(11, 0, 3)),
            (20, stat(1, 400, 0)),
        ]);
        assert_eq!(tree_ticks(10, &stats), 17);
        assert_eq!(tree_ticks(99, &stats), 0);
    }

    #[test]
    fn a_machine_that_waits_for_its_disk_or_its_host_does_not_work() {
        assert_eq!(
            machine_ticks("cpu  1 2 4 1000 2000 8 16 4000 0 0\ncpu0 9 9\n"),
            Some(31)
        );
        assert_eq!(machine_ticks("cpu  1 2\n"), None);
    }

    #[test]
    fn what_was_used_is_the_difference_and_the_rest_of_the_machine_is_others() {
        let ms = Duration::from_millis;
        let before = Reading {
            by_process: BTreeMap::from([("payment", ms(100)), (CLIENT, ms(50))]),
            ended_children: ms(10),
            machine: ms(1_000),
        };
        let after = Reading {
            by_process: BTreeMap::from([("payment", ms(400)), (CLIENT, ms(60))]),
            ended_children: ms(30),
            machine: ms(1_500),
        };
        let used = after.since(&before);
        assert_eq!(used.by_process["payment"], ms(300));
        assert_eq!(used.by_process[CLIENT], ms(10));
        assert_eq!(used.together(), ms(330));
        assert_eq!(used.others, ms(170));
    }

    #[test]
    fn this_process_is_seen() {
        let reading = Reading::take(&[("self", std::process::id().cast_signed())]).unwrap();
        assert!(reading.by_process.contains_key(CLIENT) && reading.by_process.contains_key("self"));
        assert!(reading.machine > Duration::ZERO);
    }
}

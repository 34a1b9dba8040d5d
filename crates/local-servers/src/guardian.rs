//! A small process that outlives us for a moment. It holds the reading end of a pipe whose writing end is ours: when
//! we end, however that happens, the pipe closes and it stops what we have started. A test binary ends without
//! dropping its statics, and nobody survives `kill -9`; without this, both would leave servers behind.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::error::{Doing, Result};
use crate::proc::ProcessId;

/// Reads lines `PID START_TICKS SIGNAL`. The start time (field 22 of `stat`, the 20th after the name) guards against a
/// reused pid. `kill -s`, since dash refuses a group's number after `kill -KILL --`.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
all=
while read -r pid start signal; do all="$all $pid:$start:$signal"; done
running() { [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20)" = "$2" ] &&
            [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1)" != Z ]; }
each() { for one in $all; do
    pid=${one%%:*}; rest=${one#*:}; start=${rest%%:*}; signal=${rest#*:}
    running "$pid" "$start" && "$@"
done; return 0; }
ask() { kill -s CONT -- "-$pid"; kill -s "$signal" "$pid"; }
end() { kill -s KILL -- "-$pid"; kill -s KILL "$pid"; }
count() { left=1; }
{
if [ "$1" -gt 0 ]; then
    each ask
    ticks=$(($1 * 5))
    while [ "$ticks" -gt 0 ]; do
        left=0; each count; [ "$left" = 0 ] && break
        sleep 0.2; ticks=$((ticks - 1))
    done
fi
each end
if [ -n "$2" ]; then sleep 0.2; rm -rf -- "$2" "$3"; fi
} 2>/dev/null
"#;

#[derive(Debug)]
pub(crate) struct Guardian {
    // Both are dropped with the home; the pipe first, which is what the guardian waits for.
    pipe: Mutex<Option<ChildStdin>>,
    child: Mutex<Child>,
}

impl Guardian {
    /// Watches over processes that get `grace_seconds` to end by themselves before they are killed; afterwards the two
    /// folders given in `remove` are deleted, if any.
    pub(crate) fn start(grace_seconds: u64, remove: Option<(&Path, &Path)>) -> Result<Guardian> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "frontrow-guardian", &grace_seconds.to_string()]);
        match remove {
            Some((one, other)) => command.arg(one).arg(other),
            None => command.args(["", ""]),
        };
        let mut child = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of a terminal's Ctrl-C.
            .process_group(0)
            .spawn()
            .doing(|| "start /bin/sh".to_owned())?;
        let pipe = child.stdin.take();
        Ok(Guardian {
            pipe: Mutex::new(pipe),
            child: Mutex::new(child),
        })
    }

    pub(crate) fn watch(&self, id: &ProcessId, stop_signal: &str) {
        if let Some(pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // A guardian that was killed by hand is no reason to fail: the ledger still knows the process.
            let _ = writeln!(pipe, "{} {} {stop_signal}", id.pid, id.start_ticks);
        }
    }

    /// Lets it do its work now and waits for that.
    pub(crate) fn finish(&self) {
        drop(self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_kills_what_a_script_has_started_together_with_the_script() {
        let guardian = Guardian::start(0, None).unwrap();
        let mut script = Command::new("/bin/sh");
        script.args(["-c", "sleep 600 & wait"]).process_group(0);
        let mut script = script.spawn().unwrap();
        let id = ProcessId::of(script.id().cast_signed()).unwrap();
        let child = loop {
            if let Some(child) = id.below().pop() {
                break child;
            }
            tokio::task::yield_now().await;
        };
        guardian.watch(&id, "TERM");
        guardian.finish();
        script.wait().unwrap();
        assert!(child.ended_within(Duration::from_secs(2)).await);
    }
}

//! What a command says while it works: plain lines with the time since it began, readable in a terminal and in a log.

use std::io::Write;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    begun: Instant,
}

impl Report {
    pub(crate) fn new() -> Report {
        Report {
            begun: Instant::now(),
        }
    }

    /// Something begins.
    pub(crate) fn heading(&self, text: &str) {
        self.line(&format!("== {text}"));
    }

    /// Something happened on the way.
    pub(crate) fn step(&self, text: &str) {
        self.line(&format!("   {text}"));
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader who has gone away (`| head`) is no reason to stop working.
        let _ = writeln!(out, "[{:6.1} s] {text}", self.begun.elapsed().as_secs_f64());
        let _ = out.flush();
    }
}

/// A line without a time.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

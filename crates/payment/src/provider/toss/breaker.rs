//! Whether the provider is asked at all: after too many failures it is left alone, until a probe is answered.
//!
//! A failure is no connection, no answer in time, garbage or a 5xx; a refusal is an answer. Pure: the clock and the probes
//! are the caller's.

// Of the libraries, `recloser` and `failsafe` cannot be asked whether they would refuse without letting a call through, and
// let everybody through when they half open; `tower-resilience` stays open until somebody calls, and wraps whole services.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures that are older say nothing about now.
const MEMORY: Duration = Duration::from_secs(60);
/// Of so many times as many calls as open it.
const CALLS_PER_FAILURE: usize = 2;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// So many failures among twice as many last calls, all within a minute, open it.
    pub failures: usize,
    /// How long it stays open before each probe.
    pub open_for: Duration,
}

/// What a call came to, as far as the provider's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered.
    Answered,
    /// It did not, or not as it would.
    Failed,
}

/// What a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Nothing,
}

#[derive(Debug)]
enum State {
    /// Calls go through; the last ones, oldest first.
    Closed(VecDeque<(Instant, Health)>),
    /// None does before `probe_at` is over and the probe was answered.
    Open { probe_at: Instant },
}

#[derive(Debug)]
pub(super) struct Breaker {
    rules: Rules,
    state: Mutex<State>,
}

impl Breaker {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            state: Mutex::new(State::Closed(VecDeque::new())),
        }
    }

    pub(super) const fn open_for(&self) -> Duration {
        self.rules.open_for
    }

    /// How long it stays open at least; `None` while calls go through.
    pub(super) fn open(&self, now: Instant) -> Option<Duration> {
        match &*self.state() {
            State::Closed(_) => None,
            // A probe that is under way gets another moment.
            State::Open { probe_at } => Some(
                probe_at
                    .saturating_duration_since(now)
                    .max(Duration::from_secs(1)),
            ),
        }
    }

    /// Takes note of a call's outcome. What comes in after it opened changes nothing: it is of calls from before.
    pub(super) fn note(&self, health: Health, now: Instant) -> Change {
        let mut state = self.state();
        let State::Closed(calls) = &mut *state else {
            return Change::Nothing;
        };
        calls.push_back((now, health));
        while calls.len() > self.rules.failures * CALLS_PER_FAILURE {
            calls.pop_front();
        }
        let recent = |at: &Instant| now.saturating_duration_since(*at) <= MEMORY;
        let failures = calls
            .iter()
            .filter(|(at, health)| recent(at) && *health == Health::Failed);
        if failures.count() < self.rules.failures {
            return Change::Nothing;
        }
        *state = State::Open {
            probe_at: now + self.rules.open_for,
        };
        Change::Opened
    }

    /// Takes note of a probe's outcome. Answers whether it closed.
    pub(super) fn probed(&self, health: Health, now: Instant) -> bool {
        *self.state() = match health {
            Health::Answered => State::Closed(VecDeque::new()),
            Health::Failed => State::Open {
                probe_at: now + self.rules.open_for,
            },
        };
        health == Health::Answered
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{Answered, Failed};
    use super::*;

    const RULES: Rules = Rules {
        failures: 3,
        open_for: Duration::from_secs(10),
    };

    fn noted(calls: &[Health]) -> bool {
        let (breaker, now) = (Breaker::new(RULES), Instant::now());
        let changes: Vec<_> = calls.iter().map(|health| breaker.note(*health, now)).collect();
        assert_eq!(changes.contains(&Change::Opened), breaker.open(now).is_some());
        breaker.open(now).is_some()
    }

    #[test]
    fn it_opens_when_half_of_the_last_calls_failed() {
        assert!(!noted(&[Failed, Failed]));
        assert!(noted(&[Failed, Failed, Failed]));
        assert!(noted(&[Answered, Failed, Answered, Failed, Answered, Failed]));
        assert!(!noted(&[
            Failed, Answered, Answered, Failed, Answered, Answered, Failed
        ]));
        assert!(!noted(&[Answered; 100]));
    }

    #[test]
    fn failures_of_long_ago_do_not_count() {
        let (breaker, start) = (Breaker::new(RULES), Instant::now());
        for n in 0..10 {
            let at = start + Duration::from_secs(31) * n;
            assert_eq!(breaker.note(Failed, at), Change::Nothing);
        }
    }

    #[test]
    fn it_stays_open_until_a_probe_is_answered() {
        let (breaker, now) = (Breaker::new(RULES), Instant::now());
        for _ in 0..3 {
            breaker.note(Failed, now);
        }
        assert_eq!(breaker.open(now), Some(RULES.open_for));
        // Answers of calls from before.
        assert_eq!(breaker.note(Answered, now), Change::Nothing);
        let later = now + RULES.open_for;
        assert_eq!(breaker.open(later), Some(Duration::from_secs(1)));
        assert!(!breaker.probed(Failed, later));
        assert_eq!(breaker.open(later), Some(RULES.open_for));
        assert!(breaker.probed(Answered, later));
        assert_eq!(breaker.open(later), None);
        assert_eq!(breaker.note(Failed, later), Change::Nothing);
    }
}

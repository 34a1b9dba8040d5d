//! What histories came to: one that never reaches a state proves nothing about it.

use std::collections::BTreeMap;

use queue::domain::VisitState;

use super::seen::{Seen, Visit};

/// What must have happened over thousands of histories, each many times.
const EVERYTHING: [&str; 30] = [
    "admitted",
    "admitted late",
    "admitted again with a new number",
    "full",
    "paused",
    "turn missed",
    "too late",
    "left before the turn",
    "left the page",
    "page over",
    "hold made",
    "paid",
    "lapsed hold",
    "hold refused",
    "second hold refused",
    "trespasser refused",
    "joined",
    "joined again",
    "joined anew after a loss",
    "refused while draining",
    "gave way to the user's other number",
    "filled",
    "numbers in doubt",
    "capacity below those inside",
    "late comers and newcomers called together",
    "cut off",
    "slept",
    "woke up",
    "back from a dump",
    "stopped others",
];

#[derive(Debug, Default)]
pub(super) struct Tally(pub(super) BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// What has not happened so often.
    pub(super) fn rarer_than(&self, times: u64) -> Vec<&'static str> {
        let count = |what: &&str| self.0.get(what).copied().unwrap_or(0);
        EVERYTHING
            .into_iter()
            .filter(|what| count(what) < times)
            .collect()
    }

    pub(super) fn saw(&mut self, before: &Seen, after: &Seen) {
        if after.epoch > before.epoch && before.epoch > 0 {
            self.count("filled");
            if (before.issued_to + 1..=before.reserved_to).any(|number| after.is_in_doubt(number)) {
                self.count("numbers in doubt");
            }
        }
        if after.capacity < before.capacity && after.capacity < after.pages() {
            self.count("capacity below those inside");
        }
        for (number, visit) in &after.visits {
            let was = before.visits.get(number).map(Visit::state);
            match (was, visit.state()) {
                (None, VisitState::Expired) => self.count("left before the turn"),
                (Some(VisitState::Page), VisitState::Payment) => self.count("hold made"),
                (Some(VisitState::Page | VisitState::Payment), VisitState::Completed) => self.count("paid"),
                (Some(VisitState::Payment), VisitState::Expired) => self.count("lapsed hold"),
                (Some(VisitState::Page), VisitState::Expired) if visit.page_is_over_at(after.now) => {
                    self.count("page over");
                }
                (Some(VisitState::Page), VisitState::Expired) => self.count("left the page"),
                _ => {}
            }
        }
    }
}

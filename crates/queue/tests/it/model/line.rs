//! The plain model of a line: who holds which number, what they were told, what they asked for; and by it, what may have
//! become of the room between two instants ([`PlainLine::saw`]).

use std::collections::{BTreeMap, BTreeSet};

use queue::domain::{RoomMode, VisitState};
use uuid::Uuid;
use vocabulary::UserId;

use super::plan::USERS;
use super::seen::{Millis, Seen, Visit};
use super::tally::Tally;
use crate::world::{CLAIM, LATE, PAGE};

macro_rules! must {
    ($holds:expr, $($otherwise:tt)+) => {
        if !$holds {
            return Err(format!($($otherwise)+));
        }
    };
}
pub(super) use must;

/// A number that somebody was told.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) user: usize,
    pub(super) token: String,
    /// In which life of Redis it was answered last: that Redis knows whose it is.
    pub(super) life: u32,
    pub(super) position: Option<u64>,
    pub(super) missed: bool,
    pub(super) asked_to_leave: bool,
    pub(super) asked_to_hold: bool,
    pub(super) polled: bool,
}

/// What a visit's hold was said to have come to.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) paid: bool,
    pub(super) lapsed: bool,
}

#[derive(Debug)]
pub(super) struct PlainLine {
    pub(super) users: [UserId; USERS],
    pub(super) tickets: BTreeMap<u64, Ticket>,
    /// Which of them a user was told, the last one last.
    pub(super) told: [Vec<u64>; USERS],
    /// Who asked to join and heard nothing.
    pub(super) unheard: BTreeSet<usize>,
    pub(super) said: BTreeMap<Uuid, Said>,
    /// How often Redis was lost.
    pub(super) life: u32,
    called_at: BTreeMap<u64, Millis>,
    /// Until when a called number's turn lasts at least. All by the room's clock.
    turn_until: BTreeMap<u64, Millis>,
    /// Since when something may be between the two stores that only time or the comparison of both puts right.
    pub(super) unclear_since: Option<Millis>,
    /// How many more late comers than newcomers were called while both waited.
    pub(super) late_ahead: usize,
    /// When the pace was changed last, by the room's clock: it saves up from then on.
    pub(super) paced_at: Millis,
    pub(super) tally: Tally,
}

pub(super) fn millis(span: std::time::Duration) -> Millis {
    i64::try_from(span.as_millis()).unwrap()
}

impl PlainLine {
    pub(super) fn new() -> Self {
        Self {
            users: std::array::from_fn(|_| UserId::new()),
            tickets: BTreeMap::new(),
            told: Default::default(),
            unheard: BTreeSet::new(),
            said: BTreeMap::new(),
            life: 0,
            called_at: BTreeMap::new(),
            turn_until: BTreeMap::new(),
            unclear_since: None,
            late_ahead: 0,
            paced_at: -1,
            tally: Tally::default(),
        }
    }

    /// Whether a called number's turn cannot be over.
    pub(super) fn has_its_turn(&self, number: u64, seen: &Seen) -> bool {
        let lasts = self
            .turn_until
            .get(&number)
            .is_some_and(|until| seen.clock < *until);
        lasts && !seen.is_in_doubt(number) && !seen.visits.contains_key(&number)
    }

    /// Until when one who missed the turn may come late; `None` where it was not called.
    pub(super) fn late_until(&self, number: u64) -> Option<Millis> {
        let called_at = self.called_at.get(&number)?;
        Some(called_at + millis(CLAIM) + millis(LATE))
    }

    /// Whether the place of a number may be over.
    pub(super) fn may_be_over(&self, number: u64, seen: &Seen) -> bool {
        if let Some(visit) = seen.visits.get(&number) {
            return visit.state_at(seen.now).is_over();
        }
        let too_late = self.late_until(number).is_some_and(|until| until <= seen.clock);
        too_late && !self.has_its_turn(number, seen)
    }

    /// A called number's turn is kept until then.
    pub(super) fn keep_turn(&mut self, number: u64, until: Millis) {
        let turn = self.turn_until.entry(number).or_default();
        *turn = until.max(*turn);
    }

    /// One who has slept for a while keeps turns by the clock that it saw: they may be over sooner than they should.
    pub(super) fn forget_turns(&mut self) {
        self.turn_until.clear();
    }

    fn number_is_of(&self, user: usize, number: u64) -> bool {
        self.tickets.get(&number).is_none_or(|ticket| ticket.user == user)
    }

    /// What may have become of the room between two instants.
    pub(super) fn saw(&mut self, before: &Seen, after: &Seen) -> Result<(), String> {
        for (what, was, is) in [
            ("serving number", before.serving, after.serving),
            (
                "last number that was surely given",
                before.issued_to,
                after.issued_to,
            ),
            (
                "last number that is reserved",
                before.reserved_to,
                after.reserved_to,
            ),
        ] {
            must!(was <= is, "promise 12: the {what} goes back from {was} to {is}");
        }
        must!(before.epoch <= after.epoch, "the epoch goes back");
        let paused = before.mode() == RoomMode::Paused && after.mode() == RoomMode::Paused;
        must!(
            !paused || before.serving == after.serving,
            "numbers up to {} are called in a paused room",
            after.serving
        );
        self.note_calls(after);
        if before.pace != after.pace {
            self.paced_at = after.clock;
        }

        let mut admitted = 0;
        for (number, visit) in &after.visits {
            let was = before.visits.get(number);
            if was != Some(visit) {
                self.became(*number, was, visit, after)?;
            }
            if was.is_none() && visit.admitted_at.is_some() {
                admitted += 1;
                must!(!paused, "number {number} is let in while the room is paused");
            }
        }
        let forgotten = before
            .visits
            .keys()
            .find(|number| !after.visits.contains_key(*number));
        must!(forgotten.is_none(), "the visit of {forgotten:?} is gone");
        // Whoever is inside stays when the capacity is lowered; but nobody comes to them.
        let (pages, capacity) = (after.pages(), before.capacity.max(after.capacity));
        must!(
            admitted == 0 || pages <= capacity,
            "promise 11: {pages} on the page of {capacity} after {admitted} were let in"
        );
        must!(
            pages <= capacity || pages <= before.pages(),
            "promise 11: {pages} on the page of {capacity}"
        );
        for user in self.users {
            let live = after.live_visits_of(user.as_uuid());
            must!(live <= 1, "promise 13: a user has {live} live visits");
        }
        self.tally.saw(before, after);
        Ok(())
    }

    fn note_calls(&mut self, after: &Seen) {
        for (first, last, at) in &after.calls {
            for number in first + 1..=*last {
                if self.called_at.insert(number, *at) != Some(*at) {
                    self.keep_turn(number, at + millis(CLAIM));
                }
            }
        }
    }

    /// What may become of a visit, and by what.
    fn became(&mut self, number: u64, was: Option<&Visit>, is: &Visit, seen: &Seen) -> Result<(), String> {
        use VisitState::{Completed, Expired, Page, Payment};

        let user = self.users.iter().position(|user| user.as_uuid() == is.user);
        let Some(user) = user else {
            return Err(format!("a stranger has number {number}"));
        };
        must!(
            self.number_is_of(user, number),
            "promise 14: user {user} has the number {number} of another"
        );
        must!(number <= seen.reserved_to, "number {number} was never given");
        if let Some(was) = was {
            let same = |visit: &Visit| (visit.visit_id, visit.user, visit.admitted_at, visit.page_ends_at);
            must!(same(was) == same(is), "the visit of {number} became another");
        }
        let said = self.said.entry(is.visit_id).or_default();
        let ticket = self.tickets.get(&number);
        let wants_to_leave = ticket.is_some_and(|ticket| ticket.asked_to_leave);
        let another_was_let_in = seen
            .visit_of(is.user)
            .any(|(other, visit)| *other != number && visit.admitted_at.is_some());
        let mut from = was.map(Visit::state);
        let mut may = true;
        // It may have been let in and have gone on since the last look.
        if from.is_none() && is.admitted_at.is_some() {
            must!(
                number <= seen.serving,
                "number {number} is let in before it was called"
            );
            let until = is.admitted_at.map(|at| at + millis(PAGE));
            must!(
                is.page_ends_at == until,
                "the page of {number} ends at {:?}",
                is.page_ends_at
            );
            may = ticket.is_some_and(|ticket| ticket.polled);
            from = Some(Page);
        }
        may &= match (from, is.state()) {
            (was, state) if was == Some(state) => true,
            // Given up, or given up for the user's other number.
            (None, Expired) => wants_to_leave || another_was_let_in,
            (Some(Page), Payment) => ticket.is_some_and(|ticket| ticket.asked_to_hold),
            (Some(Page), Expired) => {
                wants_to_leave || said.lapsed || is.page_ends_at.is_some_and(|end| end <= seen.now)
            }
            (Some(Page | Payment), Completed) => said.paid,
            (Some(Payment), Expired) => said.lapsed,
            _ => false,
        };
        must!(
            may,
            "promise 13: number {number} of user {user} went from {:?} to {}, which nobody asked for",
            was.map(Visit::state),
            is.state()
        );
        if was.is_none() && is.admitted_at.is_none() && !wants_to_leave {
            self.tally.count("gave way to the user's other number");
        }
        if was.is_none() && is.admitted_at.is_some() {
            self.tally.count("admitted");
            let ticket = self.tickets.get(&number);
            if ticket.is_some_and(|ticket| ticket.missed) {
                self.tally.count("admitted late");
            }
            if another_was_let_in {
                self.tally.count("admitted again with a new number");
            }
        }
        Ok(())
    }
}

//! What a replica's look at the room may have come to: whom it called, and what is so after both stores were compared.

use std::sync::Arc;

use queue::domain::RoomMode;

use super::answers::{Answer, Asked};
use super::house::{Called, Without};
use super::line::must;
use super::plan::What;
use super::play::Play;
use super::seen::Millis;
use crate::world::AT_ONCE;

/// A claim that was cut off is settled after so long.
const CLAIM_VALID_MS: Millis = 5_000;

impl Play<'_> {
    /// Late comers go before new numbers, with at most half of the places where both wait.
    pub(super) async fn compares_calls(&mut self, asked: &Asked, before: &Called) -> Result<(), String> {
        let after = self.house.called(self.seen.clock).await;
        let newly = |number: &&u64| !before.called.contains(number);
        let late = after.called.iter().filter(newly);
        let late = late.filter(|number| before.late.contains(number)).count();
        let new = asked.before.serving + 1..=self.seen.serving;
        let new = after
            .called
            .iter()
            .filter(newly)
            .filter(|number| new.contains(number))
            .count();
        if late > 0 && new > 0 {
            self.line.tally.count("late comers and newcomers called together");
        }
        let waits = |number| !self.seen.visits.contains_key(&number) && !self.seen.is_in_doubt(number);
        let newcomers_wait = (self.seen.serving + 1..=after.last).any(waits);
        if !newcomers_wait {
            self.line.late_ahead = 0;
            return Ok(());
        }
        let ahead = (self.line.late_ahead + late).saturating_sub(new);
        self.line.late_ahead = ahead;
        must!(
            ahead <= 1,
            "{late} late comers and {new} newcomers are called while newcomers wait; {ahead} more in all"
        );
        must!(
            after.late.is_empty() || new <= late + 1,
            "{late} late comers and {new} newcomers are called while late comers wait"
        );
        Ok(())
    }

    /// What must be so when nothing is between the stores.
    pub(super) fn after_upkeep(&mut self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        if !matches!(asked.what, What::Upkeep) || !matches!(answer, Answer::Ticked(Ok(()))) {
            return Ok(());
        }
        let settled = |since| self.seen.now >= since + CLAIM_VALID_MS;
        if self.sleepers.is_empty() && self.line.unclear_since.is_none_or(settled) {
            self.line.unclear_since = None;
        }
        // A control is to find what was promised.
        let unsure = self.line.unclear_since.is_some() || self.house.without != Without::Nothing;
        if unsure || self.seen.mode() == RoomMode::Paused {
            return Ok(());
        }
        let queue = &self.house.replicas[asked.replica];
        let snapshot = Arc::clone(&queue.watch_rooms().borrow());
        let view = &snapshot.rooms[&self.house.concert];
        let (inside, called) = (view.inside as usize, view.called as usize);
        must!(
            inside == self.seen.pages(),
            "{} are on the page, and {inside} places are taken",
            self.seen.pages()
        );
        let waits = |number| !self.seen.visits.contains_key(&number) && !self.seen.is_in_doubt(number);
        let waiting = (self.seen.serving + 1..=view.last_number.0).any(waits);
        let held_back = self.seen.pace < AT_ONCE || self.seen.clock <= self.line.paced_at;
        must!(
            held_back || !waiting || inside + called >= self.seen.capacity,
            "somebody waits, and of {} places {inside} are taken and {called} kept",
            self.seen.capacity
        );
        Ok(())
    }
}

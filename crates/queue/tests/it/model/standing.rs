//! How a token may stand, by the plain model.

use queue::app::TokenView;
use queue::domain::{TokenState, VisitState};
use vocabulary::VisitId;

use super::answers::Asked;
use super::line::{PlainLine, must};
use super::plan::What;
use super::seen::{Seen, Visit};

impl PlainLine {
    /// Whether a token may stand so.
    pub(super) fn stands(
        &mut self,
        number: u64,
        view: &TokenView,
        asked: &Asked,
        now: &Seen,
        alone: bool,
    ) -> Result<(), String> {
        let before = &asked.before;
        must!(
            view.number.0 == number,
            "number {number} is answered as {}",
            view.number.0
        );
        let visit = now.visits.get(&number);
        let may_be = |state| {
            let moved = before.visits.get(&number).map(Visit::state);
            visit.is_some_and(|visit| visit.state_at(now.now) == state) || (!alone && moved == Some(state))
        };
        let may = match view.state {
            TokenState::Waiting | TokenState::TurnMissed => !before.visits.contains_key(&number),
            TokenState::Page => may_be(VisitState::Page) || (!alone && visit.is_some()),
            TokenState::Payment => may_be(VisitState::Payment) || (!alone && visit.is_some()),
            TokenState::Completed => may_be(VisitState::Completed),
            // Promise 13: who holds a token keeps the place.
            TokenState::Expired => self.may_be_over(number, now),
            TokenState::Gathering => false,
        };
        must!(may, "number {number} is answered {}: {visit:?}", view.state);
        if let (TokenState::Page, Some(visit), true) = (view.state, visit, alone) {
            must!(
                view.visit_id == Some(VisitId::from_uuid(visit.visit_id)),
                "another visit is answered"
            );
        }
        if !matches!(view.state, TokenState::Waiting | TokenState::TurnMissed) {
            if view.state == TokenState::Expired && visit.is_none() {
                self.tally.count("too late");
            }
            return Ok(());
        }
        if view.state == TokenState::TurnMissed {
            must!(
                number <= now.serving,
                "number {number} missed a turn that did not come"
            );
            must!(
                !self.has_its_turn(number, now),
                "promise 13: number {number} has its turn and is told that it missed it"
            );
            must!(view.position == 1, "the next late comer is at {}", view.position);
            self.tally.count("turn missed");
        } else {
            // A place that was given just now is counted from what the line knows, which may be a little older.
            let given_now = matches!(asked.what, What::Join { .. });
            let serving = if given_now { 0 } else { before.serving };
            let (most, least) = (number.saturating_sub(serving), number.saturating_sub(now.serving));
            must!(
                (least..=most).contains(&view.position),
                "number {number} is told to be at {} with {} called",
                view.position,
                now.serving
            );
        }
        let ticket = self.tickets.get_mut(&number).ok_or("a number of nobody")?;
        ticket.missed |= view.state == TokenState::TurnMissed;
        if view.state == TokenState::Waiting && alone {
            let was = ticket.position.replace(view.position);
            must!(
                was.is_none_or(|was| view.position <= was || ticket.missed),
                "promise 12: number {number} stood at {was:?} and stands at {}",
                view.position
            );
        }
        Ok(())
    }
}

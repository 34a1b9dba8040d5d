//! What anybody may be answered, by the plain model.

use std::sync::Arc;

use queue::app::{AppError, OpenVisit, RoomView, TokenView, VisitOutcome, VisitPurpose};
use queue::domain::{RoomMode, TokenState, VisitState};
use queue::store::{LineError, StoreError};
use vocabulary::VisitId;

use super::line::{PlainLine, Ticket, millis, must};
use super::plan::{What, Who};
use super::seen::{Seen, Visit};
use crate::world::CLAIM;

/// What was asked for, and how all stood when it was.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) what: What,
    pub(super) replica: usize,
    /// Whose token, and its number.
    pub(super) token: Option<(usize, u64)>,
    pub(super) before: Arc<Seen>,
    life: u32,
    last_told: u64,
    was_clear: bool,
    /// Its replica has looked at the room since it drains.
    pub(super) knows_of_draining: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Joined(Result<queue::app::Ticket, AppError>),
    Polled(Result<TokenView, AppError>),
    Left(Result<(), AppError>),
    /// The visit, and whether news of its hold was taken.
    Held(Result<VisitId, AppError>),
    Ended(Result<(), AppError>),
    Trespassed(Result<OpenVisit, AppError>),
    Put(Result<RoomView, AppError>),
    Ticked(Result<(), AppError>),
}

impl Answer {
    fn error(&self) -> Option<&AppError> {
        match self {
            Self::Joined(answer) => answer.as_ref().err(),
            Self::Polled(answer) => answer.as_ref().err(),
            Self::Left(answer) | Self::Ended(answer) | Self::Ticked(answer) => answer.as_ref().err(),
            Self::Held(answer) => answer.as_ref().err(),
            Self::Trespassed(answer) => answer.as_ref().err(),
            Self::Put(answer) => answer.as_ref().err(),
        }
    }
}

impl PlainLine {
    /// Notes what somebody asks for: from now on it may happen.
    pub(super) fn asked(&mut self, what: What, replica: usize, seen: &Arc<Seen>) -> Option<Asked> {
        let token = match what {
            What::Join { .. } | What::PutRoom(_) | What::Tick | What::Upkeep => None,
            What::Poll(who)
            | What::Leave(who)
            | What::Hold { who, .. }
            | What::EndVisit { who, .. }
            | What::Trespass { who, .. } => {
                let told = &self.told[who.user];
                let number = told.iter().rev().nth(who.back).or(told.last());
                let number = self.apt(what, who, seen).or(number.copied())?;
                Some((self.tickets[&number].user, number))
            }
        };
        if let Some((_, number)) = token {
            let ticket = self.tickets.get_mut(&number)?;
            match what {
                What::Leave(_) => ticket.asked_to_leave = true,
                What::Poll(_) => ticket.polled = true,
                What::Hold { made, .. } => ticket.asked_to_hold |= made,
                _ => {}
            }
            let visit = seen.visits.get(&number);
            let said = visit.map(|visit| self.said.entry(visit.visit_id).or_default());
            match (what, said) {
                (What::EndVisit { outcome, .. }, Some(said)) => match outcome {
                    VisitOutcome::Completed => said.paid = true,
                    VisitOutcome::Expired => said.lapsed = true,
                },
                // There is no visit to tell of.
                (What::EndVisit { .. }, None) => return None,
                _ => {}
            }
        }
        Some(Asked {
            what,
            replica,
            token,
            before: Arc::clone(seen),
            life: self.life,
            last_told: self.tickets.last_key_value().map_or(0, |(number, _)| *number),
            was_clear: self.unclear_since.is_none(),
            knows_of_draining: false,
        })
    }

    /// A token that this can be asked for.
    fn apt(&self, what: What, who: Who, seen: &Seen) -> Option<u64> {
        let apt = |number: &&u64| {
            let visit = seen.visits.get(number).map(|visit| visit.state_at(seen.now));
            match what {
                What::Hold { .. } => visit == Some(VisitState::Page),
                What::EndVisit { .. } => visit.is_some_and(|state| !state.is_over()),
                What::Poll(_) => visit.is_none() && **number <= seen.serving,
                _ => false,
            }
        };
        let apt: Vec<_> = self.tickets.keys().filter(apt).copied().collect();
        (who.apt && !apt.is_empty()).then(|| apt[who.user % apt.len()])
    }

    /// What was answered. `alone`: nothing else happened meanwhile. `excused`: somebody was in the way.
    pub(super) fn answered(
        &mut self,
        asked: &Asked,
        answer: &Answer,
        now: &Seen,
        alone: bool,
        excused: bool,
    ) -> Result<(), String> {
        if let Some(error) = answer.error() {
            let away = matches!(
                error,
                AppError::Unsettled
                    | AppError::Store(StoreError::Unavailable(_))
                    | AppError::Line(LineError::Unavailable(_))
            );
            if away {
                if let What::Join { user } = asked.what {
                    self.unheard.insert(user);
                }
                self.unclear_since = Some(now.now);
                must!(excused, "nothing was in the way of {error:?}");
                self.tally.count("unsettled");
                return Ok(());
            }
        }
        match (asked.what, answer) {
            (What::Join { user }, Answer::Joined(answer)) => self.joined(asked, user, answer, now, alone),
            (_, Answer::Polled(Ok(view))) => self.polled(asked, view, now, alone),
            (_, Answer::Left(Ok(()))) => Self::left(asked, now),
            (What::Hold { made, .. }, Answer::Held(answer)) => self.held(asked, made, answer, now, alone),
            (What::Trespass { elsewhere, .. }, Answer::Trespassed(answer)) => {
                self.trespassed(elsewhere, answer)
            }
            (What::PutRoom(settings), Answer::Put(Ok(view))) => {
                must!(
                    !alone || view.room.settings.capacity() == settings.capacity,
                    "the settings were not taken"
                );
                Ok(())
            }
            (_, Answer::Ended(Ok(())) | Answer::Ticked(Ok(()))) => Ok(()),
            (what, answer) => Err(format!("{what:?} was answered {answer:?}")),
        }
    }

    fn joined(
        &mut self,
        asked: &Asked,
        user: usize,
        answer: &Result<queue::app::Ticket, AppError>,
        now: &Seen,
        alone: bool,
    ) -> Result<(), String> {
        // Redis has known of it all the time, and it is not over.
        let lives = |line: &Self, number: &u64| {
            let ticket = &line.tickets[number];
            let known = ticket.life == asked.life && line.life == asked.life;
            let live = now
                .visits
                .get(number)
                .is_some_and(|visit| !visit.state_at(now.now).is_over());
            let over = line.may_be_over(*number, &asked.before) || line.may_be_over(*number, now);
            live || (known && !over && !now.visits.contains_key(number))
        };
        let has: Vec<_> = self.told[user]
            .iter()
            .copied()
            .filter(|number| lives(self, number))
            .collect();
        let ticket = match answer {
            Ok(ticket) => ticket,
            Err(AppError::RoomClosed) => {
                let modes = [asked.before.mode(), now.mode()];
                must!(
                    modes.contains(&RoomMode::Draining),
                    "joining is refused in a room that drains not"
                );
                must!(!alone || has.is_empty(), "promise 13: who has {has:?} is refused");
                self.tally.count("refused while draining");
                return Ok(());
            }
            Err(error) => return Err(format!("joining was refused: {error:?}")),
        };
        let number = ticket.view.number.0;
        // One who has another from before a loss of Redis may be told that one.
        if alone {
            must!(
                has.is_empty() || (!ticket.joined_now && self.told[user].contains(&number)),
                "promise 13: user {user} has {has:?} and was given {number}"
            );
        }
        if ticket.joined_now {
            must!(
                number > asked.last_told,
                "number {number} was given after {}",
                asked.last_told
            );
            // Of two that join at once for a user, the other may have been answered before.
            must!(
                !alone || !self.tickets.contains_key(&number),
                "promise 13: number {number} was given twice"
            );
            must!(
                !asked.knows_of_draining || !alone || now.mode() != RoomMode::Draining,
                "number {number} was given in a draining room"
            );
            self.tally.count("joined");
            let forgotten = self.told[user]
                .iter()
                .any(|number| !self.may_be_over(*number, now));
            if forgotten {
                self.tally.count("joined anew after a loss");
            }
        } else {
            let heard_of = self.told[user].contains(&number) || self.unheard.contains(&user);
            must!(heard_of, "user {user} never joined, and has {number}");
            self.tally.count("joined again");
        }
        must!(number <= now.reserved_to, "number {number} is not reserved");
        let entry = self.tickets.entry(number).or_insert_with(|| Ticket {
            user,
            token: ticket.queue_token.clone(),
            life: asked.life,
            position: None,
            missed: false,
            asked_to_leave: false,
            asked_to_hold: false,
            polled: false,
        });
        must!(
            entry.user == user,
            "promise 14: number {number} of user {} was answered to user {user}",
            entry.user
        );
        entry.life = entry.life.max(asked.life);
        self.told[user].retain(|told| *told != number);
        self.told[user].push(number);
        self.stands(number, &ticket.view, asked, now, alone)
    }

    fn polled(&mut self, asked: &Asked, view: &TokenView, now: &Seen, alone: bool) -> Result<(), String> {
        let Some((user, number)) = asked.token else {
            return Err("whose token?".to_owned());
        };
        self.stands(number, view, asked, now, alone)?;
        if view.state == TokenState::Waiting && view.position == 0 {
            // Who comes while there is no place stays first; after a loss of Redis for long enough to come again.
            self.keep_turn(number, asked.before.clock + millis(CLAIM) * 2 / 3);
            let full = asked.before.pages() >= asked.before.capacity;
            let paused = asked.before.mode() == RoomMode::Paused;
            self.tally.count(match (paused, full) {
                (true, _) => "paused",
                (_, true) => "full",
                _ => "waits for another's claim",
            });
        }
        // What the model knows exactly: nothing is between the stores, and the turn has come.
        let has_no_visit = !asked.before.visits.contains_key(&number);
        let before = &asked.before;
        if alone && asked.was_clear && has_no_visit && self.has_its_turn(number, before) {
            let inside = before.live_visits_of(self.users[user].as_uuid()) > 0;
            let open = before.mode() != RoomMode::Paused;
            let place = before.pages() < before.capacity;
            let admitted = view.state == TokenState::Page;
            must!(
                inside || admitted == (open && place),
                "number {number} has its turn with {} on the page of {}, and is {}",
                before.pages(),
                before.capacity,
                view.state
            );
        }
        Ok(())
    }

    fn left(asked: &Asked, now: &Seen) -> Result<(), String> {
        let visit = asked.token.and_then(|(_, number)| now.visits.get(&number));
        let gone = visit.is_some_and(|visit| visit.state() != VisitState::Page);
        must!(gone, "who has left is {visit:?}");
        Ok(())
    }

    /// Promise 14: a visit serves one hold, and only while its page is open.
    fn held(
        &mut self,
        asked: &Asked,
        made: bool,
        answer: &Result<VisitId, AppError>,
        now: &Seen,
        alone: bool,
    ) -> Result<(), String> {
        let number = asked.token.map_or(0, |(_, number)| number);
        let visits = [&asked.before, now].map(|seen| seen.visits.get(&number));
        let is_open = |visit: Option<&Visit>| {
            visit.is_some_and(|visit| {
                visit.state() == VisitState::Page && visit.page_ends_at.is_some_and(|end| now.now < end)
            })
        };
        let was = |state| visits.iter().flatten().any(|visit| visit.state() == state);
        match answer {
            Ok(_) => {
                must!(
                    !alone || visits.into_iter().any(is_open),
                    "a hold is begun on {visits:?}"
                );
                if made {
                    let after = visits[1].map(Visit::state);
                    must!(
                        !alone || after != Some(VisitState::Page),
                        "the page stays after a hold was made"
                    );
                } else {
                    self.tally.count("hold refused");
                }
            }
            Err(AppError::PageLeft) => {
                must!(!alone || was(VisitState::Payment), "{visits:?} has left its page");
                self.tally.count("second hold refused");
            }
            Err(AppError::NotAdmitted | AppError::TokenExpired) => {
                must!(
                    !alone || !visits.into_iter().all(is_open),
                    "an open page is refused a hold"
                );
            }
            Err(error) => return Err(format!("a hold was refused: {error:?}")),
        }
        Ok(())
    }

    fn trespassed(&mut self, elsewhere: bool, answer: &Result<OpenVisit, AppError>) -> Result<(), String> {
        let refused = match answer {
            Err(AppError::TokenForeign) => !elsewhere,
            Err(AppError::TokenOfOtherConcert) => elsewhere,
            _ => false,
        };
        must!(refused, "promise 14: a trespasser was answered {answer:?}");
        self.tally.count("trespasser refused");
        Ok(())
    }
}

/// What a trespasser checks for.
pub(super) const fn purpose_of(what: What) -> VisitPurpose {
    match what {
        What::Trespass { purpose, .. } => purpose,
        _ => VisitPurpose::Hold,
    }
}

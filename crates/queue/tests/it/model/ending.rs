//! How every history ends: nothing goes wrong any more, everybody who holds a token keeps polling, and whoever is let in
//! goes again. Then everybody was let in or is over, and no place is taken.

use queue::domain::{RoomMode, VisitState};

use super::line::must;
use super::plan::{Settings, Way, What, Who};
use super::play::Play;
use crate::world::{AT_ONCE, CLAIM, PAGE};

/// Between two rounds; less than any window.
const ROUND_SECONDS: u32 = 3;
/// Few, but so many that the end comes soon.
const CAPACITY: u32 = 3;

impl Play<'_> {
    pub(super) async fn ending(&mut self) -> Result<(), String> {
        self.note("from now on nothing goes wrong".to_owned());
        self.everybody_dies().await?;
        self.unclear();
        let settings = Settings {
            capacity: CAPACITY,
            pace: AT_ONCE,
            mode: RoomMode::Open,
        };
        self.ask(What::PutRoom(settings), 0, Way::Whole).await?;

        // Each round ends a visit. Who never heard of a number keeps a place for a claim window; who pays takes none.
        let seconds_of_the_unheard = (1 + self.line.unheard.len() as u64) * CLAIM.as_secs();
        let seconds = PAGE.as_secs() + seconds_of_the_unheard;
        let rounds = 8 + 2 * self.line.tickets.len() as u64 + seconds / u64::from(ROUND_SECONDS);
        let mut left = self.unfinished();
        for round in 0..rounds {
            if left.is_empty() {
                break;
            }
            let replica = usize::try_from(round % 2).unwrap_or(0);
            let looks = if round % 4 == 0 { What::Upkeep } else { What::Tick };
            self.ask(looks, replica, Way::Whole).await?;
            for (who, number) in &left {
                // As the gateway does: who waits need not ask.
                if *number <= self.seen.serving {
                    self.ask(What::Poll(*who), replica, Way::Whole).await?;
                }
            }
            for (who, number) in left {
                let visit = self.seen.visits.get(&number);
                if visit.is_some_and(|visit| visit.state_at(self.seen.now) == VisitState::Page) {
                    self.ask(What::Leave(who), replica, Way::Whole).await?;
                }
            }
            self.time(ROUND_SECONDS).await?;
            left = self.unfinished();
        }
        must!(
            left.is_empty(),
            "{:?} still wait after {rounds} rounds",
            left.iter().map(|(_, number)| number).collect::<Vec<_>>()
        );
        // Numbers that nobody heard of, and pages of users who lost their token, end by themselves.
        for _ in 0..2 {
            self.time(u32::try_from(PAGE.as_secs()).unwrap_or(u32::MAX))
                .await?;
            self.ask(What::Upkeep, 0, Way::Whole).await?;
        }
        let view = self.house.replicas[1].get_room(self.house.concert).await;
        let view = view.map_err(|error| error.to_string())?;
        must!(
            (self.seen.pages(), view.inside) == (0, 0),
            "{} on the page, {} places taken when all is over",
            self.seen.pages(),
            view.inside
        );
        Ok(())
    }

    /// The tokens whose users still wait, or are on the page, in order.
    fn unfinished(&self) -> Vec<(Who, u64)> {
        let mut left = Vec::new();
        for (user, told) in self.line.told.iter().enumerate() {
            for (back, number) in told.iter().rev().enumerate() {
                let visit = self.seen.visits.get(number);
                let done = visit.map_or_else(
                    || self.line.may_be_over(*number, &self.seen),
                    |visit| visit.state_at(self.seen.now) != VisitState::Page,
                );
                if !done {
                    let who = Who {
                        user,
                        back,
                        apt: false,
                    };
                    left.push((who, *number));
                }
            }
        }
        left.sort_by_key(|(_, number)| *number);
        left
    }
}

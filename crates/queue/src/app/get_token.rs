//! How a token stands, and the claim of a turn that has come.

use std::time::Duration;

use queue_token::Claims;
use time::OffsetDateTime;
use vocabulary::QueueNumber;

use super::{AppError, Queue, TokenView};
use crate::domain::{Place, Room, Standing, TokenState, arrival_of, millis};
use crate::store::{Admission, Claim, ClaimWindows, Claimed};

/// How long a claimed place may take to become a visit; after a failure it stays taken for so long.
const CLAIM_VALID_FOR: Duration = Duration::from_secs(5);
/// Claims that lose against a new epoch or new settings are tried again at once.
const TRIES: u32 = 3;

impl Queue {
    /// How a token stands. A turn that has come is claimed: the answer is then [`TokenState::Page`].
    ///
    /// # Errors
    /// A forged token; no such room; a store is away.
    pub async fn get_token(&self, token: &str) -> Result<TokenView, AppError> {
        let claims = self.verify(token)?;
        for _ in 0..TRIES {
            let Some(number) = self.number_of(claims.concert_id, claims.number).await? else {
                return self.view_in_lobby(&claims).await;
            };
            let claims = Claims { number, ..claims };
            let place = self.place_of(&claims).await?;
            match place.standing(claims.number, &self.options.timings) {
                Standing::Visited(state) => return Ok(self.view_of_visit(&place, claims.number, state)),
                Standing::Unknown => {
                    return Ok(self.view(&place.room, claims.number, TokenState::Expired, 0));
                }
                Standing::Ahead { position } => {
                    return Ok(self.view(&place.room, claims.number, TokenState::Waiting, position));
                }
                Standing::Called { .. } => {
                    if let Some(view) = self.claim(&claims, place).await? {
                        return Ok(view);
                    }
                }
            }
        }
        Err(AppError::Unsettled)
    }

    /// How a token in the lobby stands: it has no number yet.
    async fn view_in_lobby(&self, claims: &Claims) -> Result<TokenView, AppError> {
        let place = self.draws.lobby_place(claims.concert_id, claims.user_id).await?;
        let room = self.room_as_seen(claims.concert_id).await?;
        // A key that outlived its database signed for another lobby.
        let held = place.filter(|place| arrival_of(place.index) == claims.number && !place.left);
        let state = if held.is_some() {
            TokenState::Gathering
        } else {
            TokenState::Expired
        };
        Ok(self.view(&room, QueueNumber(0), state, 0))
    }

    /// How a number that was called stands while it is no visit: called it is at position 0; who missed the turn is the
    /// next of those to be called again.
    pub(super) fn called_view(&self, room: &Room, number: QueueNumber, state: TokenState) -> TokenView {
        let position = u64::from(state == TokenState::TurnMissed);
        self.view(room, number, state, position)
    }

    /// Claims the turn of a called number; `None` when it must be looked at again.
    async fn claim(&self, claims: &Claims, place: Place) -> Result<Option<TokenView>, AppError> {
        let (room, number) = (&place.room, claims.number);
        let windows = ClaimWindows {
            claim: self.options.timings.claim,
            valid_until: whole_millis(room.now + CLAIM_VALID_FOR),
            late_until: place.late_until(&self.options.timings),
        };
        let claim = self
            .on_line(room.concert_id, || {
                self.line.claim(room, claims.user_id, number, windows)
            })
            .await?;
        let view = match claim {
            Claim::Claimed(claimed) => return self.admit(claims, place, &claimed).await,
            // Early: committed as called, and the line is about to hear of it.
            Claim::Claiming | Claim::Full | Claim::Early => {
                return self.stays_first(&place, number).await.map(Some);
            }
            Claim::Late { missed_now } => {
                count_missed(missed_now);
                self.waker.wake(room.concert_id);
                self.called_view(room, number, TokenState::TurnMissed)
            }
            Claim::Gone { missed_now } => {
                count_missed(missed_now);
                self.called_view(room, number, TokenState::Expired)
            }
        };
        Ok(Some(view))
    }

    /// The answer to one whose turn has come while there is no place. The line keeps the turn for another claim window; what
    /// Postgres knows of it is renewed often enough to last for more than half of one, which is longer than between two polls.
    async fn stays_first(&self, place: &Place, number: QueueNumber) -> Result<TokenView, AppError> {
        let renewed_after = self.options.timings.claim / 3;
        let lasts = place
            .called_at
            .is_some_and(|called_at| place.room.clock < called_at + renewed_after);
        if !lasts {
            self.visits.keep_turn(place.room.concert_id, number).await?;
        }
        Ok(self.called_view(&place.room, number, TokenState::Waiting))
    }

    /// Makes a visit of a claimed place.
    async fn admit(
        &self,
        claims: &Claims,
        place: Place,
        claimed: &Claimed,
    ) -> Result<Option<TokenView>, AppError> {
        let Claims {
            concert_id,
            user_id,
            number,
        } = *claims;
        let page = self.options.timings.page;
        let valid_until_ms = millis(claimed.valid_until);
        // An error leaves open whether the visit is committed: the claim is then settled once it is not valid any more.
        match self
            .visits
            .admit(concert_id, user_id, number, claimed, page)
            .await?
        {
            Admission::Admitted { visit, now } => {
                self.tell_line(self.line.confirm(concert_id, number, valid_until_ms))
                    .await;
                if let Some(other) = claimed.other_number {
                    self.give_up(concert_id, user_id, other).await?;
                }
                metrics::counter!("queue_admissions_total").increment(1);
                let room = Room { now, ..place.room };
                let place = Place {
                    room,
                    visit: Some(visit),
                    ..place
                };
                Ok(Some(self.view_of_visit(&place, number, TokenState::Page)))
            }
            Admission::Refused => {
                // Whoever was held up hears of it late: the turn that is kept begins now, not when the place was claimed.
                let now = self.place_of(claims).await?.room.clock;
                let window_end = now + self.options.timings.claim;
                self.line
                    .give_back(concert_id, number, valid_until_ms, window_end)
                    .await?;
                if claimed.epoch < place.room.epoch {
                    self.fill(concert_id, Some(claimed.epoch)).await?;
                    return Ok(None);
                }
                let live = self.visits.live_visit(concert_id, user_id).await?;
                match live.filter(|visit| visit.number != number) {
                    // The user is in already, with the number they were given when Redis had forgotten this one.
                    Some(visit) if !visit.state_at(place.room.now).is_over() => {
                        self.give_up(concert_id, user_id, number).await?;
                        Ok(None)
                    }
                    // The user's visit before is over, and the sweep will say so in a moment.
                    Some(_) => self.stays_first(&place, number).await.map(Some),
                    None => Ok(None),
                }
            }
        }
    }
}

/// The looks at the room count the turns that nobody asked for.
fn count_missed(missed_now: bool) {
    if missed_now {
        metrics::counter!("queue_turns_missed_total").increment(1);
    }
}

/// Redis keeps milliseconds; what both stores compare must be the same instant.
fn whole_millis(time: OffsetDateTime) -> OffsetDateTime {
    time - Duration::from_nanos(u64::from(time.nanosecond() % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_cut_to_whole_milliseconds() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_789).unwrap();
        let cut = whole_millis(time);
        assert_eq!(cut.unix_timestamp_nanos(), 1_790_000_000_123_000_000);
        assert_eq!(millis(cut), millis(time));
    }
}

//! Taking a place in line.

use fair_draw::Receipt;
use queue_token::Claims;
use queue_token::pace::Pace;
use vocabulary::{ConcertId, QueueNumber, UserId};

use super::gather::Gathered;
use super::{AppError, Queue, RoomView, TokenView};
use crate::domain::{Room, Stage, Standing, TokenState, arrival_of};
use crate::store::{Block, Join, LobbyPlace};

/// A try that gives no number ends an old place or reserves a block, which others may use up before the next.
const TRIES: u32 = 8;

/// A queue token with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The signed token.
    pub queue_token: String,
    /// How it stands.
    pub view: TokenView,
    /// False when an earlier place was answered again.
    pub joined_now: bool,
    /// Of one who came before the opening.
    pub receipt: Option<Receipt>,
}

impl Queue {
    /// Takes a place for the user; the same one while it is not over. Promise 13.
    ///
    /// # Errors
    /// No such room; a store is away.
    pub async fn join(&self, concert: ConcertId, user: UserId) -> Result<Ticket, AppError> {
        for attempt in 0..TRIES {
            // The room as it was seen may be a little older than its closing: then another look helps.
            let room = match attempt {
                0 => self.room_as_seen(concert).await?,
                _ => self.visits.room(concert).await?.ok_or(AppError::RoomNotFound)?,
            };
            if room.stage == Stage::Lobby {
                match self.gather(concert, user).await? {
                    Gathered::Place(place) => return self.lobby_ticket(&room, &place).await,
                    Gathered::Refused => return Err(AppError::RoomClosed),
                    Gathered::Over => {}
                }
                // Whoever comes at the opening or later is not in the lobby, whether it was closed yet or not.
                self.draws.close(concert).await?;
                continue;
            }
            let had_lobby = room.stage == Stage::Drawing || room.drawn_to.0 > 0;
            if had_lobby && let Some(ticket) = self.lobby_place_again(&room, user).await? {
                return Ok(ticket);
            }
            match self
                .on_line(concert, || self.line.join(concert, user, room.takes_in()))
                .await?
            {
                Join::Given {
                    number,
                    serving,
                    block,
                } => {
                    self.reserve_ahead(concert, number, block).await;
                    if self.may_call(concert) {
                        self.waker.wake(concert);
                    }
                    metrics::counter!("queue_joins_total").increment(1);
                    // The line's own serving number: the room as it was seen may be a little older.
                    let serving = room.serving.max(serving);
                    let position = Room {
                        serving,
                        ..room.clone()
                    }
                    .position(number);
                    let view = self.view(&room, number, TokenState::Waiting, position);
                    return self.ticket(concert, user, number, view, true);
                }
                Join::Had(number) => {
                    if let Some(view) = self.place_again(concert, user, number).await? {
                        return self.ticket(concert, user, number, view, false);
                    }
                    self.line.forget(concert, user, number).await?;
                }
                // It may have been opened again since it was seen.
                Join::Closed if attempt == 0 => {}
                Join::Closed => return Err(AppError::RoomClosed),
                Join::Empty(block) => {
                    self.reserve_after(concert, block).await?;
                }
            }
        }
        Err(AppError::Unsettled)
    }

    fn ticket(
        &self,
        concert: ConcertId,
        user: UserId,
        arrival: QueueNumber,
        view: TokenView,
        joined_now: bool,
    ) -> Result<Ticket, AppError> {
        let queue_token = self.tokens.sign(&Claims {
            concert_id: concert,
            user_id: user,
            number: arrival,
        })?;
        Ok(Ticket {
            queue_token,
            view,
            joined_now,
            receipt: None,
        })
    }

    /// The answer to one who is in the lobby now.
    async fn lobby_ticket(&self, room: &Room, place: &LobbyPlace) -> Result<Ticket, AppError> {
        let view = self.view(room, QueueNumber(0), TokenState::Gathering, 0);
        let (concert, arrival) = (room.concert_id, arrival_of(place.index));
        let ticket = self.ticket(concert, place.user_id, arrival, view, place.joined_now)?;
        Ok(Ticket {
            receipt: Some(self.receipt(concert, place).await?),
            ..ticket
        })
    }

    /// The answer to one who was in the lobby, once it is closed; `None` for others, and where the place is over.
    async fn lobby_place_again(&self, room: &Room, user: UserId) -> Result<Option<Ticket>, AppError> {
        let concert = room.concert_id;
        let place = self.draws.lobby_place(concert, user).await?;
        let Some(place) = place.filter(|place| !place.left) else {
            return Ok(None);
        };
        let arrival = arrival_of(place.index);
        let Some(number) = self.number_of(concert, arrival).await? else {
            return self.lobby_ticket(room, &place).await.map(Some);
        };
        let Some(view) = self.place_again(concert, user, number).await? else {
            return Ok(None);
        };
        let ticket = self.ticket(concert, user, arrival, view, false)?;
        Ok(Some(Ticket {
            receipt: Some(self.receipt(concert, &place).await?),
            ..ticket
        }))
    }

    /// How a place that the user has stands, claiming nothing; `None` when it is over.
    async fn place_again(
        &self,
        concert: ConcertId,
        user: UserId,
        number: QueueNumber,
    ) -> Result<Option<TokenView>, AppError> {
        let claims = Claims {
            concert_id: concert,
            user_id: user,
            number,
        };
        let place = self.place_of(&claims).await?;
        let view = match place.standing(number, &self.options.timings) {
            Standing::Ahead { position } => self.view(&place.room, number, TokenState::Waiting, position),
            Standing::Called {
                state: TokenState::Expired,
            }
            | Standing::Visited(TokenState::Expired | TokenState::Completed)
            | Standing::Unknown => return Ok(None),
            Standing::Called { state } => self.called_view(&place.room, number, state),
            Standing::Visited(state) => self.view_of_visit(&place, number, state),
        };
        Ok(Some(view))
    }

    /// The room as the last tick saw it, or as Postgres knows it.
    pub(super) async fn room_as_seen(&self, concert: ConcertId) -> Result<Room, AppError> {
        let seen = self
            .snapshot
            .borrow()
            .rooms
            .get(&concert)
            .map(|view| view.room.clone());
        match seen {
            Some(room) => Ok(room),
            None => self.visits.room(concert).await?.ok_or(AppError::RoomNotFound),
        }
    }

    /// Whether one who has just joined may be called before the next tick. Where every place was taken at the last one, a
    /// look for each join would only cost the stores their time while everybody comes.
    fn may_call(&self, concert: ConcertId) -> bool {
        let snapshot = self.snapshot.borrow();
        snapshot.rooms.get(&concert).is_none_or(RoomView::has_places)
    }

    /// Reserves the next block in the middle of this one, so that joins rarely wait for Postgres.
    async fn reserve_ahead(&self, concert: ConcertId, given: QueueNumber, block: Block) {
        if block.last.0 - given.0 != u64::from(self.options.number_block / 2) {
            return;
        }
        if let Err(error) = self.reserve_after(concert, block).await {
            // The place is given; whoever finds the block empty reserves the next.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no numbers reserved ahead"
            );
        }
    }

    async fn reserve_after(&self, concert: ConcertId, block: Block) -> Result<(), AppError> {
        let next = self
            .visits
            .reserve_numbers(concert, block, self.options.number_block)
            .await?;
        let Some(next) = next else {
            return self.fill(concert, Some(block.epoch)).await;
        };
        // A room that was lost meanwhile is filled by the next try.
        self.line.extend(concert, next).await?;
        Ok(())
    }

    /// How those who wait in this room are told to come again.
    pub(super) fn pace(&self, room: &Room) -> Pace {
        let snapshot = self.snapshot.borrow();
        let seen = snapshot.rooms.get(&room.concert_id);
        Pace {
            admit_per_second: room.settings.admit_per_second(),
            rates: seen.map(|view| view.admitted).unwrap_or_default(),
            claim_seconds: self.claim_seconds(),
            halted: !room.state().calls(),
        }
    }
}

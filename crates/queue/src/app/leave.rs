//! Giving a place up.

use queue_token::Claims;
use vocabulary::{ConcertId, QueueNumber, UserId};

use super::{AppError, Queue};
use crate::store::Left;

impl Queue {
    /// Gives the token's place up: in the lobby it is drawn and passed over, before its turn it is never called, on the page the visit ends, while paying or later
    /// nothing changes.
    ///
    /// # Errors
    /// A forged token; Postgres is away.
    pub async fn leave(&self, token: &str) -> Result<(), AppError> {
        let Claims {
            concert_id,
            user_id,
            number: arrival,
        } = self.verify(token)?;
        // Twice: the draw may be done between asking for the number and leaving the lobby.
        for _ in 0..2 {
            match self.number_of(concert_id, arrival).await {
                Ok(Some(number)) => return self.give_up(concert_id, user_id, number).await,
                Err(AppError::RoomNotFound) => return Ok(()),
                Err(error) => return Err(error),
                Ok(None) => {}
            }
            match self.draws.leave_lobby(concert_id, user_id).await? {
                Left::Now => {
                    metrics::counter!("queue_given_up_total").increment(1);
                    return Ok(());
                }
                Left::Before => return Ok(()),
                Left::Drawn => {}
            }
        }
        Err(AppError::Unsettled)
    }

    pub(super) async fn give_up(
        &self,
        concert: ConcertId,
        user: UserId,
        number: QueueNumber,
    ) -> Result<(), AppError> {
        if self.visits.give_up(concert, user, number).await? {
            metrics::counter!("queue_given_up_total").increment(1);
            self.tell_line(self.line.forget(concert, user, number)).await;
            self.waker.wake(concert);
        }
        Ok(())
    }
}

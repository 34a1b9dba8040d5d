//! Giving a place up.

use vocabulary::{ConcertId, QueueNumber, UserId};

use super::{AppError, Queue};

impl Queue {
    /// Gives the token's place up: before its turn it is never called, on the page the visit ends, while paying or later
    /// nothing changes.
    ///
    /// # Errors
    /// A forged token; Postgres is away.
    pub async fn leave(&self, token: &str) -> Result<(), AppError> {
        let claims = self.verify(token)?;
        self.give_up(claims.concert_id, claims.user_id, claims.number)
            .await
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

//! What a payment would have to cover, for whoever may pay it.

use secrecy::{ExposeSecret as _, SecretString};
use vocabulary::{ConcertId, QueueNumber, ReservationId, UserId};

use super::{AppError, Booking};
use crate::domain::Reservation;

/// What allows its bearer to pay.
#[derive(Debug)]
pub enum Credential {
    /// The payment token of the hold.
    PaymentToken(SecretString),
    /// The visit that made the hold, as a verified queue token names it.
    Queue {
        /// Whose token it is.
        user_id: UserId,
        /// Whose line.
        concert_id: ConcertId,
        /// Which place in it.
        number: QueueNumber,
    },
}

impl Booking {
    /// A reservation that the bearer of `credential` may pay, in whatever state it is.
    ///
    /// # Errors
    /// The credential is forged or for something else; there is no such reservation, or it is another user's; or the
    /// store failed.
    pub async fn payable(&self, id: ReservationId, credential: &Credential) -> Result<Reservation, AppError> {
        match credential {
            Credential::PaymentToken(token) => {
                let user_id = self
                    .payment_tokens
                    .verify(token.expose_secret(), id)
                    .map_err(|_| AppError::PaymentTokenInvalid)?;
                let reservation = self.load_to_pay(id).await?;
                if reservation.user_id == user_id {
                    Ok(reservation)
                } else {
                    Err(AppError::PaymentTokenInvalid)
                }
            }
            Credential::Queue {
                user_id,
                concert_id,
                number,
            } => {
                let reservation = self.load_to_pay(id).await?;
                if reservation.user_id != *user_id {
                    return Err(AppError::NotFound("reservation"));
                }
                if reservation.concert_id != *concert_id {
                    Err(AppError::QueueTokenOfOtherConcert)
                } else if reservation.queue_number == *number {
                    Ok(reservation)
                } else {
                    Err(AppError::PaymentTokenInvalid)
                }
            }
        }
    }
}

//! What payments would have to cover, for whoever may pay.

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

/// Who shows a credential, as far as the credential itself says.
enum Bearer {
    /// Of a payment token for the reservation.
    Paying(UserId),
    /// Of a visit's queue token.
    Visiting(UserId, ConcertId, QueueNumber),
}

impl Booking {
    /// Reservations that the bearers of these credentials may pay, in whatever states they are.
    ///
    /// # Errors
    /// Of each: the credential is forged or for something else; there is no such reservation, or it is another user's; or the
    /// store failed.
    pub async fn payables(
        &self,
        wanted: &[(ReservationId, Credential)],
    ) -> Vec<Result<Reservation, AppError>> {
        let bearers: Vec<_> = wanted
            .iter()
            .map(|(id, credential)| self.bearer(*id, credential))
            .collect();
        let known = wanted.iter().zip(&bearers).filter(|(_, bearer)| bearer.is_ok());
        let ids = known.map(|((id, _), _)| *id).collect();
        let mut loaded = self.load_to_pay(ids).await.into_iter();
        bearers
            .into_iter()
            .map(|bearer| {
                let bearer = bearer?;
                let reservation = loaded.next().unwrap_or(Err(AppError::NotFound("reservation")))?;
                bearer.may_pay(&reservation)?;
                Ok(reservation)
            })
            .collect()
    }

    fn bearer(&self, id: ReservationId, credential: &Credential) -> Result<Bearer, AppError> {
        match credential {
            Credential::PaymentToken(token) => {
                let verified = self.payment_tokens.verify(token.expose_secret(), id);
                verified
                    .map(Bearer::Paying)
                    .map_err(|_| AppError::PaymentTokenInvalid)
            }
            Credential::Queue {
                user_id,
                concert_id,
                number,
            } => Ok(Bearer::Visiting(*user_id, *concert_id, *number)),
        }
    }
}

impl Bearer {
    fn may_pay(&self, reservation: &Reservation) -> Result<(), AppError> {
        match *self {
            Self::Paying(user_id) if reservation.user_id == user_id => Ok(()),
            Self::Paying(_) => Err(AppError::PaymentTokenInvalid),
            Self::Visiting(user_id, ..) if reservation.user_id != user_id => {
                Err(AppError::NotFound("reservation"))
            }
            Self::Visiting(_, concert_id, _) if reservation.concert_id != concert_id => {
                Err(AppError::QueueTokenOfOtherConcert)
            }
            Self::Visiting(_, _, number) if reservation.queue_number == number => Ok(()),
            Self::Visiting(..) => Err(AppError::PaymentTokenInvalid),
        }
    }
}

//! The payment token: a signed proof that its bearer may pay one reservation.
//!
//! It carries no times: whether there is still something to pay is the reservation's row.

use std::fmt;

use serde::{Deserialize, Serialize};
use service_kit::keyring::{InvalidToken, Keyring, SignError};
use uuid::Uuid;
use vocabulary::{ReservationId, UserId};

/// A token made for something else does not pass as a payment token, whatever key signed it.
const USE: &str = "payment";

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "use")]
    purpose: String,
    #[serde(rename = "r")]
    reservation: Uuid,
    #[serde(rename = "sub")]
    user: Uuid,
}

/// Signs and verifies payment tokens.
#[derive(Clone)]
pub struct PaymentTokens {
    keyring: Keyring,
}

impl fmt::Debug for PaymentTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keyring.fmt(f)
    }
}

impl PaymentTokens {
    /// Tokens of this keyring.
    #[must_use]
    pub const fn new(keyring: Keyring) -> Self {
        Self { keyring }
    }

    /// A token that lets its bearer pay `reservation` of `user`.
    ///
    /// # Errors
    /// The signature could not be made.
    pub fn sign(&self, reservation: ReservationId, user: UserId) -> Result<String, SignError> {
        self.keyring.sign(&Wire {
            purpose: USE.to_owned(),
            reservation: reservation.as_uuid(),
            user: user.as_uuid(),
        })
    }

    /// Whose reservation a token lets its bearer pay, if it is a token for `reservation`.
    ///
    /// # Errors
    /// It is forged, truncated, no payment token, or for another reservation.
    pub fn verify(&self, token: &str, reservation: ReservationId) -> Result<UserId, InvalidToken> {
        let wire: Wire = self.keyring.verify(token)?;
        if wire.purpose == USE && wire.reservation == reservation.as_uuid() {
            Ok(UserId::from_uuid(wire.user))
        } else {
            Err(InvalidToken::Forged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_pays_its_own_reservation_only() {
        let tokens = PaymentTokens::new(Keyring::random());
        let (mine, other, user) = (ReservationId::new(), ReservationId::new(), UserId::new());
        let token = tokens.sign(mine, user).unwrap();
        assert_eq!(tokens.verify(&token, mine).unwrap(), user);
        assert!(tokens.verify(&token, other).is_err());
    }

    #[test]
    fn promise_14_a_token_of_another_key_or_use_or_cut_short_is_refused() {
        let keyring = Keyring::random();
        let (reservation, user) = (ReservationId::new(), UserId::new());
        let other_use = keyring
            .sign(&Wire {
                purpose: "queue".to_owned(),
                reservation: reservation.as_uuid(),
                user: user.as_uuid(),
            })
            .unwrap();
        let other_key = PaymentTokens::new(Keyring::random())
            .sign(reservation, user)
            .unwrap();
        let tokens = PaymentTokens::new(keyring);
        let mut cut = tokens.sign(reservation, user).unwrap();
        cut.pop();
        for token in [other_use, other_key, cut, String::new()] {
            assert!(tokens.verify(&token, reservation).is_err(), "{token}");
        }
    }
}

//! The queue token: a signed proof of a place in one concert's line.
//!
//! `queue` signs it; the gateway verifies it without asking anybody. It says who stands where, never whether the turn
//! has come: that is the room's state. It carries no times, as its validity is that of the place.

pub mod pace;

use std::fmt;

use serde::{Deserialize, Serialize};
pub use service_kit::keyring::{InvalidToken, Keyring, ParseKeyringError, SignError};
use uuid::Uuid;
use vocabulary::{ConcertId, ProblemCode, QueueNumber, UserId};

/// A token made for something else does not pass as a queue token, whatever key signed it.
const USE: &str = "queue";

/// What a queue token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Whose line it is.
    pub concert_id: ConcertId,
    /// Who stands in it.
    pub user_id: UserId,
    /// Where.
    pub number: QueueNumber,
}

// Short names: the token travels with every poll.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "use")]
    purpose: String,
    #[serde(rename = "c")]
    concert: Uuid,
    #[serde(rename = "sub")]
    user: Uuid,
    #[serde(rename = "n")]
    number: u64,
}

/// Signs and verifies queue tokens.
#[derive(Clone)]
pub struct QueueTokens {
    keyring: Keyring,
}

impl fmt::Debug for QueueTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keyring.fmt(f)
    }
}

impl QueueTokens {
    /// Tokens of this keyring.
    #[must_use]
    pub const fn new(keyring: Keyring) -> Self {
        Self { keyring }
    }

    /// A token for a place.
    ///
    /// # Errors
    /// The signature could not be made.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        self.keyring.sign(&Wire {
            purpose: USE.to_owned(),
            concert: claims.concert_id.as_uuid(),
            user: claims.user_id.as_uuid(),
            number: claims.number.0,
        })
    }

    /// What a token says, if we signed it.
    ///
    /// # Errors
    /// It is missing, cut, unsigned, forged, or for another use.
    pub fn verify(&self, token: &str) -> Result<Claims, InvalidToken> {
        let wire: Wire = self.keyring.verify(token)?;
        // Number 0 is nobody's.
        if wire.purpose != USE || wire.number == 0 {
            return Err(InvalidToken::Forged);
        }
        Ok(Claims {
            concert_id: ConcertId::from_uuid(wire.concert),
            user_id: UserId::from_uuid(wire.user),
            number: QueueNumber(wire.number),
        })
    }
}

/// What the bearer of a token that is no queue token learns, wherever it is read.
#[must_use]
pub const fn problem_code(invalid: InvalidToken) -> ProblemCode {
    match invalid {
        InvalidToken::Missing => ProblemCode::QueueTokenMissing,
        InvalidToken::Malformed => ProblemCode::QueueTokenMalformed,
        InvalidToken::Unsigned => ProblemCode::QueueTokenUnsigned,
        InvalidToken::Forged => ProblemCode::QueueTokenInvalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            concert_id: ConcertId::new(),
            user_id: UserId::new(),
            number: QueueNumber(42),
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let tokens = QueueTokens::new(Keyring::random());
        let claims = claims();
        assert_eq!(tokens.verify(&tokens.sign(&claims).unwrap()).unwrap(), claims);
    }

    #[test]
    fn promise_14_a_token_with_another_payload_or_key_or_cut_short_is_refused() {
        use InvalidToken::{Forged, Malformed};

        let tokens = QueueTokens::new(Keyring::random());
        let (mine, other) = (tokens.sign(&claims()).unwrap(), tokens.sign(&claims()).unwrap());
        let (mine, other): (Vec<_>, Vec<_>) = (mine.split('.').collect(), other.split('.').collect());
        let swapped = [mine[0], other[1], mine[2]].join(".");
        let cut = mine[..2].join(".");
        let foreign = QueueTokens::new(Keyring::random()).sign(&claims()).unwrap();
        for (token, why) in [
            (swapped, Forged),
            (foreign, Forged),
            (cut, Malformed),
            ("x".to_owned(), Malformed),
        ] {
            assert_eq!(tokens.verify(&token), Err(why), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_use_is_refused() {
        let keyring = Keyring::random();
        let wire = Wire {
            purpose: "payment".to_owned(),
            concert: Uuid::nil(),
            user: Uuid::nil(),
            number: 1,
        };
        let token = keyring.sign(&wire).unwrap();
        assert_eq!(
            QueueTokens::new(keyring).verify(&token),
            Err(InvalidToken::Forged)
        );
    }
}

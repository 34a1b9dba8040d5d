//! States and small values whose names stand alike in proto, SQL, JSON, metrics and docs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most seats that one user may hold or own of one schedule.
pub const SEATS_PER_USER: u32 = 4;

/// Text that is no word of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not a {kind}")]
pub struct UnknownWord {
    kind: &'static str,
    word: String,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $kind:literal { $($(#[$vmeta:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the state machine.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as it stands in SQL, JSON and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { kind: $kind, word: word.to_owned() }),
                }
            }
        }
    };
}

words!(
    /// What a user may do beyond buying.
    Role, "role" {
        /// Looks at concerts and buys seats.
        Buyer => "BUYER",
        /// Also imports venues and puts concerts on sale; sees only their own.
        Organiser => "ORGANISER",
    }
);

words!(
    /// Where a queue token stands.
    QueueTokenStatus, "queue token status" {
        /// In line, before its turn or with its turn missed.
        Waiting => "WAITING",
        /// Admitted; see [`Phase`].
        Processing => "PROCESSING",
        /// Over without a purchase.
        Expired => "EXPIRED",
        /// Over with a purchase.
        Completed => "COMPLETED",
    }
);

words!(
    /// Where an admitted visit stands.
    Phase, "phase" {
        /// Looks at dates and seats; takes one of the room's places.
        Page => "PAGE",
        /// Made a hold and pays; takes no place.
        Payment => "PAYMENT",
    }
);

words!(
    /// What a buyer sees of a seat.
    SeatStatus, "seat status" {
        /// On sale.
        Available => "AVAILABLE",
        /// Held by a reservation that is not paid yet.
        Pending => "PENDING",
        /// Sold.
        Occupied => "OCCUPIED",
    }
);

words!(
    /// Where a reservation stands.
    ReservationStatus, "reservation status" {
        /// Seats held, waiting for a payment.
        Pending => "PENDING",
        /// A payment has begun.
        Paying => "PAYING",
        /// Paid; the seats belong to the user.
        Confirmed => "CONFIRMED",
        /// Not paid in time; the seats are back on sale.
        Expired => "EXPIRED",
        /// Given up by its owner, before or after it was paid.
        Canceled => "CANCELED",
    }
);

impl ReservationStatus {
    /// Whether the reservation owns its seats in this state.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Paying | Self::Confirmed)
    }
}

/// A price class of a concert, as the organiser named it ("VIP", "R석"); 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grade(String);

impl Grade {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Grade {
    type Error = UnknownWord;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.trim().is_empty() || name.chars().count() > Self::MAX_CHARS {
            return Err(UnknownWord {
                kind: "grade (1 to 64 characters)",
                word: name,
            });
        }
        Ok(Self(name))
    }
}

impl From<Grade> for String {
    fn from(grade: Grade) -> Self {
        grade.0
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a concert's line. Numbers begin at 1 and are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueNumber(pub u64);

impl fmt::Display for QueueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a seat in its layout, from 0; compact forms name seats by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeatIndex(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_text_and_json() {
        for status in ReservationStatus::ALL {
            assert_eq!(status.as_str().parse::<ReservationStatus>().unwrap(), *status);
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{status}\""));
        }
    }

    #[test]
    fn an_unknown_word_is_named() {
        let error = "SOLD".parse::<SeatStatus>().unwrap_err();
        assert_eq!(error.to_string(), "\"SOLD\" is not a seat status");
    }

    #[test]
    fn a_grade_has_a_name_of_bounded_length() {
        assert!(Grade::try_from("R석".to_owned()).is_ok());
        assert!(Grade::try_from("  ".to_owned()).is_err());
        assert!(Grade::try_from("x".repeat(65)).is_err());
    }
}

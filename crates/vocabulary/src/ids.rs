//! One newtype per kind of id, so that a seat is never passed where a schedule is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a {kind}: a UUID is expected")]
pub struct ParseIdError {
    kind: &'static str,
}

macro_rules! typed_id {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (UUIDv7: ordered by the time of its making).
            #[allow(clippy::new_without_default, reason = "two calls give two different ids")]
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id that a store or a message carries.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for a store or a message.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError { kind: $kind })
            }
        }
    };
}

typed_id!(
    /// A person with an account: a buyer, an organiser or both.
    UserId,
    "user id"
);
typed_id!(
    /// A hall with one seating plan.
    VenueId,
    "venue id"
);
typed_id!(
    /// What is performed; it has one waiting room and one or more schedules.
    ConcertId,
    "concert id"
);
typed_id!(
    /// One performance of a concert, on one date, with its own seats.
    ScheduleId,
    "schedule id"
);
typed_id!(
    /// One seat of a venue. The same seat is sold once per schedule.
    SeatId,
    "seat id"
);
typed_id!(
    /// One admitted stay of one user at one concert.
    VisitId,
    "visit id"
);
typed_id!(
    /// One to four seats of one schedule, held or owned by one user.
    ReservationId,
    "reservation id"
);
typed_id!(
    /// One try to pay one reservation.
    PaymentId,
    "payment id"
);
typed_id!(
    /// Points bought by card, once.
    ChargeId,
    "charge id"
);
typed_id!(
    /// Money of one canceled reservation on its way back.
    RefundId,
    "refund id"
);
typed_id!(
    /// One line of a wallet's history.
    LedgerEntryId,
    "ledger entry id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text_and_json() {
        let id = SeatId::new();
        assert_eq!(id.to_string().parse::<SeatId>().unwrap(), id);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }

    #[test]
    fn a_wrong_id_says_what_it_should_be() {
        let error = "row-7".parse::<SeatId>().unwrap_err();
        assert_eq!(error.to_string(), "is not a seat id: a UUID is expected");
    }

    #[test]
    fn new_ids_are_version_7() {
        assert_eq!(UserId::new().as_uuid().get_version_num(), 7);
    }
}

//! From the contracts' messages to the public JSON: times, words, and what an upstream must not leave out.

use std::fmt;
use std::marker::PhantomData;

use prost_types::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use service_kit::problem::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use vocabulary::ProblemCode;

use crate::problem::ApiProblem;

/// An upstream answered what its contract rules out.
#[derive(Debug, thiserror::Error)]
#[error("an upstream broke its contract: {0}")]
pub(crate) struct BrokenContract(pub &'static str);

impl From<BrokenContract> for ApiProblem {
    fn from(broken: BrokenContract) -> Self {
        tracing::error!(error = %broken, "an upstream's answer makes no sense");
        ProblemCode::Internal.into()
    }
}

/// A part of an answer that must be there.
pub(crate) fn required<T>(name: &'static str, part: Option<T>) -> Result<T, BrokenContract> {
    part.ok_or(BrokenContract(name))
}

/// A time that must be there.
pub(crate) fn time(
    name: &'static str,
    timestamp: Option<Timestamp>,
) -> Result<OffsetDateTime, BrokenContract> {
    optional_time(name, timestamp)?.ok_or(BrokenContract(name))
}

/// A time that may be absent.
pub(crate) fn optional_time(
    name: &'static str,
    timestamp: Option<Timestamp>,
) -> Result<Option<OffsetDateTime>, BrokenContract> {
    timestamp
        .map(|timestamp| contracts::time_of(name, &timestamp))
        .transpose()
        .map_err(|_: Problem| BrokenContract(name))
}

/// `None` for the empty text that stands for "absent" in the contracts.
pub(crate) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Reads a time from a request.
pub(crate) fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
        serde::de::Error::custom("must be a time as in RFC 3339, like 2027-01-31T19:30:00+09:00")
    })
}

/// Reads a time that may be absent from a request.
pub(crate) fn read_optional_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OffsetDateTime>, D::Error> {
    #[derive(Deserialize)]
    struct Time(#[serde(deserialize_with = "read_time")] OffsetDateTime);
    Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
}

/// Reads an object. A derived reader by itself would take an array of the fields' values too.
pub(crate) fn read_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// Reads an object that may be absent or null.
pub(crate) fn read_optional_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: Deserialize<'de>")]
    struct Object<T>(#[serde(deserialize_with = "read_object")] T);
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(object)| object))
}

/// Reads an array of objects that may be absent or null.
pub(crate) fn read_optional_objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: Deserialize<'de>")]
    struct Object<T>(#[serde(deserialize_with = "read_object")] T);
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(objects.map(|objects| objects.into_iter().map(|Object(object)| object).collect()))
}

/// Reads one of a few words that may be absent or null. A derived reader by itself would take an object too.
pub(crate) fn read_optional_word<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    word.map(|word| T::deserialize(word.into_deserializer()))
        .transpose()
}

/// A word of the public API, read from its value in the contracts.
macro_rules! public_words {
    ($(#[$meta:meta])* $name:ident from $contract:ty { $($(#[$vmeta:meta])* $variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub(crate) enum $name {
            $($(#[$vmeta])* $variant,)+
        }

        impl $name {
            /// The word; an unspecified or unknown value breaks the contract.
            pub(crate) fn read(value: i32) -> Result<Self, BrokenContract> {
                match <$contract>::try_from(value) {
                    $(Ok(<$contract>::$variant) => Ok(Self::$variant),)+
                    Ok(<$contract>::Unspecified) | Err(_) => Err(BrokenContract(stringify!($name))),
                }
            }
        }
    };
}

public_words!(
    /// Where a queue token stands.
    TokenStatus from contracts::queue::TokenStatus {
        /// In line, before its turn or with its turn missed.
        Waiting,
        /// Admitted; the phase says how far.
        Processing,
        /// Over without a purchase.
        Expired,
        /// Over with a purchase.
        Completed,
    }
);

public_words!(
    /// Where an admitted visit stands, or that one who waits has no number yet.
    Phase from contracts::queue::Phase {
        /// Looks at dates and seats.
        Page,
        /// Made a hold and pays.
        Payment,
        /// Gathers in the lobby: the numbers are not drawn yet.
        Lobby,
    }
);

public_words!(
    /// Whether a waiting room lets people in.
    RoomState from contracts::queue::RoomState {
        /// Not open yet; nobody is called.
        Scheduled,
        /// People join and are called.
        Open,
        /// People join; nobody is called or let in, and nobody misses a turn.
        Paused,
        /// Nobody joins anew; those in line are called.
        Draining,
    }
);

public_words!(
    /// Where a reservation stands.
    ReservationStatus from contracts::booking::ReservationStatus {
        /// Seats held, waiting for a payment.
        Pending,
        /// A payment has begun.
        Paying,
        /// Paid.
        Confirmed,
        /// Not paid in time; the seats are back on sale.
        Expired,
        /// Given up by its owner before or after it was paid, or its date was canceled.
        Canceled,
    }
);

/// What an organiser lets a waiting room do, once it has opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum RoomMode {
    /// People join and are called.
    #[default]
    Open,
    /// People join; nobody is called or let in, and nobody misses a turn.
    Paused,
    /// Nobody joins anew; those who have a place keep it and are called.
    Draining,
}

impl RoomMode {
    /// The word of an upstream, which may leave OPEN out.
    pub(crate) fn read(value: i32) -> Result<Self, BrokenContract> {
        use contracts::concert::WaitingRoomMode as Word;
        match Word::try_from(value) {
            Ok(Word::Unspecified | Word::Open) => Ok(Self::Open),
            Ok(Word::Paused) => Ok(Self::Paused),
            Ok(Word::Draining) => Ok(Self::Draining),
            Err(_) => Err(BrokenContract("WaitingRoom.mode")),
        }
    }

    /// The word for an upstream.
    pub(crate) const fn message(self) -> contracts::concert::WaitingRoomMode {
        use contracts::concert::WaitingRoomMode as Word;
        match self {
            Self::Open => Word::Open,
            Self::Paused => Word::Paused,
            Self::Draining => Word::Draining,
        }
    }
}

/// How far a cancellation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CancellationStatus {
    /// Money is still on its way.
    Pending,
    /// Nothing is left to do.
    Completed,
}

public_words!(
    /// Where a charge stands.
    ChargeStatus from contracts::payment::ChargeStatus {
        /// Recorded; the provider was not asked yet.
        Created,
        /// The provider was asked to capture.
        Confirming,
        /// The provider's answer was lost; it is queried until known.
        Unknown,
        /// Captured, and the points are in the wallet.
        Succeeded,
        /// Nothing was captured.
        Failed,
    }
);

public_words!(
    /// Where a payment stands.
    PaymentStatus from contracts::payment::PaymentStatus {
        /// Recorded; nothing was taken.
        Created,
        /// Points are set aside.
        PointsTaken,
        /// The provider was asked to capture.
        Confirming,
        /// The provider's answer was lost; it is queried until known.
        Unknown,
        /// The provider captured; the seats are not confirmed yet.
        Captured,
        /// Paid, and the seats are the buyer's.
        Succeeded,
        /// Nothing was charged; points were given back.
        Failed,
        /// Charged and given back, because the seats were gone.
        Refunded,
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_word_is_the_shared_one() {
        for word in vocabulary::ReservationStatus::ALL {
            let read = ReservationStatus::read(contracts::reservation_status(*word) as i32).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), word.as_str());
        }
        for word in vocabulary::QueueTokenStatus::ALL {
            let read = TokenStatus::read(contracts::queue_status(*word) as i32).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), word.as_str());
        }
    }

    #[test]
    fn an_unspecified_or_unknown_word_breaks_the_contract() {
        assert!(PaymentStatus::read(0).is_err());
        assert!(PaymentStatus::read(99).is_err());
    }
}

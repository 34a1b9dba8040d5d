//! The published documents, as JSON: what a room tells everybody, what one who gathers holds, and what proves them
//! together.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hash::{Bytes, Hash};
use crate::receipt::{Salt, Signature};
use crate::seed::BeaconValue;

/// Which edition of the rules a draw follows.
pub const VERSION: u32 = 1;

/// How far a draw has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DrawState {
    /// People gather; everything that is to be known before is published.
    Gathering,
    /// Nobody joins the lobby any more: the count is fixed.
    Closed,
    /// The root is published.
    Sealed,
    /// The secret is published, and with it everybody's number.
    Drawn,
    /// People are called.
    Open,
}

impl DrawState {
    /// Every state, in order.
    pub const ALL: [Self; 5] = [
        Self::Gathering,
        Self::Closed,
        Self::Sealed,
        Self::Drawn,
        Self::Open,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gathering => "GATHERING",
            Self::Closed => "CLOSED",
            Self::Sealed => "SEALED",
            Self::Drawn => "DRAWN",
            Self::Open => "OPEN",
        }
    }
}

/// Why nothing but the operator's word stands for the secret's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperatorTrusted {
    /// No beacon was announced.
    NoBeacon,
    /// The announced round could not be had in time.
    BeaconUnavailable,
    /// The root was published only after the round: whoever made it could have known the value.
    RootTooLate,
}

impl OperatorTrusted {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::NoBeacon, Self::BeaconUnavailable, Self::RootTooLate];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoBeacon => "NO_BEACON",
            Self::BeaconUnavailable => "BEACON_UNAVAILABLE",
            Self::RootTooLate => "ROOT_TOO_LATE",
        }
    }
}

/// A beacon's round: announced before, and its value after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beacon {
    /// The chain's hash, as drand names it.
    pub chain: String,
    /// The round that the draw waits for.
    pub round: u64,
    /// Its randomness, once drawn with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Hash>,
}

/// What is published of a draw, so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// How far it has come.
    pub state: DrawState,
    /// What receipts are checked with (Ed25519).
    pub receipt_key: Bytes<32>,
    /// SHA-256 of the secret.
    pub commitment: Hash,
    /// The beacon that was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<Beacon>,
    /// Whether no beacon has a say.
    pub operator_trusted: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_trusted_because: Option<OperatorTrusted>,
    /// How many were in the lobby, once it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The root over them, once sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Hash>,
    /// The secret, once drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Hash>,
    /// What the order follows from, once drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Hash>,
}

impl Record {
    /// The beacon's value that went into the seed.
    #[must_use]
    pub fn beacon_value(&self) -> Option<BeaconValue> {
        let beacon = self.beacon.as_ref()?;
        Some(BeaconValue {
            round: beacon.round,
            value: beacon.value?,
        })
    }
}

/// A room's public state, as far as it concerns the draw; other members are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Whose line it is.
    pub concert_id: Uuid,
    /// The draw's record; a room that never had a lobby has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness: Option<Record>,
}

/// What one who gathers in a lobby is given. Who shows it to others without the salt tells nobody who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// [`VERSION`].
    pub version: u32,
    /// Whose line it is.
    pub concert_id: Uuid,
    /// The order of arrival, from 0.
    pub index: u64,
    /// With the user's id it gives the commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Salt>,
    /// Stands for the user in the list of leaves.
    pub commitment: Hash,
    /// The operator's, over the leaf.
    pub signature: Signature,
}

/// That a leaf is under the root, and the number that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Whose line it is.
    pub concert_id: Uuid,
    /// The order of arrival, from 0.
    pub index: u64,
    /// The siblings on the way from the leaf to the root.
    pub path: Vec<Hash>,
    /// The number as the operator says it; absent before the draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

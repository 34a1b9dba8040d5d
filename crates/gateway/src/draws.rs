//! The draws of rooms as `queue` streams them, and the number that follows for whoever was in a lobby: everybody could
//! compute it, so nobody is asked.

use std::sync::Arc;

use contracts::queue;
use fair_draw::{Beacon, Bytes, DrawState, OperatorTrusted, Permutation, Record};

use crate::wire::BrokenContract;

/// A draw as everybody may see it.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    pub record: Record,
    /// How many are, or were, in the lobby.
    pub count: u64,
    /// Once drawn.
    order: Option<Arc<Permutation>>,
}

/// Where one who holds a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the lobby, without a number.
    Lobby,
    /// At this number.
    Number(u64),
}

impl Draw {
    /// Reads a draw; the order is taken over from what was known before.
    pub(crate) fn read(fairness: &queue::Fairness, earlier: Option<&Self>) -> Result<Self, BrokenContract> {
        let record = record(fairness)?;
        let known =
            earlier.filter(|earlier| earlier.record.seed == record.seed && earlier.count == fairness.count);
        let order = match (record.seed, known) {
            (None, _) => None,
            (Some(_), Some(known)) => known.order.clone(),
            (Some(seed), None) => {
                let order = Permutation::new(&seed, fairness.count);
                Some(Arc::new(order.ok_or(BrokenContract("Fairness.count"))?))
            }
        };
        Ok(Self {
            record,
            count: fairness.count,
            order,
        })
    }

    /// Where the one whose token has this number stands; `None` for a number that nobody was given.
    pub(crate) fn place(&self, arrival: u64) -> Option<Place> {
        if self.record.state == DrawState::Gathering {
            return Some(Place::Lobby);
        }
        if arrival > self.count {
            return Some(Place::Number(arrival));
        }
        match &self.order {
            None => Some(Place::Lobby),
            Some(order) => order.number_of(arrival.checked_sub(1)?).map(Place::Number),
        }
    }
}

fn record(fairness: &queue::Fairness) -> Result<Record, BrokenContract> {
    use queue::{DrawState as S, OperatorTrusted as T};
    let state = match fairness.state() {
        S::Gathering => DrawState::Gathering,
        S::Closed => DrawState::Closed,
        S::Sealed => DrawState::Sealed,
        S::Drawn => DrawState::Drawn,
        S::Open => DrawState::Open,
        S::Unspecified => return Err(BrokenContract("Fairness.state")),
    };
    let because = match fairness.operator_trusted() {
        T::Unspecified => None,
        T::NoBeacon => Some(OperatorTrusted::NoBeacon),
        T::BeaconUnavailable => Some(OperatorTrusted::BeaconUnavailable),
        T::RootTooLate => Some(OperatorTrusted::RootTooLate),
    };
    let beacon = fairness.beacon.as_ref().map(|beacon| {
        Ok(Beacon {
            chain: beacon.chain.clone(),
            round: beacon.round,
            value: optional("Beacon.value", &beacon.value)?,
        })
    });
    Ok(Record {
        version: fairness.version,
        state,
        receipt_key: bytes("Fairness.receipt_key", &fairness.receipt_key)?,
        commitment: bytes("Fairness.commitment", &fairness.commitment)?,
        beacon: beacon.transpose()?,
        operator_trusted: because.is_some(),
        operator_trusted_because: because,
        count: (state > DrawState::Gathering).then_some(fairness.count),
        root: optional("Fairness.root", &fairness.root)?,
        secret: optional("Fairness.secret", &fairness.secret)?,
        seed: optional("Fairness.seed", &fairness.seed)?,
    })
}

/// Bytes of a fixed length that must be there.
pub(crate) fn bytes<const N: usize>(name: &'static str, bytes: &[u8]) -> Result<Bytes<N>, BrokenContract> {
    Bytes::from_slice(bytes).ok_or(BrokenContract(name))
}

fn optional<const N: usize>(name: &'static str, value: &[u8]) -> Result<Option<Bytes<N>>, BrokenContract> {
    (!value.is_empty()).then(|| bytes(name, value)).transpose()
}

//! The draw of a room that opens later: its states, what is next, and the number that follows from it.

use std::time::Duration;

use fair_draw::{BeaconValue, Bytes, Hash};
pub use fair_draw::{DrawState, OperatorTrusted};
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber};

/// For so long the root is published before the secret is: longer than caches keep a room, so that everybody who
/// watches has seen it.
pub const SHOWN_FOR: Duration = Duration::from_secs(2);

/// What happens to a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrawEvent {
    /// The opening has come: nobody joins the lobby any more.
    Close,
    /// The root over everybody is known.
    Seal,
    /// The secret is shown, with the beacon's value where there is one.
    Reveal,
    /// Whoever left is passed over: people may be called.
    Open,
}

impl DrawEvent {
    /// Every event, in order.
    pub const ALL: [Self; 4] = [Self::Close, Self::Seal, Self::Reveal, Self::Open];

    /// The state that an event applies in: what a guarded update demands.
    #[must_use]
    pub const fn from(self) -> DrawState {
        match self {
            Self::Close => DrawState::Gathering,
            Self::Seal => DrawState::Closed,
            Self::Reveal => DrawState::Sealed,
            Self::Open => DrawState::Drawn,
        }
    }
}

/// The event does not apply in this state and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} changes nothing in {state:?}")]
pub struct DrawRefused {
    /// The state that stays.
    pub state: DrawState,
    /// What was refused.
    pub event: DrawEvent,
}

/// What a draw becomes: every step follows on one other, and none is taken twice.
///
/// # Errors
/// The event does not apply in this state.
pub const fn advance(state: DrawState, event: DrawEvent) -> Result<DrawState, DrawRefused> {
    match (state, event) {
        (DrawState::Gathering, DrawEvent::Close) => Ok(DrawState::Closed),
        (DrawState::Closed, DrawEvent::Seal) => Ok(DrawState::Sealed),
        (DrawState::Sealed, DrawEvent::Reveal) => Ok(DrawState::Drawn),
        (DrawState::Drawn, DrawEvent::Open) => Ok(DrawState::Open),
        _ => Err(DrawRefused { state, event }),
    }
}

/// A chain of public randomness (drand), and how a draw waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconChain {
    /// The chain's hash.
    pub chain: Hash,
    /// When its first round came.
    pub genesis: OffsetDateTime,
    /// From one round to the next.
    pub period: Duration,
    /// How long after the opening the round comes: the root must be published before.
    pub after: Duration,
    /// How long after its time the round is waited for.
    pub patience: Duration,
}

impl BeaconChain {
    /// The round that a room opening at `opens_at` announces: the first that comes more than `after` later.
    #[must_use]
    pub fn round_for(&self, opens_at: OffsetDateTime) -> Announced {
        let period_s = self.period.as_secs().max(1);
        let since_s = (opens_at + self.after - self.genesis).whole_seconds();
        // Round 1 came with the genesis.
        let round = u64::try_from(since_s).map_or(1, |since_s| since_s / period_s + 2);
        let at = self.genesis + Duration::from_secs((round - 1) * period_s);
        Announced {
            chain: self.chain.to_string(),
            round,
            at,
        }
    }
}

/// The round that a draw waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The chain's hash.
    pub chain: String,
    /// The round.
    pub round: u64,
    /// When it comes.
    pub at: OffsetDateTime,
}

/// What is known once the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revealed {
    /// The secret.
    pub secret: Hash,
    /// What the order follows from.
    pub seed: Hash,
    /// What the beacon said, or why it has no say.
    pub beacon: Result<Hash, OperatorTrusted>,
}

/// A draw as everybody may see it: nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Whose line it is.
    pub concert_id: ConcertId,
    /// How far it has come.
    pub state: DrawState,
    /// What receipts are checked with.
    pub receipt_key: Bytes<32>,
    /// SHA-256 of the secret.
    pub commitment: Hash,
    /// The beacon's round, where one was announced.
    pub beacon: Option<Announced>,
    /// How many are, or were, in the lobby.
    pub count: u64,
    /// The root over them, and since when it is published.
    pub sealed: Option<(Hash, OffsetDateTime)>,
    /// From DRAWN on.
    pub revealed: Option<Revealed>,
}

/// What is to be done about a draw now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Wait,
    /// Close the lobby.
    Close,
    /// Compute and publish the root.
    Seal,
    /// Ask the beacon; where it gives nothing and `give_up`, draw without.
    Ask {
        /// Which round.
        round: u64,
        /// Whether it was waited for long enough.
        give_up: bool,
    },
    /// Draw without a beacon, and say why.
    DrawAlone(OperatorTrusted),
    /// Pass over who left, and let people be called.
    Open,
}

impl Draw {
    /// What is to be done at `now`. `due`: the room's opening has come. `patience`: how long a round is waited for.
    #[must_use]
    pub fn next(&self, due: bool, now: OffsetDateTime, patience: Duration) -> Next {
        match (self.state, &self.sealed, &self.beacon) {
            (DrawState::Gathering, ..) if due => Next::Close,
            (DrawState::Closed, ..) => Next::Seal,
            (DrawState::Sealed, Some((_, sealed_at)), beacon) if now >= *sealed_at + SHOWN_FOR => {
                match beacon {
                    None => Next::DrawAlone(OperatorTrusted::NoBeacon),
                    // A value that was known before the root proves nothing: the record must not pretend that it does.
                    Some(beacon) if *sealed_at >= beacon.at => Next::DrawAlone(OperatorTrusted::RootTooLate),
                    Some(beacon) if now < beacon.at => Next::Wait,
                    Some(beacon) => Next::Ask {
                        round: beacon.round,
                        give_up: now >= beacon.at + patience,
                    },
                }
            }
            (DrawState::Drawn, ..) => Next::Open,
            _ => Next::Wait,
        }
    }

    /// The seed of this draw with `secret`; `None` before the root is known.
    #[must_use]
    pub fn seed(&self, secret: &Hash, beacon: Result<Hash, OperatorTrusted>) -> Option<Hash> {
        let (root, _) = self.sealed?;
        let beacon = match (&self.beacon, beacon) {
            (Some(announced), Ok(value)) => Some(BeaconValue {
                round: announced.round,
                value,
            }),
            _ => None,
        };
        let concert = self.concert_id.as_uuid();
        Some(fair_draw::seed(
            concert,
            secret,
            self.count,
            &root,
            beacon.as_ref(),
        ))
    }
}

/// The order of arrival, from 0, of the one whose token has this number.
#[must_use]
pub const fn index_of(arrival: QueueNumber) -> Option<u64> {
    arrival.0.checked_sub(1)
}

/// The number on the token of the one who came as the `index`-th: nobody has number 0.
#[must_use]
pub const fn arrival_of(index: u64) -> QueueNumber {
    QueueNumber(index.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DrawEvent::{Close, Open, Reveal, Seal};

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn after(seconds: u64) -> OffsetDateTime {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn every_state_and_event_does_what_the_table_says() {
        use DrawState as S;
        let table = [
            (S::Gathering, Close, Some(S::Closed)),
            (S::Gathering, Seal, None),
            (S::Gathering, Reveal, None),
            (S::Gathering, Open, None),
            (S::Closed, Close, None),
            (S::Closed, Seal, Some(S::Sealed)),
            (S::Closed, Reveal, None),
            (S::Closed, Open, None),
            (S::Sealed, Close, None),
            (S::Sealed, Seal, None),
            (S::Sealed, Reveal, Some(S::Drawn)),
            (S::Sealed, Open, None),
            (S::Drawn, Close, None),
            (S::Drawn, Seal, None),
            (S::Drawn, Reveal, None),
            (S::Drawn, Open, Some(S::Open)),
            (S::Open, Close, None),
            (S::Open, Seal, None),
            (S::Open, Reveal, None),
            (S::Open, Open, None),
        ];
        for (state, event, expected) in table {
            let expected = expected.ok_or(DrawRefused { state, event });
            assert_eq!(advance(state, event), expected, "{state:?} x {event:?}");
            assert_eq!(advance(state, event).is_ok(), event.from() == state);
        }
        let pairs: std::collections::BTreeSet<_> =
            table.iter().map(|(state, event, _)| (*state, *event)).collect();
        assert_eq!(pairs.len(), DrawState::ALL.len() * DrawEvent::ALL.len());
    }

    fn draw(state: DrawState, sealed_at: Option<u64>, beacon_at: Option<u64>) -> Draw {
        Draw {
            concert_id: ConcertId::new(),
            state,
            receipt_key: Bytes([0; 32]),
            commitment: Bytes([0; 32]),
            beacon: beacon_at.map(|at| Announced {
                chain: "c".to_owned(),
                round: 9,
                at: after(at),
            }),
            count: 3,
            sealed: sealed_at.map(|at| (Bytes([1; 32]), after(at))),
            revealed: None,
        }
    }

    #[test]
    fn what_is_next_follows_from_the_state_and_the_time() {
        use DrawState as S;
        let patience = Duration::from_secs(30);
        let ask = |give_up| Next::Ask { round: 9, give_up };
        let alone = Next::DrawAlone;
        let cases = [
            (S::Gathering, false, 0, None, Next::Wait),
            (S::Gathering, true, 0, None, Next::Close),
            (S::Closed, true, 0, None, Next::Seal),
            // The root is shown for a while before anything follows from it.
            (S::Sealed, true, 101, None, Next::Wait),
            (S::Sealed, true, 102, None, alone(OperatorTrusted::NoBeacon)),
            (S::Sealed, true, 101, Some(100), Next::Wait),
            (
                S::Sealed,
                true,
                102,
                Some(100),
                alone(OperatorTrusted::RootTooLate),
            ),
            (S::Sealed, true, 102, Some(101), ask(false)),
            (S::Sealed, true, 102, Some(110), Next::Wait),
            (S::Sealed, true, 110, Some(110), ask(false)),
            (S::Sealed, true, 139, Some(110), ask(false)),
            (S::Sealed, true, 140, Some(110), ask(true)),
            (S::Drawn, true, 0, None, Next::Open),
            (S::Open, true, 0, None, Next::Wait),
        ];
        for (state, due, now, beacon_at, next) in cases {
            let sealed_at = (state >= S::Sealed).then_some(100);
            let draw = draw(state, sealed_at, beacon_at);
            assert_eq!(draw.next(due, after(now), patience), next, "{state:?} at {now}");
        }
    }

    #[test]
    fn the_announced_round_comes_after_the_closing_and_not_much_later() {
        let chain = BeaconChain {
            chain: Bytes([0; 32]),
            genesis: after(100),
            period: Duration::from_secs(3),
            after: Duration::from_secs(10),
            patience: Duration::from_secs(30),
        };
        for opens_at in 0..400 {
            let round = chain.round_for(after(opens_at));
            let earliest = after(opens_at) + chain.after;
            assert_eq!(round.at, after(100 + (round.round - 1) * 3));
            assert!(round.at > earliest || round.round == 1, "{opens_at}: {round:?}");
            assert!(
                round.at <= earliest + chain.period || round.round == 1,
                "{opens_at}: {round:?}"
            );
        }
    }

    #[test]
    fn a_beacon_that_was_not_announced_has_no_say() {
        let draw = draw(DrawState::Sealed, Some(0), None);
        let secret = Bytes([3; 32]);
        assert_eq!(
            draw.seed(&secret, Ok(Bytes([4; 32]))),
            draw.seed(&secret, Err(OperatorTrusted::NoBeacon))
        );
    }
}

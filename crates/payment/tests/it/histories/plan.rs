//! What a history consists of, drawn from its seed and nothing else.

use std::time::Duration;

use rand::distr::weighted::WeightedIndex;
use rand::prelude::Distribution as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::mishaps::Fate;

/// Buyers of a history.
pub(super) const USERS: usize = 2;
/// Between any two of them time passes, and processes look for what is due.
pub(super) const ROUNDS: usize = 8;
/// Calls to booking and to the provider that may go wrong; those after them arrive, so that everything comes to an end.
const FATES: usize = 80;

/// How often what happens to a call, in percent: where nearly all is well, where nothing is sure, and where processes fall
/// asleep and wake up when others have gone on.
const WEIGHTED_FATES: [&[(Fate, u32)]; 3] = [
    &[
        (Fate::Arrives, 97),
        (Fate::Fails, 1),
        (Fate::AnswerLost, 1),
        (Fate::Twice, 1),
    ],
    &[
        (Fate::Arrives, 74),
        (Fate::Fails, 5),
        (Fate::AnswerLost, 5),
        (Fate::Twice, 5),
        (Fate::ArrivesLate, 4),
        (Fate::HeardLate, 3),
        (Fate::DiesBefore, 2),
        (Fate::DiesAfter, 2),
    ],
    &[
        (Fate::Arrives, 77),
        (Fate::Fails, 2),
        (Fate::AnswerLost, 3),
        (Fate::HeardLate, 18),
    ],
];

/// Payment keys by what the provider does with them, and how often, in percent.
const WEIGHTED_CARDS: [(&str, u32); 10] = [
    ("ok", 46),
    ("declined", 10),
    ("slow", 7),
    ("lost", 7),
    ("late", 7),
    ("unavailable", 8),
    ("doubled", 4),
    ("cancel_slow", 3),
    ("cancel_lost", 3),
    ("cancel_unavailable", 5),
];

/// Everything that a history does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Points that each buyer begins with.
    pub(super) grants: [i64; USERS],
    /// What is begun at the same moment, round by round.
    pub(super) rounds: Vec<Vec<Act>>,
    /// What happens to the calls, in the order in which they are made.
    pub(super) fates: Vec<Fate>,
}

/// Something that a buyer, an organiser, the provider or time does. What it is done to is counted from the first, around.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Hold {
        user: usize,
        total: i64,
        percent: u32,
    },
    Ask {
        what: What,
        key: Option<u8>,
        way: Way,
    },
    /// One of the requests before, as it was.
    Repeat {
        of: usize,
        way: Way,
    },
    HoldLapses {
        held: usize,
        after: Duration,
    },
    DateIsCanceled {
        held: usize,
        after: Duration,
    },
    /// A webhook about an order of this history.
    Webhook {
        about: usize,
    },
    /// One about an order that nobody made, or that something else is for.
    ForgedWebhook {
        about: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Charge {
        user: usize,
        amount: i64,
        card: &'static str,
    },
    Pay {
        held: usize,
        by: By,
        card: &'static str,
        stranger: bool,
    },
    Cancel {
        held: usize,
        stranger: bool,
    },
}

/// What pays.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Points,
    Card,
    /// So many percent of the price by points.
    Both(i64),
}

/// How a request comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Once,
    /// By somebody who is told very soon that it goes on.
    InHaste,
    TwiceAtOnce,
    /// To a process that dies on the way if a call's fate is to see it die.
    ToAMortal,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut draw = Draw(StdRng::seed_from_u64(seed));
        let grants = [draw.0.random_range(0..30_000), draw.0.random_range(0..10_000)];
        let mut rounds = vec![vec![draw.hold(0)]];
        rounds.extend((1..ROUNDS).map(|_| draw.round()));
        let weighted = WEIGHTED_FATES[draw.0.random_range(0..WEIGHTED_FATES.len())];
        let fates = (0..FATES).map(|_| draw.one_of(weighted)).collect();
        Self {
            seed,
            grants,
            rounds,
            fates,
        }
    }

    /// Whether somebody may be asleep while others take a cancellation up.
    pub(super) fn sleeps_over_cancellations(&self) -> bool {
        let asleep = self.fates.iter().filter(|fate| **fate == Fate::HeardLate).count();
        let mut acts = self.rounds.iter().flatten();
        let cancels = acts.any(|act| {
            matches!(
                act,
                Act::Ask {
                    what: What::Cancel { stranger: false, .. },
                    ..
                }
            )
        });
        asleep > FATES / 10 && cancels
    }
}

struct Draw(StdRng);

impl Draw {
    fn one_of<T: Copy>(&mut self, choices: &[(T, u32)]) -> T {
        let weights = choices.iter().map(|(_, weight)| *weight);
        choices[WeightedIndex::new(weights).unwrap().sample(&mut self.0)].0
    }

    fn round(&mut self) -> Vec<Act> {
        let acts = self.one_of(&[(0, 25), (1, 40), (2, 25), (3, 10)]);
        (0..acts).map(|_| self.act()).collect()
    }

    fn act(&mut self) -> Act {
        let held = self.0.random_range(0..4);
        match self.one_of(&[
            ("ask", 62),
            ("repeat", 12),
            ("hold", 12),
            ("lapse", 4),
            ("date", 3),
            ("webhook", 5),
            ("forged", 2),
        ]) {
            "hold" => {
                let user = self.user();
                self.hold(user)
            }
            "ask" => Act::Ask {
                what: self.what(held),
                key: self.0.random_bool(0.85).then(|| self.0.random_range(0..5)),
                way: self.way(),
            },
            "repeat" => Act::Repeat {
                of: self.0.random_range(0..8),
                way: self.way(),
            },
            "lapse" => Act::HoldLapses {
                held,
                after: self.moment(),
            },
            "date" => Act::DateIsCanceled {
                held,
                after: self.moment(),
            },
            "webhook" => Act::Webhook {
                about: self.0.random_range(0..8),
            },
            _ => Act::ForgedWebhook {
                about: self.0.random_range(0..8),
            },
        }
    }

    fn hold(&mut self, user: usize) -> Act {
        Act::Hold {
            user,
            total: self.0.random_range(200..20_000),
            percent: self.one_of(&[(100, 50), (90, 15), (33, 15), (1, 10), (0, 10)]),
        }
    }

    fn what(&mut self, held: usize) -> What {
        let card = self.one_of(&WEIGHTED_CARDS);
        let stranger = self.0.random_bool(0.03);
        match self.one_of(&[("pay", 60), ("charge", 20), ("cancel", 20)]) {
            "pay" => {
                let share = self.0.random_range(1..100);
                let by = self.one_of(&[(By::Points, 30), (By::Card, 30), (By::Both(share), 40)]);
                What::Pay {
                    held,
                    by,
                    card,
                    stranger,
                }
            }
            "charge" => What::Charge {
                user: self.user(),
                amount: self.0.random_range(100..10_000),
                card,
            },
            _ => What::Cancel { held, stranger },
        }
    }

    /// While whatever else began in the round is on its way.
    fn moment(&mut self) -> Duration {
        Duration::from_millis(self.0.random_range(0..100))
    }

    fn user(&mut self) -> usize {
        self.one_of(&[(0, 80), (1, 20)])
    }

    fn way(&mut self) -> Way {
        self.one_of(&[
            (Way::Once, 40),
            (Way::InHaste, 20),
            (Way::TwiceAtOnce, 15),
            (Way::ToAMortal, 25),
        ])
    }
}

#[test]
fn a_seed_is_always_the_same_history() {
    let drawn = |seed| format!("{:?}", Plan::of(seed));
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}

//! What a history consists of, drawn from its seed and nothing else.

use std::time::Duration;

use queue::app::{VisitOutcome, VisitPurpose};
use queue::domain::RoomMode;
use rand::distr::weighted::WeightedIndex;
use rand::prelude::Distribution as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::world::AT_ONCE;

/// Few people in a small room meet each other often.
pub(super) const USERS: usize = 5;
/// Processes that sleep at the same time.
pub(super) const SLEEPERS: usize = 3;
/// Processes of the service.
pub(super) const REPLICAS: usize = 3;
const ACTS: std::ops::RangeInclusive<usize> = 16..=36;

/// Everything that a history does. What it is done to is counted from the last, around, so that a history that was cut
/// short is one as well.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) room: Settings,
    pub(super) acts: Vec<Act>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) capacity: u32,
    pub(super) pace: u32,
    pub(super) mode: RoomMode,
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// A replica is asked for something, or does its rounds.
    Ask {
        what: What,
        replica: usize,
        way: Way,
    },
    /// One that sleeps goes on: counted from the first, or the last one.
    Wakes(usize),
    /// One that sleeps never goes on.
    Dies(usize),
    /// A replica is killed with all that it does, and another comes.
    Replaced(usize),
    Time(Duration),
    Redis(Loss),
    /// Redis is dumped, to come back from it.
    Dump,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Join {
        user: usize,
    },
    Poll(Who),
    Leave(Who),
    /// A hold is begun, and made or refused.
    Hold {
        who: Who,
        made: bool,
    },
    EndVisit {
        who: Who,
        outcome: VisitOutcome,
    },
    /// Another user's token, or one for another concert.
    Trespass {
        who: Who,
        elsewhere: bool,
        purpose: VisitPurpose,
    },
    PutRoom(Settings),
    Tick,
    /// What a process does every two seconds: a tick, the comparison of the stores, the next tick.
    Upkeep,
}

/// One of a user's tokens: the last one, or one so far back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pub(super) user: usize,
    pub(super) back: usize,
    /// Rather one of those to whom it means something, where there are any.
    pub(super) apt: bool,
}

/// How it goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Whole,
    /// The process dies after so many turns.
    CutOff(usize),
    /// The process sleeps after so many turns; others go on.
    Sleeps(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    Empty,
    /// Back from the last dump.
    FromDump,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut draw = Draw(StdRng::seed_from_u64(seed));
        let troubled = draw.0.random_bool(0.7);
        let acts = draw.0.random_range(ACTS);
        let mut room = draw.settings();
        room.mode = RoomMode::Open;
        let mut plan = Self {
            seed,
            room,
            acts: Vec::new(),
        };
        for user in 0..draw.0.random_range(2..=USERS) {
            plan.acts.push(draw.ask(What::Join { user }, false));
        }
        while plan.acts.len() < acts {
            let act = draw.act(troubled);
            plan.acts.push(act);
            if let Act::Ask {
                what: What::Poll(_),
                way: Way::Sleeps(_),
                ..
            } = act
                && draw.0.random_bool(0.4)
            {
                draw.sleeps_over_a_change(&mut plan.acts);
            }
        }
        plan
    }

    /// Whether one who is about to be let in sleeps while that changes what it was counted by.
    pub(super) fn sleeps_over_a_change(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::Wakes(SLEEPERS)))
    }

    /// The same without some acts.
    pub(super) fn without(&self, acts: std::ops::Range<usize>) -> Self {
        let mut plan = self.clone();
        plan.acts.drain(acts);
        plan
    }
}

struct Draw(StdRng);

impl Draw {
    fn one_of<T: Copy>(&mut self, choices: &[(T, u32)]) -> T {
        let weights = choices.iter().map(|(_, weight)| *weight);
        choices[WeightedIndex::new(weights).unwrap().sample(&mut self.0)].0
    }

    fn act(&mut self, troubled: bool) -> Act {
        let trouble = u32::from(troubled);
        match self.one_of(&[
            ("ask", 100),
            ("time", 16),
            ("wakes", 10 * trouble),
            ("dies", 3 * trouble),
            ("replaced", 3 * trouble),
            ("redis", 7 * trouble),
            ("dump", 4 * trouble),
        ]) {
            "ask" => {
                let what = self.what();
                self.ask(what, troubled)
            }
            "time" => Act::Time(Duration::from_secs(self.one_of(&[
                (1, 30),
                (5, 20),
                (15, 10),
                (29, 8),
                (30, 12),
                (60, 6),
                (180, 8),
                (400, 4),
                (630, 2),
            ]))),
            "wakes" => Act::Wakes(self.0.random_range(0..SLEEPERS)),
            "dies" => Act::Dies(self.0.random_range(0..SLEEPERS)),
            "replaced" => Act::Replaced(self.replica()),
            "redis" => Act::Redis(self.one_of(&[(Loss::Empty, 65), (Loss::FromDump, 35)])),
            _ => Act::Dump,
        }
    }

    fn ask(&mut self, what: What, troubled: bool) -> Act {
        let longest = match what {
            // About to be let in.
            What::Poll(_) => self.one_of(&[(8, 90), (30, 10)]),
            _ => self.one_of(&[(6, 50), (12, 30), (30, 20)]),
        };
        Act::Ask {
            what,
            replica: self.replica(),
            way: if troubled { self.way(longest) } else { Way::Whole },
        }
    }

    /// What its place was counted by is not so any more when one who was about to be let in wakes up.
    fn sleeps_over_a_change(&mut self, acts: &mut Vec<Act>) {
        let settings = Settings {
            capacity: 1,
            ..self.settings()
        };
        let change = self.ask(What::PutRoom(settings), false);
        acts.push(self.one_of(&[(Act::Redis(Loss::Empty), 60), (change, 40)]));
        acts.push(self.ask(What::Tick, false));
        for _ in 0..self.0.random_range(1..=3) {
            let who = Who {
                apt: true,
                ..self.who()
            };
            acts.push(self.ask(What::Poll(who), false));
        }
        acts.push(Act::Wakes(SLEEPERS));
    }

    fn what(&mut self) -> What {
        let who = self.who();
        match self.one_of(&[
            ("poll", 36),
            ("join", 16),
            ("tick", 20),
            ("upkeep", 6),
            ("leave", 6),
            ("hold", 8),
            ("end", 6),
            ("trespass", 2),
            ("room", 6),
        ]) {
            "poll" => What::Poll(who),
            "join" => What::Join { user: who.user },
            "tick" => What::Tick,
            "upkeep" => What::Upkeep,
            "leave" => What::Leave(who),
            "hold" => What::Hold {
                who,
                made: self.0.random_bool(0.75),
            },
            "end" => What::EndVisit {
                who,
                outcome: self.one_of(&[(VisitOutcome::Completed, 60), (VisitOutcome::Expired, 40)]),
            },
            "trespass" => What::Trespass {
                who,
                elsewhere: self.0.random_bool(0.5),
                purpose: self.one_of(&[(VisitPurpose::Read, 50), (VisitPurpose::Hold, 50)]),
            },
            _ => What::PutRoom(self.settings()),
        }
    }

    fn settings(&mut self) -> Settings {
        Settings {
            capacity: self.one_of(&[(1, 40), (2, 35), (3, 15), (4, 10)]),
            pace: self.one_of(&[(AT_ONCE, 75), (4, 15), (1, 10)]),
            mode: self.one_of(&[
                (RoomMode::Open, 70),
                (RoomMode::Paused, 20),
                (RoomMode::Draining, 10),
            ]),
        }
    }

    fn who(&mut self) -> Who {
        Who {
            user: self.0.random_range(0..USERS),
            back: self.one_of(&[(0, 80), (1, 15), (2, 5)]),
            apt: self.0.random_bool(0.6),
        }
    }

    fn replica(&mut self) -> usize {
        self.0.random_range(0..REPLICAS)
    }

    fn way(&mut self, longest: usize) -> Way {
        let turns = self.0.random_range(1..=longest);
        self.one_of(&[
            (Way::Whole, 72),
            (Way::CutOff(turns), 13),
            (Way::Sleeps(turns), 15),
        ])
    }
}

#[test]
fn a_seed_is_always_the_same_history_of_the_line() {
    let drawn = |seed| format!("{:?}", Plan::of(seed));
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}

//! What `bench queue` found, for people and for programs.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::facts::Facts;
use super::super::stats::{Spread, per};
use super::Settings;
use super::joins::Joins;
use super::lag::Lag;
use super::measured::{Measured, YARDSTICK};
use super::polls::Polls;
use super::sizes::{Size, Sizes};

/// Polls per second, of those of a handler that does nothing behind the same layers, at least.
pub(super) const POLLS_AIM: f64 = 0.9;
/// Bytes of Redis for each of those who wait in the longest line, at most.
pub(super) const BYTES_AIM: f64 = 25.0;
/// What a join, a poll and a tick cost in the longest line, of what they cost in the shortest, at most.
pub(super) const GROWTH_AIM: f64 = 1.25;

/// All of it.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) facts: Facts,
    /// Its version.
    pub(super) redis: String,
    pub(super) settings: Settings,
    pub(super) polls: Polls,
    pub(super) joins: Joins,
    pub(super) sizes: Sizes,
    pub(super) lag: Lag,
}

impl Figures {
    pub(super) fn failures(&self) -> u64 {
        let Polls {
            gateway,
            constant,
            bare,
            rank,
            ..
        } = &self.polls;
        let all = [
            gateway,
            constant,
            bare,
            rank,
            &self.joins.http,
            &self.joins.script,
        ];
        all.into_iter().map(Measured::failures).sum()
    }

    pub(super) fn json(&self) -> Result<Value> {
        Ok(json!({
            "bench": "queue",
            "facts": serde_json::to_value(&self.facts)?,
            "redis": self.redis,
            "settings": serde_json::to_value(&self.settings)?,
            "polls": self.polls.json()?,
            "joins": self.joins.json()?,
            "sizes": self.sizes.sizes.iter().map(Size::json).collect::<Vec<_>>(),
            "restTickMicros": self.sizes.rest_micros,
            "growth": {
                "join": self.sizes.growth(|size| &size.join_micros),
                "poll": self.sizes.growth(|size| &size.poll_micros),
                "tick": self.sizes.growth(|size| &size.tick_micros),
            },
            "lag": serde_json::to_value(&self.lag)?,
        }))
    }
}

impl Polls {
    /// Of the gateway's polls per second by another's, round by round.
    pub(super) fn ratio(&self, to: &Measured) -> Spread {
        self.gateway.ratio(to, |round| round.per_second)
    }

    /// Of the constant handler's CPU by the gateway's, each server's alone: what the ratio would be if the client and
    /// the kernel's work for it cost nothing.
    pub(super) fn server_ratio(&self) -> Spread {
        let pairs = self.constant.0.iter().zip(&self.gateway.0);
        Spread::of(pairs.map(|(constant, gateway)| {
            let gateway = gateway.cpu("gateway");
            if gateway > 0.0 {
                constant.cpu(YARDSTICK) / gateway
            } else {
                0.0
            }
        }))
    }

    /// The part of all polls that the gateway says it answered from memory.
    pub(super) fn part_from_memory(&self) -> f64 {
        per(self.from_memory, self.polls())
    }

    fn json(&self) -> Result<Value> {
        Ok(json!({
            "gateway": self.gateway.json()?,
            "constant": self.constant.json()?,
            "bare": self.bare.json()?,
            "rank": self.rank.json()?,
            "ratio": {
                "constant": self.ratio(&self.constant),
                "bare": self.ratio(&self.bare),
                "rank": self.ratio(&self.rank),
                "constantByServersCpu": self.server_ratio(),
            },
            "fromMemory": self.part_from_memory(),
            "redisCommands": self.redis_commands,
            "redisCommandsAtRest": self.redis_commands_at_rest,
            "redisCommandsEach": self.redis_commands_each(),
        }))
    }
}

impl Joins {
    pub(super) fn ratio(&self) -> Spread {
        self.http.ratio(&self.script, |round| round.per_second)
    }

    fn json(&self) -> Result<Value> {
        Ok(json!({
            "http": self.http.json()?,
            "script": self.script.json()?,
            "ratio": self.ratio(),
        }))
    }
}

impl Size {
    fn json(&self) -> Value {
        let over = |values: &Vec<f64>| Spread::of(values.iter().copied());
        json!({
            "people": self.people,
            "bytesEach": self.bytes_each,
            "filledPerSecond": self.filled_per_second,
            "joinMicros": over(&self.join_micros),
            "pollMicros": over(&self.poll_micros),
            "tickMicros": over(&self.tick_micros),
            "tickScriptMicros": over(&self.tick_script_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Options;
    use super::super::measured::Round;
    use super::*;
    use crate::bench::documented::{documented, written};

    const MAPS: [&str; 3] = ["cpuMicrosEach", "failures", "cpuCores"];

    fn measured(per_second: [f64; 2], server: (&'static str, f64)) -> Measured {
        let round = |per_second| Round {
            done: 1_000,
            failures: BTreeMap::from([("answered 503".to_owned(), 1)]),
            seconds: 5.0,
            per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            max_ms: 3.0,
            cpu_micros_each: BTreeMap::from([server]),
            other_cores: 0.0,
        };
        Measured(per_second.map(round).into())
    }

    fn figures() -> Figures {
        let options = Options {
            json: None,
            seconds: 5,
            rounds: 3,
            quick: true,
        };
        let size = |people, join_micros: [f64; 2]| Size::of(people, 24.0, join_micros.to_vec());
        Figures {
            facts: Facts {
                date: "2026-11-20T10:00:00Z".to_owned(),
                commit: "0123456789abcdef".to_owned(),
                changed: false,
                cores: 2,
                processor: "a processor".to_owned(),
                memory_mib: 4_096,
                kernel: "6.1".to_owned(),
                postgres: "15.14".to_owned(),
                fsync: "on".to_owned(),
                synchronous_commit: "on".to_owned(),
            },
            redis: "7.0.15".to_owned(),
            settings: Settings::new(&options),
            polls: Polls {
                gateway: measured([90.0, 40.0], ("gateway", 20.0)),
                constant: measured([100.0, 50.0], (YARDSTICK, 15.0)),
                bare: measured([200.0, 100.0], (YARDSTICK, 5.0)),
                rank: measured([50.0, 25.0], (YARDSTICK, 30.0)),
                redis_commands: 120,
                redis_commands_at_rest: 100.0,
                from_memory: 1_990.0,
            },
            joins: Joins {
                http: measured([10.0, 20.0], ("queue", 20.0)),
                script: measured([100.0, 100.0], (YARDSTICK, 5.0)),
            },
            sizes: Sizes {
                sizes: vec![size(1_000, [10.0, 20.0]), size(1_000_000, [11.0, 26.0])],
                rest_micros: 900.0,
            },
            lag: Lag {
                cpu_cores: BTreeMap::from([("gateway", 0.1)]),
                ..Lag::default()
            },
        }
    }

    #[test]
    fn each_round_is_compared_with_the_one_beside_it() {
        let figures = figures();
        let ratio = figures.polls.ratio(&figures.polls.constant);
        assert_eq!((ratio.min, ratio.max), (0.8, 0.9));
        assert_eq!(figures.polls.server_ratio().median, 0.75);
        assert_eq!(figures.joins.ratio().max, 0.2);
        let growth = figures.sizes.growth(|size| &size.join_micros);
        assert_eq!((growth.min, growth.max), (1.1, 1.3));
    }

    #[test]
    fn what_redis_does_anyway_is_no_part_of_a_poll() {
        let figures = figures();
        assert_eq!(figures.polls.redis_commands_each(), 0.01);
        assert_eq!(figures.polls.part_from_memory(), 0.995);
    }

    #[test]
    fn no_failure_is_hidden() {
        let figures = figures();
        assert_eq!(figures.failures(), 12);
        assert!(
            figures.polls.gateway.0[0]
                .to_string()
                .contains("1 FAILED: answered 503")
        );
        assert!(figures.to_string().contains("MISSED"));
    }

    #[test]
    fn the_file_has_the_documented_fields_and_no_other() {
        let written = written(&figures().json().unwrap(), &MAPS);
        assert_eq!(written, documented("queue"));
    }
}

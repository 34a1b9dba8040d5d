//! Polls of people who wait: through the gateway, and beside handlers that do nothing, nothing at all, or ask Redis.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::super::cpu::{Reading, Watched};
use super::super::prometheus::sum_of;
use super::super::stats::per;
use super::super::wire::{keep_asking, request};
use super::Bench;
use super::measured::{Measured, Round, YARDSTICK};
use super::yardstick::{Room, Served};

/// Those at the head may be called meanwhile; those who poll came after them.
const AHEAD: u64 = 1_000;
const POLLING: u64 = 1_000;
const PATH: &str = "/v1/queue";
const WAITING: &str = "\"WAITING\"";
const WARM_UP: Duration = Duration::from_secs(1);
/// The numbered database of Redis where ranks are.
const RANKS: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Polls {
    pub(super) gateway: Measured,
    pub(super) constant: Measured,
    pub(super) bare: Measured,
    pub(super) rank: Measured,
    /// Commands that Redis served during the gateway's rounds.
    pub(super) redis_commands: u64,
    /// Those it would have served anyway, by what it did at rest before each.
    pub(super) redis_commands_at_rest: f64,
    /// Polls that the gateway says it answered from memory.
    pub(super) from_memory: f64,
}

impl Polls {
    pub(super) fn polls(&self) -> u64 {
        self.gateway.0.iter().map(|round| round.done).sum()
    }

    /// What polls cost Redis each; below zero it did less than at rest.
    pub(super) fn redis_commands_each(&self) -> f64 {
        per(
            self.redis_commands as f64 - self.redis_commands_at_rest,
            self.polls(),
        )
    }
}

/// Who answers.
struct Answerer {
    name: &'static str,
    requests: Arc<Vec<Vec<u8>>>,
    address: std::net::SocketAddr,
    processes: Vec<Watched>,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Polls> {
    bench.report.heading("polls");
    let room = bench.yardstick.rooms(1, Room::STILL).await?.concat();
    let people = AHEAD + POLLING;
    let (_, tokens) = bench.yardstick.join(&room, people, 32, POLLING).await?;

    let ranked = bench.settings.ranked.to_string();
    let file = bench.yardstick.tokens_file()?.display().to_string();
    let redis = bench.redis.database(RANKS);
    let serve = async |words: &[&str]| bench.yardstick.serve(words, &redis).await;
    let constant = serve(&["constant"]).await?;
    let bare = serve(&["constant", "--bare"]).await?;
    let rank = serve(&["rank", "--people", &ranked, "--tokens", &file]).await?;

    let answerer = |name, address, served: Option<&Served>| -> Result<Answerer> {
        let mut processes = bench.stage.processes()?;
        processes.extend(served.map(|served| (YARDSTICK, served.pid)));
        let polls = tokens
            .iter()
            .map(|token| request("GET", PATH, address, &[("queue-token", token)]));
        Ok(Answerer {
            name,
            requests: Arc::new(polls.collect()),
            address,
            processes,
        })
    };
    let gateway = answerer("gateway", bench.stage.address()?, None)?;
    let constant = (answerer("constant", constant.address, Some(&constant))?, constant);
    let bare = (answerer("bare", bare.address, Some(&bare))?, bare);
    let rank = (answerer("ZRANK", rank.address, Some(&rank))?, rank);

    for answerer in [&gateway, &constant.0, &bare.0, &rank.0] {
        bench.poll(answerer, WARM_UP).await?;
    }
    let mut polls = Polls::default();
    let time = Duration::from_secs(bench.settings.seconds.into());
    for number in 1..=bench.settings.rounds {
        bench
            .report
            .step(&format!("round {number} of {}", bench.settings.rounds));
        bench.by_gateway(&gateway, time, &mut polls).await?;
        polls.constant.0.push(bench.poll(&constant.0, time).await?);
        polls.bare.0.push(bench.poll(&bare.0, time).await?);
        polls.rank.0.push(bench.poll(&rank.0, time).await?);
    }
    Ok(polls)
}

impl Bench<'_> {
    /// One round through the gateway, between looks at what Redis and the gateway have counted.
    async fn by_gateway(&self, gateway: &Answerer, time: Duration, polls: &mut Polls) -> Result<()> {
        let before = self.redis.look().await?.commands()?;
        tokio::time::sleep(time).await;
        let at_rest = self.redis.look().await?.commands()?;
        let answered = self.answered_from_memory().await?;
        let start = self.redis.look().await?.commands()?;
        let round = self.poll(gateway, time).await?;
        let end = self.redis.look().await?.commands()?;
        polls.from_memory += self.answered_from_memory().await? - answered;
        polls.redis_commands += end - start;
        polls.redis_commands_at_rest += (at_rest - before) as f64 * round.seconds / time.as_secs_f64();
        polls.gateway.0.push(round);
        Ok(())
    }

    async fn answered_from_memory(&self) -> Result<f64> {
        let metrics = self.stage.metrics("gateway").await?;
        Ok(sum_of(
            &metrics,
            "gateway_queue_polls_total",
            "answered_by=\"memory\"",
        ))
    }

    async fn poll(&self, answerer: &Answerer, time: Duration) -> Result<Round> {
        let Answerer {
            name,
            requests,
            address,
            processes,
        } = answerer;
        let cpu = Reading::take(processes)?;
        let connections = self.settings.connections;
        let load = keep_asking(*address, connections, time, requests, WAITING).await?;
        let round = Round::of(&load, &Reading::take(processes)?.since(&cpu));
        self.report.step(&format!("{name:<9} {round}"));
        Ok(round)
    }
}

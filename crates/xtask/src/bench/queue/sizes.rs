//! Lines of different lengths: what each of those who wait takes in Redis, and what a join, a poll and a tick cost there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::prometheus::sum_of;
use super::super::stats::{Spread, per};
use super::super::wire::{keep_asking, request};
use super::Bench;
use super::yardstick::Room;

/// Callers who fill a line.
const FILLING_AT_ONCE: usize = 64;
/// Those who poll came last, so that nobody calls them.
const POLLING: u64 = 200;
/// Joins timed in a round: few, as they lengthen the line.
const JOINS: u64 = 50;
const POLL_FOR: Duration = Duration::from_millis(250);
/// A tick takes place four times a second, besides those that are woken.
const TICK_FOR: Duration = Duration::from_secs(2);
/// Until the tick after the settings have changed.
const SETTLES: Duration = Duration::from_millis(500);
/// Each tick calls some, and in all rounds together fewer than the shortest line has.
const ADMITTING: Room = Room {
    capacity: 1_000_000,
    admit_per_second: 20,
    paused: false,
};

/// A line of one length.
#[derive(Debug)]
pub(super) struct Size {
    pub(super) people: u64,
    /// Bytes of Redis for each of those who wait.
    pub(super) bytes_each: f64,
    /// Joins per second while it was filled.
    pub(super) filled_per_second: f64,
    /// Medians of the rounds, in microseconds.
    pub(super) join_micros: Vec<f64>,
    pub(super) poll_micros: Vec<f64>,
    /// Means of the rounds: how long a tick took that called some of this line.
    pub(super) tick_micros: Vec<f64>,
    /// Of it, in Redis' scripts.
    pub(super) tick_script_micros: Vec<f64>,
    concert: String,
    polls: Arc<Vec<Vec<u8>>>,
}

#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) sizes: Vec<Size>,
    /// Of ticks that called nobody anywhere, in microseconds.
    pub(super) rest_micros: f64,
}

impl Size {
    #[cfg(test)]
    pub(super) fn of(people: u64, bytes_each: f64, micros: Vec<f64>) -> Size {
        Size {
            people,
            bytes_each,
            filled_per_second: 1.0,
            join_micros: micros.clone(),
            poll_micros: micros.clone(),
            tick_micros: micros.clone(),
            tick_script_micros: micros,
            concert: String::new(),
            polls: Arc::default(),
        }
    }
}

impl Sizes {
    /// The longest line's by the shortest one's, of each round.
    pub(super) fn growth(&self, figure: impl Fn(&Size) -> &Vec<f64>) -> Spread {
        match (self.sizes.first(), self.sizes.last()) {
            (Some(short), Some(long)) => {
                let pairs = figure(long).iter().zip(figure(short));
                Spread::of(pairs.map(|(long, short)| long / short))
            }
            _ => Spread::of([]),
        }
    }
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Sizes> {
    bench.report.heading("lines of different lengths");
    let mut sizes = Vec::new();
    for people in bench.settings.sizes() {
        sizes.push(bench.fill(people).await?);
    }
    bench.stage.quiet().await?;
    let (rest_micros, _) = bench.ticks().await?;
    for number in 1..=bench.settings.cost_rounds {
        for size in &mut sizes {
            bench.time(size).await?;
        }
        let costs: Vec<String> = sizes.iter().filter_map(last_round).collect();
        bench
            .report
            .step(&format!("round {number}, join/poll/tick: {}", costs.join("; ")));
    }
    Ok(Sizes { sizes, rest_micros })
}

fn last_round(size: &Size) -> Option<String> {
    let (join, poll) = (size.join_micros.last()?, size.poll_micros.last()?);
    let tick = size.tick_micros.last()?;
    Some(format!("{}: {join:.0}/{poll:.0}/{tick:.0} us", size.people))
}

impl Bench<'_> {
    /// A line of its own for so many people.
    async fn fill(&self, people: u64) -> Result<Size> {
        let concert = self.yardstick.rooms(1, Room::STILL).await?.concat();
        self.stage.quiet().await?;
        let before = self.redis.look().await?.bytes()?;
        let (tally, tokens) = self
            .yardstick
            .join(&concert, people, FILLING_AT_ONCE, POLLING)
            .await?;
        self.stage.quiet().await?;
        let taken = self.redis.look().await?.bytes()?.saturating_sub(before);
        let address = self.stage.address()?;
        let polls = tokens
            .iter()
            .map(|token| request("GET", "/v1/queue", address, &[("queue-token", token)]));
        let size = Size {
            people,
            bytes_each: per(taken as f64, people),
            filled_per_second: tally.done as f64 / tally.seconds,
            join_micros: Vec::new(),
            poll_micros: Vec::new(),
            tick_micros: Vec::new(),
            tick_script_micros: Vec::new(),
            concert,
            polls: Arc::new(polls.collect()),
        };
        self.report.step(&format!(
            "{people} wait: {:.1} bytes each; {:.0} joined per second",
            size.bytes_each, size.filled_per_second
        ));
        Ok(size)
    }

    /// One round at one length: everything one after another, so that nothing waits for anything else.
    async fn time(&self, size: &mut Size) -> Result<()> {
        let (joined, _) = self.yardstick.join(&size.concert, JOINS, 1, 0).await?;
        size.join_micros.push(joined.latency_micros.p50);

        let address = self.stage.address()?;
        let polled = keep_asking(address, 1, POLL_FOR, &size.polls, "\"WAITING\"").await?;
        ensure!(polled.failed.is_empty(), "polls failed: {:?}", polled.failed);
        size.poll_micros
            .push(polled.latencies.value_at_quantile(0.5) as f64);

        self.yardstick.change(&size.concert, ADMITTING).await?;
        tokio::time::sleep(SETTLES).await;
        let (tick, script) = self.ticks().await?;
        self.yardstick.change(&size.concert, Room::STILL).await?;
        tokio::time::sleep(SETTLES).await;
        size.tick_micros.push(tick);
        size.tick_script_micros.push(script);
        Ok(())
    }

    /// How long ticks take now, and of it Redis' scripts, in microseconds.
    async fn ticks(&self) -> Result<(f64, f64)> {
        let (before, scripts) = (self.tick_figures().await?, self.redis.look().await?);
        tokio::time::sleep(TICK_FOR).await;
        let (after, scripts_after) = (self.tick_figures().await?, self.redis.look().await?);
        let ticks = after.1 - before.1;
        ensure!(ticks > 0.0, "queue has not ticked");
        let scripts = scripts_after.script_micros()? - scripts.script_micros()?;
        Ok(((after.0 - before.0) * 1_000_000.0 / ticks, scripts as f64 / ticks))
    }

    /// Seconds in ticks, and how many there were.
    async fn tick_figures(&self) -> Result<(f64, f64)> {
        let metrics = self.stage.metrics("queue").await?;
        let of = |part: &str| sum_of(&metrics, &format!("queue_tick_seconds{part}"), "");
        Ok((of("_sum"), of("_count")))
    }
}

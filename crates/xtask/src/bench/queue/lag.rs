//! How long a freed place waits for its next user, under a crowd in which everybody polls when told to.
//!
//! A place is freed when its user leaves; the next number in line is called for it, and learns of that by its own next
//! poll. Numbers are called in order, so that the n-th place freed is for the number that comes n after those who found
//! the room empty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::super::cpu::Reading;
use super::super::stats::per;
use super::super::wire::{Wire, request};
use super::Bench;
use super::yardstick::Room;

/// Connections that all share.
const CONNECTIONS: usize = 64;
/// Places that are freed before this are not looked at: the crowd has only come.
const WARM_UP: Duration = Duration::from_secs(10);
/// How long those who were let in stay.
const STAY: Duration = Duration::from_secs(1);
/// No one waits longer for the first poll, as if all had polled before.
const FIRST_POLL_MS: u64 = 15_000;
/// How often one who is told to come again does, and after how long.
const TRIES: u32 = 20;
const COMES_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    /// Who poll, at least.
    pollers: u64,
    capacity: u32,
    admit_per_second: u32,
    /// Measured, after the warm-up.
    seconds: u64,
}

impl Settings {
    pub(super) fn new(quick: bool) -> Settings {
        Settings {
            pollers: if quick { 1_000 } else { 20_000 },
            capacity: 100,
            admit_per_second: 100,
            seconds: if quick { 5 } else { 40 },
        }
    }

    /// So many that enough are left at the end.
    fn people(&self) -> u64 {
        let longest = WARM_UP.as_secs() + self.seconds + 5;
        self.pollers + u64::from(self.admit_per_second) * longest
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lag {
    /// From asking to leave to the next one's PROCESSING.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// How long those let in had been told to wait before the poll that let them in.
    pub(super) told_p50_ms: f64,
    pub(super) told_p99_ms: f64,
    /// Places that were freed and taken again.
    pub(super) taken: u64,
    pub(super) taken_per_second: f64,
    pub(super) polls_per_second: f64,
    pub(super) pollers_left: u64,
    /// Calls that were answered 429 or 503, and made again.
    pub(super) refused: u64,
    pub(super) cpu_cores: BTreeMap<&'static str, f64>,
}

/// What happened to one who was let in.
#[derive(Debug)]
enum Event {
    LetIn {
        number: u64,
        at: Instant,
        told: Duration,
    },
    Left {
        at: Instant,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    status: String,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    poll_after_ms: u64,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Lag> {
    let settings = bench.settings.lag;
    let people = settings.people();
    bench.report.heading("lag of admissions");
    let mut room = Room {
        capacity: settings.capacity,
        admit_per_second: settings.admit_per_second,
        paused: true,
    };
    let concert = bench.yardstick.rooms(1, room).await?.concat();
    let (_, tokens) = bench.yardstick.join(&concert, people, 64, people).await?;
    ensure!(tokens.len() as u64 == people, "tokens are missing");

    let address = bench.stage.address()?;
    let crowd = Arc::new(Crowd::gather(address).await?);
    let (events, mut happened) = mpsc::unbounded_channel();
    room.paused = false;
    bench.yardstick.change(&concert, room).await?;
    let begun = Instant::now();
    let mut pollers = JoinSet::new();
    for (index, token) in tokens.iter().enumerate() {
        let headers = [("queue-token", token.as_str())];
        pollers.spawn(poll(
            Arc::clone(&crowd),
            request("GET", "/v1/queue", address, &headers),
            request("DELETE", "/v1/queue", address, &headers),
            first_poll(index as u64 + 1, settings.admit_per_second),
            events.clone(),
        ));
    }
    drop(events);

    tokio::time::sleep(WARM_UP).await;
    let processes = bench.stage.processes()?;
    let (polls, cpu) = (crowd.shared(|shared| shared.polls), Reading::take(&processes)?);
    let (since, time) = (Instant::now(), Duration::from_secs(settings.seconds));
    tokio::time::sleep(time).await;
    let used = Reading::take(&processes)?.since(&cpu);
    let until = Instant::now();
    let polls = crowd.shared(|shared| shared.polls) - polls;
    // Those who are under way see their places.
    tokio::time::sleep(STAY * 2).await;
    if let Some(error) = crowd.shared(|shared| shared.error.take()) {
        bail!(
            "a poller failed after {:.0} s: {error}",
            begun.elapsed().as_secs_f64()
        );
    }
    pollers.shutdown().await;

    let (mut let_in, mut left) = (Vec::new(), Vec::new());
    while let Ok(event) = happened.try_recv() {
        match event {
            Event::LetIn { number, at, told } => let_in.push((number, at, told)),
            Event::Left { at } => left.push(at),
        }
    }
    let pollers_left = people - let_in.len() as u64;
    ensure!(pollers_left >= settings.pollers, "too many were let in");
    let taken = taken_again(settings.capacity.into(), &let_in, left, since..until);
    ensure!(!taken.is_empty(), "no place was freed and taken again");
    let seconds = (until - since).as_secs_f64();
    let lag = Lag {
        taken: taken.len() as u64,
        taken_per_second: taken.len() as f64 / seconds,
        polls_per_second: per(polls as f64, 1) / seconds,
        pollers_left,
        refused: crowd.shared(|shared| shared.refused),
        cpu_cores: used
            .by_process
            .iter()
            .map(|(name, time)| (*name, time.as_secs_f64() / seconds))
            .collect(),
        ..Lag::of(&taken)?
    };
    bench.report.step(&format!(
        "{} places, p50 {:.0} ms, p99 {:.0} ms; {:.0} polls/s",
        lag.taken, lag.p50_ms, lag.p99_ms, lag.polls_per_second
    ));
    Ok(lag)
}

/// When the one at this place polls first, as if told before: a quarter of the wait, never more than some seconds,
/// spread over that time.
fn first_poll(number: u64, admit_per_second: u32) -> Duration {
    let longest_ms = (number * 1_000 / u64::from(admit_per_second) / 4).clamp(1_000, FIRST_POLL_MS);
    // Neighbours far apart, the same in every run.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Duration::from_millis((longest_ms * spread) >> 32)
}

/// A lag, with how long the user had been told to wait.
type Taken = (Duration, Duration);

/// Pairs each place that was freed within the time with the one whom it was for, where that one has come.
fn taken_again(
    capacity: u64,
    let_in: &[(u64, Instant, Duration)],
    mut left: Vec<Instant>,
    within: std::ops::Range<Instant>,
) -> Vec<Taken> {
    left.sort_unstable();
    let taken = let_in.iter().filter_map(|(number, at, told)| {
        let place = usize::try_from(number.checked_sub(capacity + 1)?).ok()?;
        let freed = left.get(place).filter(|freed| within.contains(freed))?;
        Some((at.saturating_duration_since(*freed), *told))
    });
    taken.collect()
}

impl Lag {
    fn of(taken: &[Taken]) -> Result<Lag> {
        let new = || Histogram::<u64>::new_with_bounds(1, 600_000_000, 3);
        let (mut lags, mut told) = (new()?, new()?);
        for (lag, wait) in taken {
            lags.saturating_record(lag.as_micros() as u64);
            told.saturating_record(wait.as_micros() as u64);
        }
        let ms = |micros: u64| micros as f64 / 1_000.0;
        Ok(Lag {
            p50_ms: ms(lags.value_at_quantile(0.5)),
            p99_ms: ms(lags.value_at_quantile(0.99)),
            max_ms: ms(lags.max()),
            told_p50_ms: ms(told.value_at_quantile(0.5)),
            told_p99_ms: ms(told.value_at_quantile(0.99)),
            ..Lag::default()
        })
    }
}

/// What all pollers share: few connections, and the first thing that went wrong.
#[derive(Debug)]
struct Crowd {
    free: Semaphore,
    wires: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    wires: Vec<Wire>,
    polls: u64,
    refused: u64,
    error: Option<String>,
}

impl Crowd {
    async fn gather(address: std::net::SocketAddr) -> Result<Crowd> {
        let mut wires = Vec::new();
        for _ in 0..CONNECTIONS {
            wires.push(Wire::to(address).await?);
        }
        let shared = Shared {
            wires,
            polls: 0,
            refused: 0,
            error: None,
        };
        Ok(Crowd {
            free: Semaphore::new(CONNECTIONS),
            wires: Mutex::new(shared),
        })
    }

    /// Asks on whichever connection is free, and again while told to come again; answers what `read` makes of the body.
    async fn ask<T>(
        &self,
        bytes: &[u8],
        expected: u16,
        read: impl Fn(&[u8]) -> serde_json::Result<T>,
    ) -> Result<T> {
        for _ in 0..TRIES {
            let (status, answer) = self.ask_once(bytes, &read).await?;
            match status {
                429 | 503 => {
                    self.shared(|shared| shared.refused += 1);
                    tokio::time::sleep(COMES_AGAIN).await;
                }
                status => {
                    ensure!(status == expected, "answered {status}");
                    return Ok(answer?);
                }
            }
        }
        bail!("told to come again {TRIES} times")
    }

    async fn ask_once<T>(
        &self,
        bytes: &[u8],
        read: impl Fn(&[u8]) -> serde_json::Result<T>,
    ) -> Result<(u16, serde_json::Result<T>)> {
        let _free = self.free.acquire().await?;
        let mut wire = self
            .shared(|shared| shared.wires.pop())
            .context("no connection")?;
        let reply = wire.ask(bytes).await?;
        let answer = (reply.status, read(reply.body));
        self.shared(|shared| {
            shared.wires.push(wire);
            shared.polls += 1;
        });
        Ok(answer)
    }

    fn shared<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.wires.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits, is let in, stays, and leaves.
async fn poll(
    crowd: Arc<Crowd>,
    ask: Vec<u8>,
    leave: Vec<u8>,
    first: Duration,
    events: mpsc::UnboundedSender<Event>,
) {
    let visit = async {
        let mut told = first;
        let (number, at) = loop {
            tokio::time::sleep(told).await;
            let standing = crowd
                .ask(&ask, 200, |body| serde_json::from_slice::<Standing>(body))
                .await
                .context("a poll")?;
            match standing.status.as_str() {
                "PROCESSING" => break (standing.number, Instant::now()),
                "WAITING" => told = Duration::from_millis(standing.poll_after_ms),
                other => bail!("a token is {other}"),
            }
        };
        events.send(Event::LetIn { number, at, told })?;
        tokio::time::sleep(STAY).await;
        let at = Instant::now();
        crowd.ask(&leave, 204, |_| Ok(())).await.context("leaving")?;
        events.send(Event::Left { at })?;
        Ok(())
    };
    if let Err(error) = visit.await {
        crowd.shared(|shared| shared.error.get_or_insert(format!("{error:#}")).len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_place_is_for_the_next_number_that_found_none() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let told = Duration::from_millis(900);
        // Two places. 1 and 2 find the room empty, 3 takes the place that was freed first, 4 the next.
        let let_in = [
            (1, ms(10), told),
            (2, ms(20), told),
            (4, ms(800), told),
            (3, ms(1_100), told),
        ];
        let left = vec![ms(500), ms(100)];
        let taken = taken_again(2, &let_in, left.clone(), start..ms(600));
        let expected = [(300, 900), (1_000, 900)]
            .map(|(lag, told)| (Duration::from_millis(lag), Duration::from_millis(told)));
        assert_eq!(taken, expected);
        // A place that was freed outside the time counts for nothing.
        assert_eq!(taken_again(2, &let_in, left, ms(200)..ms(600)).len(), 1);
    }

    #[test]
    fn a_crowd_polls_spread_over_the_time_that_it_would_be_told() {
        let firsts: Vec<u64> = (1..=20_000)
            .map(|number| first_poll(number, 100).as_millis() as u64)
            .collect();
        assert!(firsts[..400].iter().all(|first| *first < 1_000));
        let late = &firsts[10_000..];
        let early_half = late.iter().filter(|first| **first < 7_500).count();
        assert!((4_500..5_500).contains(&early_half), "{early_half}");
    }
}

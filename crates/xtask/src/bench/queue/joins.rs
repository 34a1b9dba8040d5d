//! Joins through HTTP, beside the line's own script called directly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::super::client::Connection;
use super::super::cpu::{CLIENT, Reading};
use super::super::load::{self, Job, closed_loop};
use super::super::users::{SIGNING_UP_AT_ONCE, sign_up};
use super::Bench;
use super::measured::{Measured, Round};
use super::yardstick::Room;

const WARM_UP: Duration = Duration::from_secs(1);
/// A guess at what nobody has measured yet.
const JOINS_PER_SECOND_AT_MOST: f64 = 6_000.0;
/// Each user joins a room once: longer rounds need so many rooms that looking at them is what is measured.
const LONGEST_ROUND: Duration = Duration::from_secs(3);
/// The numbered database of Redis that the script works in.
const SCRIPT: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Joins {
    pub(super) http: Measured,
    pub(super) script: Measured,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Joins> {
    let count = bench.settings.users;
    bench.report.heading("joins");
    bench.report.step(&format!("{count} users sign up and log in"));
    let address = bench.stage.address()?;
    let users: Vec<Arc<str>> =
        load::all(address, SIGNING_UP_AT_ONCE, (0..count).map(SignUp).collect()).await?;

    let redis = bench.redis.database(SCRIPT);
    let warm = bench.by_http(&users, WARM_UP, JOINS_PER_SECOND_AT_MOST).await?;
    bench.by_script(&redis, WARM_UP).await?;
    let time = Duration::from_secs(bench.settings.seconds.into()).min(LONGEST_ROUND);
    let mut joins = Joins::default();
    for number in 1..=bench.settings.rounds {
        bench
            .report
            .step(&format!("round {number} of {}", bench.settings.rounds));
        let round = bench.by_http(&users, time, warm.per_second * 1.5).await?;
        joins.http.0.push(round);
        joins.script.0.push(bench.by_script(&redis, time).await?);
    }
    Ok(joins)
}

impl Bench<'_> {
    async fn by_http(&self, users: &[Arc<str>], time: Duration, per_second: f64) -> Result<Round> {
        let rooms = (per_second * time.as_secs_f64() / users.len() as f64).ceil() as usize;
        let rooms = self.yardstick.joined_rooms(rooms, Room::STILL).await?;
        let mut joins = VecDeque::new();
        for room in rooms {
            let path: Arc<str> = format!("/v1/concerts/{room}/queue-tokens").into();
            joins.extend(users.iter().map(|bearer| Join {
                bearer: Arc::clone(bearer),
                path: Arc::clone(&path),
            }));
        }
        self.stage.quiet().await?;
        let processes = self.stage.processes()?;
        let cpu = Reading::take(&processes)?;
        let at_once = self.settings.joins_at_once;
        let load = closed_loop(self.stage.address()?, at_once, time, &mut joins).await?;
        let round = Round::of(&load, &Reading::take(&processes)?.since(&cpu));
        let dry = if load.ran_dry {
            ", nobody was left to join"
        } else {
            ""
        };
        self.report.step(&format!("HTTP      {round}{dry}"));
        Ok(round)
    }

    async fn by_script(&self, redis: &str, time: Duration) -> Result<Round> {
        self.stage.quiet().await?;
        let processes = self.stage.processes()?;
        let cpu = Reading::take(&processes)?;
        let tally = self
            .yardstick
            .script(redis, time, self.settings.joins_at_once)
            .await?;
        let mut round = Round::of_tally(&tally, &Reading::take(&processes)?.since(&cpu));
        round.cpu_micros_each.remove(CLIENT);
        self.report.step(&format!("script    {round}"));
        Ok(round)
    }
}

/// An account, and a session of it.
struct SignUp(usize);

impl Job for SignUp {
    type Done = Arc<str>;

    async fn run(self, connection: &mut Connection) -> Result<Arc<str>> {
        let email = format!("waiting-{}@example.test", self.0);
        Ok(sign_up(connection, &email).await?.into())
    }
}

/// A place in a line where this user has none yet.
struct Join {
    bearer: Arc<str>,
    path: Arc<str>,
}

impl Job for Join {
    type Done = ();

    async fn run(self, connection: &mut Connection) -> Result<()> {
        let headers = [("Authorization", &*self.bearer)];
        let answer = connection.post(&self.path, &headers, String::new()).await?;
        answer.read::<Value>(&[201])?;
        Ok(())
    }
}

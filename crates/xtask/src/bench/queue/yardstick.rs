//! The program that others are measured by: as a server that answers polls, and as callers of queue and of Redis.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::{Child, Command};

use super::super::stage::Stage;
use super::super::wire::Wire;
use crate::cargo;

/// Filling a sorted set with a million people takes some seconds.
const READY_BOUND: Duration = Duration::from_secs(60);
/// Longer than from one tick to the next.
const TICKED: Duration = Duration::from_millis(600);

#[derive(Debug)]
pub(super) struct Yardstick<'a> {
    program: PathBuf,
    root: &'a Path,
    stage: &'a Stage,
    queue: String,
}

/// A server of polls; killed when dropped.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) pid: i32,
    _child: Child,
}

/// What callers did.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) seconds: f64,
    pub(super) latency_micros: Latency,
}

#[derive(Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// How a room is to work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) capacity: u32,
    pub(super) admit_per_second: u32,
    pub(super) paused: bool,
}

impl Room {
    /// One is called, and hardly anybody after: those further back wait.
    pub(super) const STILL: Room = Room {
        capacity: 1,
        admit_per_second: 1,
        paused: false,
    };
}

impl<'a> Yardstick<'a> {
    pub(super) fn new(program: PathBuf, root: &'a Path, stage: &'a Stage) -> Result<Yardstick<'a>> {
        ensure!(program.is_file(), "{} was not built", program.display());
        Ok(Yardstick {
            program,
            root,
            stage,
            queue: stage.grpc("queue")?,
        })
    }

    /// Serves polls as these words say, with the gateway's configuration where it has one.
    pub(super) async fn serve(&self, words: &[&str], redis: &str) -> Result<Served> {
        let home = self.stage.home()?;
        let name = format!("yardstick-{}", words.join("").replace(['-', '/'], ""));
        let name = name.get(..24).unwrap_or(&name);
        let address = SocketAddr::from(([127, 0, 0, 1], home.port(name)?));
        let log = home.logs().join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = self
            .command(words)
            .env("HTTP_ADDR", address.to_string())
            .env("LOG_FORMAT", self.stage.env("gateway", "LOG_FORMAT")?)
            .env("QUEUE_TOKEN_KEYS", self.stage.env("gateway", "QUEUE_TOKEN_KEYS")?)
            .env("REDIS_URL", redis)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start yardstick")?;
        let pid = child.id().context("yardstick has ended")?.cast_signed();
        let mut served = Served {
            address,
            pid,
            _child: child,
        };
        let end = Instant::now() + READY_BOUND;
        while let Err(error) = Wire::to(address).await {
            if served._child.try_wait()?.is_some() || Instant::now() >= end {
                return Err(error.context(format!("yardstick does not serve; see {name}.log")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(served)
    }

    /// Makes rooms; answers their concerts' ids.
    pub(super) async fn rooms(&self, count: usize, room: Room) -> Result<Vec<String>> {
        self.made(&["--count", &count.to_string()], room).await
    }

    /// The same, with somebody in each: what only the first one waits for is done.
    pub(super) async fn joined_rooms(&self, count: usize, room: Room) -> Result<Vec<String>> {
        self.made(&["--joined", "--count", &count.to_string()], room)
            .await
    }

    async fn made(&self, which: &[&str], room: Room) -> Result<Vec<String>> {
        let said = self.put(which, room).await?;
        // From the next tick on, joins find a room in queue's memory.
        tokio::time::sleep(TICKED).await;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Changes a room's settings.
    pub(super) async fn change(&self, concert: &str, room: Room) -> Result<()> {
        self.put(&["--room", concert], room).await?;
        Ok(())
    }

    async fn put(&self, which: &[&str], room: Room) -> Result<String> {
        let (capacity, pace) = (room.capacity.to_string(), room.admit_per_second.to_string());
        let mode = if room.paused { "paused" } else { "open" };
        let words = [
            "rooms",
            "--queue",
            &self.queue,
            "--capacity",
            &capacity,
            "--admit-per-second",
            &pace,
            "--mode",
            mode,
        ];
        self.run(self.command(&[&words[..], which].concat())).await
    }

    /// So many people join, and the last of them answer their tokens.
    pub(super) async fn join(
        &self,
        concert: &str,
        people: u64,
        at_once: usize,
        keep: u64,
    ) -> Result<(Tally, Vec<String>)> {
        let tokens = self.tokens_file()?;
        let file = tokens.display().to_string();
        let (people, at_once, keep) = (people.to_string(), at_once.to_string(), keep.to_string());
        let words = [
            "join",
            "--queue",
            &self.queue,
            "--room",
            concert,
            "--people",
            &people,
            "--at-once",
            &at_once,
            "--tokens",
            &file,
            "--keep",
            &keep,
        ];
        let said = self.run(self.command(&words)).await?;
        let kept = std::fs::read_to_string(&tokens).context("no tokens")?;
        Ok((
            serde_json::from_str(&said)?,
            kept.lines().map(str::to_owned).collect(),
        ))
    }

    /// People join by the script alone, in this database.
    pub(super) async fn script(&self, redis: &str, time: Duration, at_once: usize) -> Result<Tally> {
        let (seconds, at_once) = (time.as_secs_f64().to_string(), at_once.to_string());
        let mut command = self.command(&["script", "--seconds", &seconds, "--at-once", &at_once]);
        command.env("REDIS_URL", redis);
        Ok(serde_json::from_str(&self.run(command).await?)?)
    }

    /// The tokens of those who joined last.
    pub(super) fn tokens_file(&self) -> Result<PathBuf> {
        Ok(self.stage.home()?.dir().join("queue-tokens"))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = cargo::program(self.root, &self.program);
        command.args(words);
        command
    }

    /// To its end; answers what it said. Its progress is shown.
    async fn run(&self, mut command: Command) -> Result<String> {
        let child = command.stdout(Stdio::piped()).spawn();
        let output = child
            .context("cannot start yardstick")?
            .wait_with_output()
            .await?;
        ensure!(output.status.success(), "yardstick failed ({})", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }
}

//! People who join by the line's own script: what joining would cost if Redis were all there is.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use queue::store::{Block, Filling, Join, Line};
use redis::aio::ConnectionManager;
use service_kit::config;
use service_kit::redis::RedisConfig;
use tokio::task::JoinSet;
use vocabulary::{ConcertId, QueueNumber, UserId};

use crate::tally::Tally;

/// More than anybody could give.
const LAST_NUMBER: QueueNumber = QueueNumber(1_000_000_000);
const CLAIM_WINDOW: Duration = Duration::from_secs(30);

/// REDIS_URL names a database that is emptied.
#[derive(Debug, clap::Args)]
pub(crate) struct Script {
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    at_once: usize,
}

impl Script {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let redis = config::load(RedisConfig::read)?.connection()?;
        empty(redis.clone()).await?;
        let (line, concert) = (Line::new(redis.clone()), ConcertId::new());
        let filling = Filling {
            epoch: 1,
            serving: QueueNumber(0),
            reserved_to: QueueNumber(0),
            pages: Vec::new(),
            lapsed: 0,
            called: Vec::new(),
            left: Vec::new(),
            users: Vec::new(),
        };
        line.fill(concert, &filling, CLAIM_WINDOW).await?;
        let block = Block {
            epoch: filling.epoch,
            last: LAST_NUMBER,
        };
        line.extend(concert, block)
            .await?
            .context("the room is not filled")?;

        let begun = Instant::now();
        let end = begun + Duration::from_secs_f64(self.seconds);
        let mut callers = JoinSet::new();
        for _ in 0..self.at_once {
            callers.spawn(call(line.clone(), concert, end));
        }
        let mut tally = Tally::new()?;
        while let Some(caller) = callers.join_next().await {
            tally.add(&caller??)?;
        }
        println!("{}", tally.json(begun.elapsed()));
        empty(redis).await
    }
}

async fn call(line: Line, concert: ConcertId, end: Instant) -> anyhow::Result<Tally> {
    let mut tally = Tally::new()?;
    while Instant::now() < end {
        let asked = Instant::now();
        match line.join(concert, UserId::new(), true).await? {
            Some(Join::Given { .. }) => tally.answered(asked),
            other => bail!("the line answered {other:?}"),
        }
    }
    Ok(tally)
}

async fn empty(mut redis: ConnectionManager) -> anyhow::Result<()> {
    Ok(redis::cmd("FLUSHDB").exec_async(&mut redis).await?)
}

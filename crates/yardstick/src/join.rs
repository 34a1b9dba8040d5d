//! People who join by queue's own gRPC, as the gateway has them do.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use contracts::queue::queue_service_client::QueueServiceClient;
use contracts::queue::{JoinRequest, JoinResponse, PutRoomRequest, RoomMode, RoomSettings};
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use vocabulary::{ConcertId, UserId};

use crate::tally::Tally;

/// Callers that share a connection.
const CALLERS_A_CONNECTION: usize = 16;
const TOLD_EVERY: u64 = 100_000;
const TRIES: u32 = 50;
const COMES_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Rooms {
    /// Where queue's gRPC is.
    #[arg(long)]
    queue: String,
    /// Change this one in the place of making some.
    #[arg(long)]
    room: Option<ConcertId>,
    #[arg(long, default_value_t = 1)]
    count: usize,
    #[arg(long)]
    capacity: u32,
    #[arg(long)]
    admit_per_second: u32,
    #[arg(long, value_enum, default_value_t = Mode::Open)]
    mode: Mode,
    /// Somebody joins each at once, so that it is in Redis and has numbers for those who come.
    #[arg(long)]
    joined: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Open,
    Paused,
}

impl Rooms {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut queue = connect(&self.queue).await?;
        let rooms = match self.room {
            Some(room) => vec![room],
            None => std::iter::repeat_with(ConcertId::new).take(self.count).collect(),
        };
        for room in rooms {
            let settings = RoomSettings {
                capacity: self.capacity,
                admit_per_second: self.admit_per_second,
                opens_at: None,
                mode: match self.mode {
                    Mode::Open => RoomMode::Open,
                    Mode::Paused => RoomMode::Paused,
                }
                .into(),
            };
            let request = PutRoomRequest {
                concert_id: room.to_string(),
                settings: Some(settings),
            };
            queue.put_room(request).await?;
            if self.joined {
                let request = JoinRequest {
                    concert_id: room.to_string(),
                    user_id: UserId::new().to_string(),
                };
                patiently(&mut queue, request).await?;
            }
            println!("{room}");
        }
        Ok(())
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Join {
    /// Where queue's gRPC is.
    #[arg(long)]
    queue: String,
    #[arg(long)]
    room: ConcertId,
    #[arg(long)]
    people: u64,
    #[arg(long)]
    at_once: usize,
    /// Where the tokens of those who join last are written, one a line.
    #[arg(long, requires = "keep")]
    tokens: Option<PathBuf>,
    /// How many of them.
    #[arg(long, default_value_t = 0)]
    keep: u64,
}

impl Join {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut clients = Vec::new();
        for _ in 0..self.at_once.div_ceil(CALLERS_A_CONNECTION) {
            clients.push(connect(&self.queue).await?);
        }
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for (_, client) in (0..self.at_once).zip(clients.iter().cycle()) {
            callers.spawn(self.clone().call(client.clone(), Arc::clone(&next), begun));
        }
        let (mut tally, mut tokens) = (Tally::new()?, Vec::new());
        while let Some(caller) = callers.join_next().await {
            let (part, kept) = caller??;
            tally.add(&part)?;
            tokens.extend(kept);
        }
        println!("{}", tally.json(begun.elapsed()));
        if let Some(path) = &self.tokens {
            std::fs::write(path, tokens.join("\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    async fn call(
        self,
        mut queue: QueueServiceClient<Channel>,
        next: Arc<AtomicU64>,
        begun: Instant,
    ) -> anyhow::Result<(Tally, Vec<String>)> {
        let (mut tally, mut tokens) = (Tally::new()?, Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= self.people {
                return Ok((tally, tokens));
            }
            let request = JoinRequest {
                concert_id: self.room.to_string(),
                user_id: UserId::new().to_string(),
            };
            let asked = Instant::now();
            let answer = patiently(&mut queue, request).await?;
            tally.answered(asked);
            if index + self.keep >= self.people {
                tokens.push(answer.ticket.context("no ticket")?.queue_token);
            }
            let joined = index + 1;
            if joined.is_multiple_of(TOLD_EVERY) {
                let seconds = begun.elapsed().as_secs_f64();
                eprintln!(
                    "           {joined} of {} have joined in {seconds:.0} s",
                    self.people
                );
            }
        }
    }
}

/// Asks again while queue or its stores are too busy, which is harmless; the time counts.
async fn patiently(
    queue: &mut QueueServiceClient<Channel>,
    request: JoinRequest,
) -> Result<JoinResponse, tonic::Status> {
    let mut tries = 0;
    loop {
        tries += 1;
        match queue.join(request.clone()).await {
            Err(status) if status.code() == Code::Unavailable && tries < TRIES => {
                tokio::time::sleep(COMES_AGAIN).await;
            }
            answered => return answered.map(tonic::Response::into_inner),
        }
    }
}

async fn connect(queue: &str) -> anyhow::Result<QueueServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(queue.to_owned())?.tcp_nodelay(true);
    let channel = endpoint.connect().await.context("queue does not answer")?;
    Ok(QueueServiceClient::new(channel))
}

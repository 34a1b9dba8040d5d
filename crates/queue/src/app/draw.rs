//! The draw of rooms that open later, driven step by step. Every replica drives; each step is taken by one, and whoever
//! comes after a crash goes on with the next.

use std::sync::Arc;
use std::time::Duration;

use fair_draw::{CHUNK, Chunks, Hash, leaf};
use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use vocabulary::{ConcertId, QueueNumber};

use super::{AppError, Queue, order_of};
use crate::domain::{Draw, DrawEvent, Next, OperatorTrusted};

/// How often draws are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Draws that go on together.
const DRAWS_AT_ONCE: usize = 4;
/// How long a replica that knows no beacon leaves an announced round to those that do.
const OTHERS_PATIENCE: Duration = Duration::from_secs(60);
/// Leaves read at a time: whole chunks.
const READ: u64 = 32 * CHUNK as u64;

impl Queue {
    /// Drives draws until `stop`.
    ///
    /// # Errors
    /// Never: what fails is tried again.
    pub async fn run_draws(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut goes_on = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = looks.tick() => {}
            }
            let done = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                done = self.advance_draws() => done,
            };
            match &done {
                Err(error) if goes_on => {
                    tracing::error!(error = error as &dyn std::error::Error, "a draw does not go on");
                }
                Ok(()) if !goes_on => tracing::info!("draws go on again"),
                _ => {}
            }
            goes_on = done.is_ok();
        }
    }

    /// Takes every step of every draw that can be taken now.
    ///
    /// # Errors
    /// A store is away; the other draws went on all the same.
    pub async fn advance_draws(&self) -> Result<(), AppError> {
        let concerts = self.draws.unfinished().await?;
        let advanced = futures::stream::iter(concerts)
            .map(async |concert| {
                while self.step_draw(concert).await? {}
                Ok(())
            })
            .buffer_unordered(DRAWS_AT_ONCE)
            .collect::<Vec<Result<(), AppError>>>()
            .await;
        advanced.into_iter().collect()
    }

    /// Takes the next step of a draw, if it can be taken now; answers whether there may be another.
    ///
    /// # Errors
    /// A store is away; what was done stays done.
    pub async fn step_draw(&self, concert: ConcertId) -> Result<bool, AppError> {
        let room = self.visits.room(concert).await?.ok_or(AppError::RoomNotFound)?;
        let Some(draw) = self.draws.draw(concert).await? else {
            return Ok(false);
        };
        let patience = self
            .beacon
            .as_ref()
            .map_or(OTHERS_PATIENCE, |beacon| beacon.chain().patience);
        let (event, taken) = match draw.next(room.is_due(), room.now, patience) {
            Next::Wait => return Ok(false),
            Next::Close => (DrawEvent::Close, self.draws.close(concert).await?),
            Next::Seal => {
                let chunks = self.tree_of(&draw).await?;
                (DrawEvent::Seal, self.draws.seal(concert, &chunks).await?)
            }
            Next::Ask { round, give_up } => match self.ask_beacon(round).await {
                Some(value) => (DrawEvent::Reveal, self.reveal(&draw, Ok(value)).await?),
                None if give_up => {
                    let without = Err(OperatorTrusted::BeaconUnavailable);
                    (DrawEvent::Reveal, self.reveal(&draw, without).await?)
                }
                None => return Ok(false),
            },
            Next::DrawAlone(because) => (DrawEvent::Reveal, self.reveal(&draw, Err(because)).await?),
            Next::Open => (DrawEvent::Open, self.open(&draw).await?),
        };
        if taken {
            metrics::counter!("queue_draw_steps_total", "step" => step(event)).increment(1);
            tracing::info!(concert_id = %concert, step = step(event), count = draw.count, "the draw went on");
            if event == DrawEvent::Open {
                self.waker.wake(concert);
            }
        }
        // Where another replica was first there is a next step too.
        Ok(true)
    }

    /// The tree over everybody in a closed lobby.
    async fn tree_of(&self, draw: &Draw) -> Result<Chunks, AppError> {
        let concert = draw.concert_id;
        let mut chunks = Chunks::default();
        let mut from = 0;
        while from < draw.count {
            let limit = READ.min(draw.count - from);
            let commitments = self.draws.commitments(concert, from, limit).await?;
            if commitments.len() as u64 != limit {
                return Err(AppError::Unsettled);
            }
            chunks = hash_chunks(chunks, concert, from, commitments).await?;
            from += limit;
        }
        Ok(chunks)
    }

    async fn ask_beacon(&self, round: u64) -> Option<Hash> {
        let beacon = self.beacon.as_ref()?;
        let answer = beacon.value(round).await;
        let outcome = if answer.is_ok() { "given" } else { "refused" };
        metrics::counter!("queue_beacon_rounds_total", "outcome" => outcome).increment(1);
        answer
            .inspect_err(|error| {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    round,
                    "the beacon gave no round"
                );
            })
            .ok()
    }

    async fn reveal(&self, draw: &Draw, beacon: Result<Hash, OperatorTrusted>) -> Result<bool, AppError> {
        let secret = self.draws.secret(draw.concert_id).await?;
        let Some(seed) = secret.and_then(|secret| draw.seed(&secret, beacon)) else {
            return Err(AppError::Unsettled);
        };
        Ok(self.draws.reveal(draw.concert_id, &seed, beacon).await?)
    }

    /// Passes over who left and lets people be called.
    async fn open(&self, draw: &Draw) -> Result<bool, AppError> {
        let concert = draw.concert_id;
        let order = order_of(draw).ok_or(AppError::Unsettled)?;
        loop {
            let gone = self.draws.gone(concert).await?;
            if gone.is_empty() {
                return Ok(self.draws.open(concert).await?);
            }
            // One without a number would be gone for ever, and the room would never open: that is said, not passed over.
            let numbered: Vec<_> = gone
                .into_iter()
                .map(|gone| Some((gone, QueueNumber(order.number_of(gone.index)?))))
                .collect::<Option<_>>()
                .ok_or(AppError::Unsettled)?;
            self.draws.pass_over(concert, &numbered).await?;
            for (gone, number) in numbered {
                self.tell_line(self.line.forget(concert, gone.user_id, number))
                    .await;
            }
        }
    }
}

/// Hashes off the threads that serve requests.
async fn hash_chunks(
    chunks: Chunks,
    concert: ConcertId,
    from: u64,
    commitments: Vec<Hash>,
) -> Result<Chunks, AppError> {
    let hashed = tokio::task::spawn_blocking(move || {
        let mut chunks = chunks;
        for (chunk, first) in commitments.chunks(CHUNK).zip((from..).step_by(CHUNK)) {
            chunks.push(&leaves_of(concert, first, chunk));
        }
        chunks
    });
    hashed.await.map_err(|_| AppError::Unsettled)
}

/// The leaves of those who came from the `first`-th on.
pub(super) fn leaves_of(concert: ConcertId, first: u64, commitments: &[Hash]) -> Vec<Hash> {
    (first..)
        .zip(commitments)
        .map(|(index, commitment)| leaf(concert.as_uuid(), index, commitment))
        .collect()
}

const fn step(event: DrawEvent) -> &'static str {
    match event {
        DrawEvent::Close => "close",
        DrawEvent::Seal => "seal",
        DrawEvent::Reveal => "reveal",
        DrawEvent::Open => "open",
    }
}

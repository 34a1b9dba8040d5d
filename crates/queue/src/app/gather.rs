//! Joining a lobby. Whoever comes while a batch is being committed is in the next: one commit carries hundreds.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use fair_draw::{Hash, Receipt, ReceiptKey, VERSION, commitment, leaf};
use tokio::sync::oneshot;
use vocabulary::{ConcertId, UserId};

use super::{AppError, Queue};
use crate::store::LobbyPlace;

/// The most that one commit carries.
const BATCH: usize = 512;
/// The most that wait for a commit in one room; more are refused at once.
const MOST_WAITING: usize = 20_000;

/// What came of asking for a place in the lobby.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gathered {
    /// The place, committed.
    Place(LobbyPlace),
    /// The user has none, and the room takes nobody in.
    Refused,
    /// The lobby is closed, or to be closed.
    Over,
}

/// What became of one of a batch.
type Outcome = Result<Gathered, Failed>;

/// The batch was not committed, as far as is known.
#[derive(Debug)]
struct Failed;

#[derive(Debug)]
struct Waiting {
    user: UserId,
    commitment: Hash,
    answer: oneshot::Sender<Outcome>,
}

/// The joins of one room that wait for a commit.
#[derive(Debug, Default)]
struct Batch {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by who commits.
    turn: tokio::sync::Mutex<()>,
}

impl Batch {
    fn add(&self, user: UserId, commitment: Hash) -> Result<oneshot::Receiver<Outcome>, AppError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_WAITING {
            return Err(AppError::Busy);
        }
        let (answer, outcome) = oneshot::channel();
        waiting.push(Waiting {
            user,
            commitment,
            answer,
        });
        Ok(outcome)
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }
}

/// The batches of all rooms.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<HashMap<ConcertId, Arc<Batch>>>);

impl Batches {
    fn of(&self, concert: ConcertId) -> Arc<Batch> {
        let mut batches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(batches.entry(concert).or_default())
    }
}

impl Queue {
    /// Asks for a place in the lobby.
    pub(super) async fn gather(&self, concert: ConcertId, user: UserId) -> Result<Gathered, AppError> {
        let key = self.receipt_key(concert).await?;
        let commitment = commitment(&key.salt(user.as_uuid()), user.as_uuid());
        let batch = self.batches.of(concert);
        loop {
            let mut outcome = batch.add(user, commitment)?;
            let known = loop {
                let _turn = batch.turn.lock().await;
                match outcome.try_recv() {
                    Ok(known) => break Some(known),
                    // The one who was committing for us was gone before the end: trying again is harmless.
                    Err(oneshot::error::TryRecvError::Closed) => break None,
                    // Whoever has the turn commits the oldest that wait, until it has come to its own.
                    Err(oneshot::error::TryRecvError::Empty) => self.commit(concert, &batch).await?,
                }
            };
            match known {
                Some(Ok(gathered)) => return Ok(gathered),
                // One failure is told to the whole batch: a store that is away is not waited for by each in turn.
                Some(Err(Failed)) => return Err(AppError::Unsettled),
                None => {}
            }
        }
    }

    async fn commit(&self, concert: ConcertId, batch: &Batch) -> Result<(), AppError> {
        let waiting = batch.take();
        // One who asks twice at once is asked for once.
        let mut seen = HashSet::with_capacity(waiting.len());
        let users = waiting.iter().filter(|one| seen.insert(one.user));
        let users: Vec<_> = users.map(|one| (one.user, one.commitment)).collect();
        metrics::histogram!("queue_lobby_batch_size").record(users.len() as f64);
        let places = match self.draws.gather(concert, &users).await {
            Ok(places) => places,
            Err(error) => {
                for one in waiting {
                    let _gone = one.answer.send(Err(Failed));
                }
                return Err(error.into());
            }
        };
        let mut places: Option<HashMap<_, _>> =
            places.map(|places| places.into_iter().map(|place| (place.user_id, place)).collect());
        for one in waiting {
            let gathered = match places.as_mut().map(|places| places.get_mut(&one.user)) {
                None => Gathered::Over,
                Some(None) => Gathered::Refused,
                Some(Some(place)) => {
                    let answered = *place;
                    if answered.joined_now {
                        metrics::counter!("queue_lobby_joins_total").increment(1);
                    }
                    // Only the first of two at once has joined now.
                    place.joined_now = false;
                    Gathered::Place(answered)
                }
            };
            let _gone = one.answer.send(Ok(gathered));
        }
        Ok(())
    }

    async fn receipt_key(&self, concert: ConcertId) -> Result<Arc<ReceiptKey>, AppError> {
        if let Some(key) = self.receipt_keys.get(concert) {
            return Ok(key);
        }
        let key = self.draws.receipt_key(concert).await?.ok_or(AppError::NoLobby)?;
        Ok(self.receipt_keys.keep(concert, key))
    }

    /// The receipt of a place, the same whenever it is asked for.
    pub(super) async fn receipt(&self, concert: ConcertId, place: &LobbyPlace) -> Result<Receipt, AppError> {
        let key = self.receipt_key(concert).await?;
        let leaf = leaf(concert.as_uuid(), place.index, &place.commitment);
        Ok(Receipt {
            version: VERSION,
            concert_id: concert.as_uuid(),
            index: place.index,
            salt: Some(key.salt(place.user_id.as_uuid())),
            commitment: place.commitment,
            signature: key.sign(&leaf),
        })
    }
}

//! Requests that meet at the database are carried out together: whatever came while the last batch was under way is the
//! next one, with one statement and one commit for all.
//!
//! Nobody waits for company: who comes alone goes alone, at once. One batch of a kind is under way at a time, as several make
//! smaller ones and less of them all. What was answered was committed, as ever. A request whose caller went away before its
//! batch began is not carried out; from then on it is, whoever still listens.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Failure, classify};

/// Larger ones only keep their first requests waiting.
const MOST_TOGETHER: usize = 64;
/// Whoever would have to wait behind so many is refused as if the pool had no connection to spare.
const MOST_WAITING: usize = 4_096;
/// How many are tried at once of a batch that failed as a whole.
const ALONE_AT_ONCE: usize = 4;

/// Why a request was not carried out; shared by all that it befell.
pub type BatchError = Arc<sqlx::Error>;

type Answer<A> = oneshot::Sender<Result<A, BatchError>>;
type Run<T, A> = dyn Fn(Vec<T>) -> BoxFuture<'static, Result<Vec<A>, sqlx::Error>> + Send + Sync;

/// Gathers requests of one kind. Clones share everything.
pub struct Batcher<T, A>(Arc<Inner<T, A>>);

struct Inner<T, A> {
    name: &'static str,
    key: fn(&T) -> Uuid,
    run: Box<Run<T, A>>,
    lane: Mutex<Lane<T, A>>,
}

struct Lane<T, A> {
    waiting: VecDeque<(T, Answer<A>)>,
    under_way: bool,
}

impl<T, A> Clone for Batcher<T, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, A> fmt::Debug for Batcher<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl<T, A> Batcher<T, A>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    /// Batches that `run` carries out, all of one or nothing of it. It answers each request at its position. It finds
    /// them in the order of `key`, the row that each one changes, so that batches of several processes take rows up in the
    /// same order.
    pub fn new<R>(
        name: &'static str,
        key: fn(&T) -> Uuid,
        run: impl Fn(Vec<T>) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = Result<Vec<A>, sqlx::Error>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            name,
            key,
            run: Box::new(move |batch| Box::pin(run(batch))),
            lane: Mutex::new(Lane {
                waiting: VecDeque::new(),
                under_way: false,
            }),
        }))
    }

    /// Carries out a request, with whatever others come meanwhile.
    ///
    /// # Errors
    /// The database failed it, or too many wait.
    pub async fn call(&self, request: T) -> Result<A, BatchError> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut lane = self.0.lane();
            if lane.waiting.len() >= MOST_WAITING {
                return Err(Arc::new(sqlx::Error::PoolTimedOut));
            }
            lane.waiting.push_back((request, answer));
            !std::mem::replace(&mut lane.under_way, true)
        };
        if begins {
            tokio::spawn(Arc::clone(&self.0).carry_out());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(Arc::new(sqlx::Error::WorkerCrashed)))
    }
}

impl<T, A> Inner<T, A> {
    fn lane(&self) -> MutexGuard<'_, Lane<T, A>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, A> Inner<T, A>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    /// Batch after batch, until nobody waits.
    async fn carry_out(self: Arc<Self>) {
        let mut place = Place {
            inner: Arc::clone(&self),
            given_up: false,
        };
        while let Some((requests, answers)) = place.next() {
            metrics::counter!("database_batches_total", "batch" => self.name).increment(1);
            metrics::counter!("database_batched_requests_total", "batch" => self.name)
                .increment(requests.len() as u64);
            let results = self.together(requests).await;
            for (answer, result) in answers.into_iter().zip(results) {
                // Nobody may be left to hear it.
                let _ = answer.send(result);
            }
        }
    }

    async fn together(&self, requests: Vec<T>) -> Vec<Result<A, BatchError>> {
        let count = requests.len();
        let again = if count > 1 { requests.clone() } else { Vec::new() };
        match (self.run)(requests).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            // One may have failed them all, by breaking a rule or by meeting somebody: the others shall not know.
            Err(error) if count > 1 && classify(&error) != Failure::Unavailable => {
                stream::iter(again)
                    .map(|request| async {
                        let mut answers = (self.run)(vec![request]).await?;
                        answers.pop().ok_or_else(|| Arc::new(sqlx::Error::RowNotFound))
                    })
                    .buffered(ALONE_AT_ONCE)
                    .collect()
                    .await
            }
            Err(error) => {
                let error = Arc::new(error);
                (0..count).map(|_| Err(Arc::clone(&error))).collect()
            }
        }
    }
}

/// The right to carry batches out, until nobody waits or it panics.
struct Place<T, A> {
    inner: Arc<Inner<T, A>>,
    given_up: bool,
}

impl<T, A> Place<T, A> {
    /// Those who wait longest and still listen. `None` gives the place up in the same breath, so that nobody comes in
    /// between and is forgotten.
    fn next(&mut self) -> Option<(Vec<T>, Vec<Answer<A>>)> {
        let mut lane = self.inner.lane();
        let mut batch = Vec::new();
        while batch.len() < MOST_TOGETHER
            && let Some((request, answer)) = lane.waiting.pop_front()
        {
            if !answer.is_closed() {
                batch.push((request, answer));
            }
        }
        if batch.is_empty() {
            lane.under_way = false;
            self.given_up = true;
            return None;
        }
        drop(lane);
        batch.sort_by_key(|(request, _)| (self.inner.key)(request));
        Some(batch.into_iter().unzip())
    }
}

impl<T, A> Drop for Place<T, A> {
    fn drop(&mut self) {
        if !self.given_up {
            let mut lane = self.inner.lane();
            lane.under_way = false;
            // They hear of it, and may come again.
            lane.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers, but refuses a batch with a 13 in it; every batch waits for a permit.
    struct House {
        gate: Semaphore,
        batches: Mutex<Vec<Vec<u32>>>,
        away: bool,
    }

    impl House {
        fn new(permits: usize, away: bool) -> (Arc<Self>, Batcher<u32, u32>) {
            let house = Arc::new(Self {
                gate: Semaphore::new(permits),
                batches: Mutex::default(),
                away,
            });
            let of_batches = Arc::clone(&house);
            let key = |number: &u32| Uuid::from_u128((*number).into());
            let batcher = Batcher::new("test", key, move |batch: Vec<u32>| {
                let house = Arc::clone(&of_batches);
                async move {
                    house.gate.acquire().await.unwrap().forget();
                    house.batches.lock().unwrap().push(batch.clone());
                    assert!(!batch.contains(&99), "a panic");
                    if house.away {
                        return Err(sqlx::Error::PoolTimedOut);
                    }
                    if batch.contains(&13) {
                        return Err(sqlx::Error::RowNotFound);
                    }
                    Ok(batch.into_iter().map(|number| 2 * number).collect())
                }
            });
            (house, batcher)
        }

        fn sizes(&self) -> Vec<usize> {
            self.batches.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    fn outcomes(results: &[Result<u32, BatchError>]) -> Vec<Option<u32>> {
        results
            .iter()
            .map(|result| result.as_ref().ok().copied())
            .collect()
    }

    #[tokio::test]
    async fn who_comes_alone_goes_alone_and_at_once() {
        let (house, batcher) = House::new(10, false);
        assert_eq!(batcher.call(4).await.unwrap(), 8);
        assert_eq!(batcher.call(5).await.unwrap(), 10);
        assert_eq!(house.sizes(), [1, 1]);
    }

    #[tokio::test]
    async fn who_comes_while_batches_are_under_way_shares_the_next_one() {
        let (house, batcher) = House::new(0, false);
        let calls = join_all((100..200).map(|number| batcher.call(number)));
        let results = tokio::join!(calls, async { house.gate.add_permits(10) }).0;
        let doubled: Vec<Option<u32>> = (100..200).map(|number| Some(2 * number)).collect();
        assert_eq!(outcomes(&results), doubled, "each its own answer");
        let sizes = house.sizes();
        assert_eq!(sizes.iter().sum::<usize>(), 100);
        assert_eq!(sizes.iter().max(), Some(&MOST_TOGETHER));
        assert!(sizes.len() <= 3, "{sizes:?}");
    }

    #[tokio::test]
    async fn who_breaks_a_rule_fails_alone() {
        let (house, batcher) = House::new(100, false);
        let results = join_all([5, 4, 13, 2, 1].map(|number| batcher.call(number))).await;
        assert_eq!(
            outcomes(&results),
            [Some(10), Some(8), None, Some(4), Some(2)],
            "{:?}",
            house.batches
        );
        assert_eq!(
            house.batches.lock().unwrap()[0],
            [1, 2, 4, 5, 13],
            "they met, in order"
        );
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_not_asked_again_for_each() {
        let (house, batcher) = House::new(100, true);
        let results = join_all((0..50).map(|number| batcher.call(number))).await;
        for result in results {
            assert!(matches!(*result.unwrap_err(), sqlx::Error::PoolTimedOut));
        }
        assert_eq!(house.sizes(), [50]);
    }

    #[tokio::test]
    async fn who_went_away_before_is_not_carried_out_and_who_goes_later_takes_nobody_along() {
        let (house, batcher) = House::new(0, false);
        let call = |number| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.call(number).await })
        };
        let begun = call(0);
        while !batcher.0.lane().under_way || !batcher.0.lane().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let (gone, stays) = (call(7), call(8));
        while batcher.0.lane().waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        begun.abort();
        house.gate.add_permits(10);
        assert_eq!(stays.await.unwrap().unwrap(), 16);
        let batches = house.batches.lock().unwrap().clone();
        assert_eq!(batches, [[0], [8]], "what was begun is carried out");
    }

    #[tokio::test]
    async fn too_many_are_refused_at_once() {
        let (house, batcher) = House::new(0, false);
        let refused = AtomicUsize::new(0);
        let calls = join_all((1_000..MOST_WAITING as u32 + 1_300).map(|number| {
            let (batcher, refused) = (&batcher, &refused);
            async move {
                if batcher.call(number).await.is_err() {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
        let ((), ()) = tokio::join!(async { drop(calls.await) }, async {
            house.gate.add_permits(1_000);
        });
        assert_eq!(refused.into_inner(), 300);
    }

    #[tokio::test]
    async fn a_panic_is_its_batchs_alone() {
        let (_, batcher) = House::new(100, false);
        for _ in 0..2 {
            let crashed = batcher.call(99).await.unwrap_err();
            assert!(matches!(*crashed, sqlx::Error::WorkerCrashed));
        }
        assert_eq!(batcher.call(1).await.unwrap(), 2);
    }
}

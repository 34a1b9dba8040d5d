//! Requests that meet are carried out together: whatever came while the last batch was under way is the next one, with one
//! statement and one commit for all, or with one call to a peer.
//!
//! Nobody waits for company: who comes alone goes alone, at once. One batch of a kind is under way at a time, as several make
//! smaller ones and less of them all. What was answered was done, as ever. A request whose caller went away before its
//! batch began is not carried out; from then on it is, whoever still listens.

use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

/// The most requests of one batch: larger ones only keep their first requests waiting.
pub const MOST_TOGETHER: usize = 128;
/// Whoever would have to wait behind so many is refused as if there were no connection to spare.
const MOST_WAITING: usize = 4_096;
/// How many are tried at once of a batch that failed as a whole.
const ALONE_AT_ONCE: usize = 4;
/// Longer than a connection and a statement, or an answer, are waited for: a server that is gone without a word must not hold
/// up who comes after on other connections.
const LONGEST: Duration = Duration::from_secs(20);

/// Why a batch was not carried out; told to all that it befell.
pub trait BatchError: Clone + Send + Sync + 'static {
    /// The counter of batches.
    const BATCHES: &'static str;
    /// The counter of the requests in them.
    const REQUESTS: &'static str;

    /// Too many wait already.
    fn too_many() -> Self;
    /// There was no answer for too long.
    fn late() -> Self;
    /// A fault of ours ended the batch.
    fn crashed() -> Self;
    /// Whether a batch can have failed because of one of its requests: then each is tried alone.
    fn may_be_of_one(&self) -> bool;
    /// Whether waiting was in vain, and would be so again for those who wait behind.
    fn is_away(&self) -> bool;
}

type Answer<A, E> = oneshot::Sender<Result<A, E>>;
type Run<T, A, E> = dyn Fn(Arc<[T]>) -> BoxFuture<'static, Result<Vec<A>, E>> + Send + Sync;
type Sort<T, A, E> = dyn Fn(&mut Vec<Waiting<T, A, E>>) + Send + Sync;

/// Gathers requests of one kind. Clones share everything.
pub struct Batcher<T, A, E>(Arc<Inner<T, A, E>>);

struct Inner<T, A, E> {
    name: &'static str,
    sort: Box<Sort<T, A, E>>,
    run: Box<Run<T, A, E>>,
    longest: Duration,
    lane: Mutex<Lane<T, A, E>>,
}

struct Lane<T, A, E> {
    waiting: VecDeque<Waiting<T, A, E>>,
    under_way: bool,
}

struct Waiting<T, A, E> {
    request: T,
    since: Instant,
    /// Of its caller; a batch runs in that of its first request.
    span: Span,
    answer: Answer<A, E>,
}

impl<T, A, E> Clone for Batcher<T, A, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, A, E> fmt::Debug for Batcher<T, A, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl<T, A, E> Batcher<T, A, E>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
    E: BatchError,
{
    /// Batches that `run` carries out, all of one or nothing of it. It answers each request at its position. It finds
    /// them in the order of `key`: where they lock rows, that is the order in which transactions do, so that batches and
    /// others do not wait for each other.
    pub fn new<K, R, F>(
        name: &'static str,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
        run: impl Fn(Arc<[T]>) -> R + Send + Sync + 'static,
    ) -> Self
    where
        K: Ord,
        R: Future<Output = Result<Vec<A>, F>> + Send + 'static,
        F: Into<E>,
    {
        Self(Arc::new(Inner {
            name,
            sort: Box::new(move |batch| batch.sort_by_key(|waiting| key(&waiting.request))),
            run: Box::new(move |batch| run(batch).map(|ran| ran.map_err(Into::into)).boxed()),
            longest: LONGEST,
            lane: Mutex::new(Lane {
                waiting: VecDeque::new(),
                under_way: false,
            }),
        }))
    }

    /// Carries out a request, with whatever others come meanwhile.
    ///
    /// # Errors
    /// Its batch failed, or too many wait.
    pub async fn call(&self, request: T) -> Result<A, E> {
        heard(self.enqueue([request]).pop()).await
    }

    /// Carries out requests that came together, and answers each at its position: those that may be together are.
    pub async fn call_all(&self, requests: Vec<T>) -> Vec<Result<A, E>> {
        let answers = self.enqueue(requests);
        let mut heard_so_far = Vec::with_capacity(answers.len());
        for answer in answers {
            heard_so_far.push(heard(Some(answer)).await);
        }
        heard_so_far
    }

    /// Lets requests wait for the next batch, which begins at once where none is under way.
    fn enqueue(&self, requests: impl IntoIterator<Item = T>) -> Vec<oneshot::Receiver<Result<A, E>>> {
        let mut answers = Vec::new();
        let begins = {
            let mut lane = self.0.lane();
            for request in requests {
                let (answer, answered) = oneshot::channel();
                answers.push(answered);
                if lane.waiting.len() < MOST_WAITING {
                    lane.waiting.push_back(Waiting {
                        request,
                        since: Instant::now(),
                        span: Span::current(),
                        answer,
                    });
                } else {
                    // Its receiver lives.
                    let _ = answer.send(Err(E::too_many()));
                }
            }
            !lane.waiting.is_empty() && !std::mem::replace(&mut lane.under_way, true)
        };
        if begins {
            tokio::spawn(Arc::clone(&self.0).carry_out());
        }
        answers
    }
}

async fn heard<A, E: BatchError>(answer: Option<oneshot::Receiver<Result<A, E>>>) -> Result<A, E> {
    match answer {
        Some(answer) => answer.await.unwrap_or_else(|_| Err(E::crashed())),
        None => Err(E::crashed()),
    }
}

impl<T, A, E> Inner<T, A, E>
where
    T: Clone + Send + Sync + 'static,
    A: Send + 'static,
    E: BatchError,
{
    fn lane(&self) -> MutexGuard<'_, Lane<T, A, E>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Batch after batch, until nobody waits.
    async fn carry_out(self: Arc<Self>) {
        while let Some(batch) = self.next() {
            metrics::counter!(E::BATCHES, "batch" => self.name).increment(1);
            metrics::counter!(E::REQUESTS, "batch" => self.name).increment(batch.len() as u64);
            let (begun, span) = (Instant::now(), batch[0].span.clone());
            let (requests, answers): (Vec<T>, Vec<Answer<A, E>>) = batch
                .into_iter()
                .map(|waiting| (waiting.request, waiting.answer))
                .unzip();
            let together = AssertUnwindSafe(self.together(requests.into()).instrument(span)).catch_unwind();
            // After a panic, which was told by its hook, the answers are dropped, and whoever waits goes on.
            let Ok(results) = together.await else { continue };
            let away = away(&results);
            // Of all these nobody may be left to hear it.
            for (answer, result) in answers.into_iter().zip(results) {
                let _ = answer.send(result);
            }
            // Who waited as long as they did shall not wait once more for the same.
            if let Some(error) = away {
                let waited = |waiting: &mut Waiting<T, A, E>| waiting.since <= begun;
                while let Some(waiting) = self.lane().waiting.pop_front_if(waited) {
                    let _ = waiting.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Those who wait longest and still listen. Where nobody does, the next who comes begins anew; that is settled in the
    /// same breath, so that nobody comes in between and is forgotten.
    fn next(&self) -> Option<Vec<Waiting<T, A, E>>> {
        let mut lane = self.lane();
        let mut batch = Vec::new();
        while batch.len() < MOST_TOGETHER
            && let Some(waiting) = lane.waiting.pop_front()
        {
            if !waiting.answer.is_closed() {
                batch.push(waiting);
            }
        }
        if batch.is_empty() {
            lane.under_way = false;
            return None;
        }
        drop(lane);
        (self.sort)(&mut batch);
        Some(batch)
    }

    async fn together(&self, requests: Arc<[T]>) -> Vec<Result<A, E>> {
        let count = requests.len();
        match self.run(Arc::clone(&requests)).await {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) if count > 1 && error.may_be_of_one() => self.each_alone(&requests).await,
            Err(error) => vec_of(count, &error),
        }
    }

    /// One may have failed them all, by breaking a rule or by waiting for somebody: the others shall not know.
    async fn each_alone(&self, requests: &[T]) -> Vec<Result<A, E>> {
        let mut results = Vec::with_capacity(requests.len());
        for some in requests.chunks(ALONE_AT_ONCE) {
            let alone = some.iter().map(|request| async {
                let mut answers = self.run([request.clone()].into()).await?;
                answers.pop().ok_or_else(E::crashed)
            });
            results.extend(join_all(alone).await);
            if let Some(error) = away(&results) {
                results.extend(vec_of(requests.len() - results.len(), &error));
                break;
            }
        }
        results
    }

    async fn run(&self, requests: Arc<[T]>) -> Result<Vec<A>, E> {
        tokio::time::timeout(self.longest, (self.run)(requests))
            .await
            .unwrap_or_else(|_| Err(E::late()))
    }
}

fn vec_of<A, E: BatchError>(count: usize, error: &E) -> Vec<Result<A, E>> {
    (0..count).map(|_| Err(error.clone())).collect()
}

/// The failure of whoever waited in vain.
fn away<A, E: BatchError>(results: &[Result<A, E>]) -> Option<E> {
    let mut errors = results.iter().filter_map(|result| result.as_ref().err());
    errors.find(|error| error.is_away()).cloned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tokio::sync::Semaphore;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::database::{BatchError, Batcher, Failure, classify};

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
            let batcher = Batcher::new(
                "test",
                |number: &u32| *number,
                move |batch: Arc<[u32]>| {
                    let house = Arc::clone(&of_batches);
                    async move {
                        house.gate.acquire().await.unwrap().forget();
                        house.batches.lock().unwrap().push(batch.to_vec());
                        assert!(!batch.contains(&99), "a panic");
                        if house.away {
                            return Err(sqlx::Error::PoolTimedOut);
                        }
                        if batch.contains(&13) {
                            return Err(sqlx::Error::RowNotFound);
                        }
                        Ok(batch.iter().map(|number| 2 * number).collect())
                    }
                },
            );
            (house, batcher)
        }

        fn sizes(&self) -> Vec<usize> {
            self.batches.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    /// Somebody who calls, and may go away.
    fn calling(batcher: &Batcher<u32, u32>, number: u32) -> JoinHandle<Result<u32, BatchError>> {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.call(number).await })
    }

    /// Until a batch is under way, and so many wait for the next.
    async fn under_way(batcher: &Batcher<u32, u32>, waiting: usize) {
        let is_so = || {
            let lane = batcher.0.lane();
            lane.under_way && lane.waiting.len() == waiting
        };
        while !is_so() {
            tokio::task::yield_now().await;
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
        let calls = join_all((100..300).map(|number| batcher.call(number)));
        let results = tokio::join!(calls, async { house.gate.add_permits(10) }).0;
        let doubled: Vec<Option<u32>> = (100..300).map(|number| Some(2 * number)).collect();
        assert_eq!(outcomes(&results), doubled, "each its own answer");
        let sizes = house.sizes();
        assert_eq!(sizes.iter().sum::<usize>(), 200);
        assert_eq!(sizes.iter().max(), Some(&MOST_TOGETHER));
        assert!(sizes.len() <= 3, "{sizes:?}");
    }

    #[tokio::test]
    async fn who_comes_together_goes_together() {
        let (house, batcher) = House::new(10, false);
        let results = batcher.call_all(vec![3, 13, 1]).await;
        assert_eq!(outcomes(&results), [Some(6), None, Some(2)]);
        assert_eq!(house.sizes(), [3, 1, 1, 1]);
        assert!(batcher.call_all(Vec::new()).await.is_empty());
        assert!(!batcher.0.lane().under_way);
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
    async fn who_waits_while_the_database_does_not_answer_waits_once() {
        let (house, batcher) = House::new(0, true);
        let calls = batcher.call_all((200..400).collect());
        let results = tokio::join!(calls, async { house.gate.add_permits(1) }).0;
        assert!(results.iter().all(Result::is_err));
        assert_eq!(house.sizes(), [MOST_TOGETHER]);
    }

    #[tokio::test]
    async fn who_came_while_others_waited_in_vain_is_tried() {
        let (house, batcher) = House::new(0, true);
        let call = |number| calling(&batcher, number);
        let begun = call(1);
        under_way(&batcher, 0).await;
        let later = call(2);
        under_way(&batcher, 1).await;
        house.gate.add_permits(2);
        assert!(begun.await.unwrap().is_err() && later.await.unwrap().is_err());
        assert_eq!(*house.batches.lock().unwrap(), [[1], [2]]);
    }

    #[tokio::test]
    async fn who_went_away_before_is_not_carried_out_and_who_goes_later_takes_nobody_along() {
        let (house, batcher) = House::new(0, false);
        let call = |number| calling(&batcher, number);
        let begun = call(0);
        under_way(&batcher, 0).await;
        let (gone, stays) = (call(7), call(8));
        under_way(&batcher, 2).await;
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
        let (house, batcher) = House::new(0, false);
        let call = |number| calling(&batcher, number);
        let panics = call(99);
        under_way(&batcher, 0).await;
        let waits = call(1);
        under_way(&batcher, 1).await;
        house.gate.add_permits(10);
        let crashed = panics.await.unwrap().unwrap_err();
        assert!(matches!(*crashed, sqlx::Error::WorkerCrashed));
        assert_eq!(waits.await.unwrap().unwrap(), 2);
        assert_eq!(batcher.call(2).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_database_that_never_answers_holds_nobody_up_for_good() {
        let (house, mut batcher) = House::new(0, false);
        Arc::get_mut(&mut batcher.0).unwrap().longest = Duration::from_millis(50);
        let late = batcher.call(1).await.unwrap_err();
        assert!(matches!(*late, sqlx::Error::Io(_)));
        assert_eq!(classify(&late), Failure::Unavailable);
        house.gate.add_permits(1);
        assert_eq!(batcher.call(2).await.unwrap(), 4);
    }
}

//! Jobs over many connections at once: all of them, or as many as fit into a time.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::client::Connection;

/// Something that one user does, in one or some calls.
pub(crate) trait Job: Send + 'static {
    type Done: Send + 'static;

    fn run(self, connection: &mut Connection) -> impl Future<Output = Result<Self::Done>> + Send;
}

/// Taken from the front by whoever is free.
#[derive(Debug)]
struct Waiting<J>(Arc<Mutex<VecDeque<J>>>);

impl<J> Waiting<J> {
    fn next(&self) -> Option<J> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl<J> Clone for Waiting<J> {
    fn clone(&self) -> Self {
        Waiting(Arc::clone(&self.0))
    }
}

/// Does all jobs, `at_once` at a time; the first that fails ends it. Answers in no particular order.
pub(crate) async fn all<J: Job>(address: SocketAddr, at_once: usize, jobs: Vec<J>) -> Result<Vec<J::Done>> {
    let waiting = Waiting(Arc::new(Mutex::new(jobs.into())));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let waiting = waiting.clone();
        workers.spawn(async move {
            let mut connection = Connection::to(address);
            let mut done = Vec::new();
            while let Some(job) = waiting.next() {
                done.push(job.run(&mut connection).await?);
            }
            anyhow::Ok(done)
        });
    }
    let mut done = Vec::new();
    while let Some(worker) = workers.join_next().await {
        done.extend(worker.context("a worker died")??);
    }
    Ok(done)
}

/// What came of a closed loop.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) done: u64,
    /// By reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// From the first job's begin to the last one's end.
    pub(crate) took: Duration,
    /// Of what was done, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// There were not enough jobs for the whole time.
    pub(crate) ran_dry: bool,
}

impl Load {
    pub(crate) fn new() -> Result<Load> {
        Ok(Load {
            done: 0,
            failed: BTreeMap::new(),
            took: Duration::ZERO,
            latencies: Histogram::new_with_bounds(1, 60_000_000, 3)?,
            ran_dry: false,
        })
    }

    /// One more, that took so long.
    pub(crate) fn did(&mut self, took: Duration) {
        self.done += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros);
    }

    pub(crate) fn failed(&mut self, reason: String) {
        *self.failed.entry(reason).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: Load) -> Result<()> {
        self.done += other.done;
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        self.latencies.add(other.latencies)?;
        self.ran_dry |= other.ran_dry;
        Ok(())
    }
}

/// A closed loop: each of `at_once` workers begins its next job when its last one has ended, until the time is over or
/// no job is left. What has begun is brought to its end, and counted. Takes the jobs that it does from the front.
pub(crate) async fn closed_loop<J: Job>(
    address: SocketAddr,
    at_once: usize,
    time: Duration,
    jobs: &mut VecDeque<J>,
) -> Result<Load> {
    let waiting = Waiting(Arc::new(Mutex::new(std::mem::take(jobs))));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let waiting = waiting.clone();
        workers.spawn(work(address, begun + time, waiting));
    }
    let mut load = Load::new()?;
    while let Some(worker) = workers.join_next().await {
        load.add(worker.context("a worker died")??)?;
    }
    load.took = begun.elapsed();
    *jobs = std::mem::take(&mut *waiting.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(load)
}

async fn work<J: Job>(address: SocketAddr, end: Instant, waiting: Waiting<J>) -> Result<Load> {
    let mut connection = Connection::to(address);
    let mut load = Load::new()?;
    while Instant::now() < end {
        let Some(job) = waiting.next() else {
            load.ran_dry = true;
            break;
        };
        let begun = Instant::now();
        match job.run(&mut connection).await {
            Ok(_) => load.did(begun.elapsed()),
            Err(error) => load.failed(format!("{error:#}")),
        }
    }
    Ok(load)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    struct Numbered(u32);

    impl Job for Numbered {
        type Done = u32;

        async fn run(self, _: &mut Connection) -> Result<u32> {
            if self.0 % 10 == 3 {
                bail!("no luck");
            }
            Ok(self.0)
        }
    }

    fn nowhere() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    #[tokio::test]
    async fn every_job_of_a_loop_is_counted_once_as_done_or_by_its_failure() {
        let mut jobs = (0..100).map(Numbered).collect();
        let load = closed_loop(nowhere(), 7, Duration::from_secs(60), &mut jobs)
            .await
            .unwrap();
        assert_eq!(load.done, 90);
        assert_eq!(load.failed, BTreeMap::from([("no luck".to_owned(), 10)]));
        assert_eq!(load.latencies.len(), 90);
        assert!(load.ran_dry && jobs.is_empty());
    }

    #[tokio::test]
    async fn jobs_that_the_time_does_not_allow_are_left() {
        let mut jobs = (0..100).map(Numbered).collect();
        let load = closed_loop(nowhere(), 7, Duration::ZERO, &mut jobs)
            .await
            .unwrap();
        assert_eq!((load.done, load.ran_dry, jobs.len()), (0, false, 100));
    }

    #[tokio::test]
    async fn all_jobs_are_done_or_the_first_failure_is_told() {
        let jobs = |count| (0..count).map(Numbered).collect::<Vec<_>>();
        let mut done = all(nowhere(), 2, jobs(3)).await.unwrap();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2]);
        assert!(all(nowhere(), 2, jobs(4)).await.is_err());
    }
}

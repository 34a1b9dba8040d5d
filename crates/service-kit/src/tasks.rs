//! The life of a process: named tasks that run until a stop, a drain with a deadline, and a dead task that fails all.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::Readiness;

/// Why a process ended otherwise than by a clean drain.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task ended although nobody asked it to.
    #[error("task {name} ended before it was stopped")]
    EndedEarly {
        /// The task.
        name: &'static str,
    },
    /// A task gave up.
    #[error("task {name} failed: {source:#}")]
    Failed {
        /// The task.
        name: &'static str,
        /// What it gave up on.
        source: anyhow::Error,
    },
    /// A task panicked.
    #[error("a task panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    /// The drain's deadline passed.
    #[error("{running} task(s) still ran {after:?} after the stop")]
    DrainTimedOut {
        /// How many tasks had to be cut off.
        running: usize,
        /// The deadline.
        after: Duration,
    },
}

/// The tasks of one process.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
    readiness: Readiness,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new(readiness: Readiness) -> Self {
        Self {
            set: JoinSet::new(),
            stop: CancellationToken::new(),
            readiness,
        }
    }

    /// Is cancelled when the process should take nothing new and end what it does.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a task. It must go on until [`Tasks::stop`] is cancelled: one that ends earlier fails the process.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Runs until `shutdown` resolves or a task dies; then readiness goes off, tasks are told to stop, and what still
    /// runs after `drain` is cut off.
    ///
    /// # Errors
    /// A task that died or that had to be cut off.
    pub async fn run_until(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
        drain: Duration,
    ) -> Result<(), TaskError> {
        let died = tokio::select! {
            () = shutdown => None,
            Some(ended) = self.set.join_next() => Some(early_end(ended)),
        };
        self.readiness.drain();
        self.stop.cancel();

        let drained = tokio::time::timeout(drain, async {
            let mut first_failure = None;
            while let Some(ended) = self.set.join_next().await {
                match ended {
                    Ok((_, Ok(()))) => {}
                    Ok((name, Err(source))) => {
                        first_failure.get_or_insert(TaskError::Failed { name, source });
                    }
                    Err(panic) => {
                        first_failure.get_or_insert(TaskError::Panicked(panic));
                    }
                }
            }
            first_failure
        })
        .await;

        match (died, drained) {
            (Some(error), _) | (None, Ok(Some(error))) => Err(error),
            (None, Ok(None)) => Ok(()),
            (None, Err(_)) => Err(TaskError::DrainTimedOut {
                running: self.set.len(),
                after: drain,
            }),
        }
    }
}

fn early_end(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> TaskError {
    match ended {
        Ok((name, Ok(()))) => TaskError::EndedEarly { name },
        Ok((name, Err(source))) => TaskError::Failed { name, source },
        Err(panic) => TaskError::Panicked(panic),
    }
}

/// Resolves at the first SIGTERM or SIGINT. Both, because SIGINT is ignored in background children of a
/// non-interactive shell.
pub async fn shutdown_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signal handlers could not be installed; only SIGKILL stops this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM received, draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT received, draining"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_stop_drains_every_task() {
        let mut tasks = Tasks::new(Readiness::new());
        let stop = tasks.stop();
        tasks.spawn("polite", async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.run_until(async {}, DRAIN).await.unwrap();
    }

    #[tokio::test]
    async fn a_dead_task_fails_the_process_and_takes_readiness_away() {
        let readiness = Readiness::new();
        let mut tasks = Tasks::new(readiness.clone());
        tasks.spawn("relay", async { anyhow::bail!("broker refused us") });
        let error = tasks.run_until(std::future::pending(), DRAIN).await.unwrap_err();
        assert!(
            matches!(error, TaskError::Failed { name: "relay", .. }),
            "{error}"
        );
        assert!(!readiness.is_ready());
    }

    #[tokio::test]
    async fn a_task_that_ends_early_without_an_error_is_dead_too() {
        let mut tasks = Tasks::new(Readiness::new());
        tasks.spawn("sweep", async { Ok(()) });
        let error = tasks.run_until(std::future::pending(), DRAIN).await.unwrap_err();
        assert!(
            matches!(error, TaskError::EndedEarly { name: "sweep" }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_task_that_will_not_stop_is_cut_off_at_the_deadline() {
        let mut tasks = Tasks::new(Readiness::new());
        tasks.spawn("stubborn", std::future::pending());
        let error = tasks.run_until(async {}, DRAIN).await.unwrap_err();
        assert!(
            matches!(error, TaskError::DrainTimedOut { running: 1, .. }),
            "{error}"
        );
    }
}

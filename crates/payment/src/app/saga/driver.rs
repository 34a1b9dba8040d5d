//! What carries a saga on, of whatever kind: step after step, with waits between tries, under a lease that ends by itself.

use std::time::{Duration, Instant};

use rand::Rng as _;
use service_kit::telemetry::causes;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use uuid::Uuid;

use super::points;
use crate::app::{App, Settings};
use crate::domain::Refused;
use crate::provider::Closed;
use crate::store::{Store, StoreError};

/// One saga as it stands, and what differs between its kind and others.
pub trait Saga: Sized + Send + Sync + 'static {
    /// What it is called in metrics and logs.
    const KIND: &'static str;

    /// What a step may see that is not recorded, but of use to whoever waits.
    type Seen: std::fmt::Debug + Send + 'static;

    /// Where it stands.
    fn position(&self) -> Position;

    /// How many of this kind the resumer drives at once, so that no kind starves another.
    fn places(settings: &Settings) -> usize;

    /// How long its driver may be silent where it stands.
    fn lease(&self, settings: &Settings) -> Duration;

    /// One step: the only place where it is carried on.
    fn advance(&self, app: &App) -> impl Future<Output = Result<Next<Self>, SagaError>> + Send;

    /// Whether its next step asks the provider.
    fn asks_provider(&self) -> bool;

    /// Leaves it where it stands, to be taken up after `until`; `attempt` is the provider's that comes next, `tries` how
    /// often it waited.
    fn postpone(
        self,
        store: &Store,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// Takes up to `limit` up that nobody drives any more, those due longest first.
    fn take_up_due(
        store: &Store,
        limit: i64,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Self>, StoreError>> + Send;
}

/// Where a saga stands, as far as its driver cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which.
    pub id: Uuid,
    /// The state's word.
    pub state: &'static str,
    /// Whether nothing is left to do.
    pub has_ended: bool,
    /// Waits since the last transition.
    pub tries: i32,
}

/// Why a driver let go of a saga. The lease ends by itself, and the next driver goes on.
#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    /// The store; [`StoreError::Superseded`] when another driver has it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step made an event that its state does not know.
    #[error(transparent)]
    Machine(#[from] Refused),
    /// A card step without a card or its key.
    #[error("there is no card to charge")]
    NoCard,
}

/// What one step came to.
#[derive(Debug)]
pub enum Next<S: Saga> {
    /// It moved on.
    Moved {
        /// As it stands now.
        saga: S,
        /// What the step saw besides.
        seen: Option<S::Seen>,
    },
    /// Nothing was decided: the same step comes again, later.
    Later {
        /// The provider's attempt that it will be.
        attempt: i32,
    },
}

impl<S: Saga> Next<S> {
    pub(in crate::app) const fn moved(saga: S) -> Self {
        Self::Moved { saga, seen: None }
    }

    pub(in crate::app) const fn later(attempt: i32) -> Self {
        Self::Later { attempt }
    }

    /// Again, under the key of the next attempt where this one was answered.
    pub(in crate::app) fn again(attempt: i32, answered: bool) -> Self {
        Self::Later {
            attempt: attempt + i32::from(answered),
        }
    }
}

/// How far a driver brought a saga.
#[derive(Debug)]
pub struct Driven<S: Saga> {
    /// As it stands.
    pub saga: S,
    /// What its last telling step saw.
    pub seen: Option<S::Seen>,
}

/// What whoever began a saga learns of it.
#[derive(Debug)]
pub enum Followed<S: Saga> {
    /// Its driver came to its end, or left it to the resumer.
    Driven(Driven<S>),
    /// The wait is over, or another process drives it: the row says how far it is.
    Unfinished,
    /// The store went away on the way; it is carried on later.
    OutOfSight,
}

/// Lets the store record that a saga stands where `next` says; `change` is its one statement. Every transition of every kind
/// is recorded through here, so none goes uncounted or lacks its points.
///
/// # Errors
/// The store's.
pub(in crate::app) async fn record<S: Saga, T>(
    next: &S,
    change: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    points::recording(next);
    let changed = change.await?;
    points::recorded(next);
    let to = next.position().state;
    metrics::counter!("payment_transitions_total", "saga" => S::KIND, "to" => to).increment(1);
    Ok(changed)
}

impl App {
    /// Advances a saga until it has ended or would have to wait beyond `patience`; then it is left to the resumer.
    ///
    /// # Errors
    /// It is in other hands, or the store is away.
    pub async fn drive<S: Saga>(&self, mut saga: S, patience: Duration) -> Result<Driven<S>, SagaError> {
        let give_up = Instant::now() + patience;
        let mut last_seen = None;
        while !saga.position().has_ended {
            let attempt = match saga.advance(self).await? {
                Next::Moved { saga: next, seen } => {
                    saga = next;
                    last_seen = seen.or(last_seen);
                    continue;
                }
                Next::Later { attempt } => attempt,
            };
            let tries = saga.position().tries;
            let (tries, wait) = match self.provider.closed() {
                // Its tries say nothing about a provider that is left alone.
                Some(Closed::Away { retry_after }) if saga.asks_provider() => (tries, retry_after),
                _ => (tries + 1, self.wait_before_try(tries + 1)),
            };
            let stays = Instant::now() + wait < give_up && !self.stop.is_cancelled();
            let lease = if stays {
                saga.lease(&self.settings)
            } else {
                Duration::ZERO
            };
            saga = saga.postpone(&self.store, attempt, tries, wait + lease).await?;
            if !stays {
                break;
            }
            let slept = self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
            if slept.is_none() {
                saga = saga.postpone(&self.store, attempt, tries, Duration::ZERO).await?;
                break;
            }
        }
        Ok(Driven {
            saga,
            seen: last_seen,
        })
    }

    /// Carries a saga on in a task of its own, so that a caller that goes away takes nothing with it, and waits for its end
    /// as long as callers wait.
    pub(in crate::app) async fn follow<S: Saga>(&self, saga: S) -> Followed<S> {
        let Position { id, .. } = saga.position();
        points::recorded(&saga);
        let (tell, told) = oneshot::channel();
        let (app, patience) = (self.clone(), self.settings.pay_wait);
        let driver = async move {
            // Nobody may be left to hear it.
            let _ = tell.send(app.drive(saga, patience).await);
        };
        self.sagas.spawn(driver.in_current_span());

        let stopping = async {
            self.stop.cancelled().await;
            tokio::time::sleep(self.settings.stop_wait).await;
        };
        let driven = tokio::select! {
            driven = told => driven.ok(),
            () = tokio::time::sleep(self.settings.pay_wait) => None,
            () = stopping => None,
        };
        match driven {
            Some(Ok(driven)) => Followed::Driven(driven),
            None | Some(Err(SagaError::Store(StoreError::Superseded))) => Followed::Unfinished,
            Some(Err(error)) => {
                tracing::warn!(saga = S::KIND, saga_id = %id, error = causes(&error), "a saga was left to the resumer");
                Followed::OutOfSight
            }
        }
    }

    /// Twice as long each time, bounded, and never in step with others.
    fn wait_before_try(&self, tries: i32) -> Duration {
        let doublings = u32::try_from(tries - 1).unwrap_or(0).min(20);
        let wait = self.settings.retry_min.saturating_mul(1 << doublings);
        wait.min(self.settings.retry_max)
            .mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Whatever came next could be wrong: the saga stays as it is and asks again, in case somebody has mended it.
pub(in crate::app) fn for_people<S: Saga>(saga: &S, why: &str, provider_code: Option<&str>) {
    let Position { id, state, .. } = saga.position();
    metrics::counter!("payment_for_people_total", "saga" => S::KIND, "state" => state).increment(1);
    tracing::error!(saga = S::KIND, saga_id = %id, state, provider_code, error = why, "a person has to look at a saga");
}

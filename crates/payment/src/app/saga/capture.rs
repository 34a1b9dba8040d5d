//! Whether a card was captured: asked for once, and when the answer is lost found out, never guessed.
//!
//! That the provider knows of no capture proves nothing while a confirmation may still be under way: a late one would
//! capture after the saga took it for a failure. So an open order is never taken for one. It is ended by confirming again:
//! under the same Idempotency-Key if no answer came (a late twin then gets the same answer), under the next key if the
//! provider answered and would repeat itself (a payment key is captured once, under whatever Idempotency-Key). A repeat may
//! capture, so it is made only while that is wanted. When it is not, only the end of the buyer's session at the provider
//! proves that nothing can come.

use std::time::Duration;

use super::driver::{Saga, SagaError, for_people};
use crate::app::App;
use crate::provider::{Charge, Confirmation, Found, Lookup};
use crate::store::{Kept, Store, StoreError};

/// A saga that has a card captured.
pub trait Capturing: Saga {
    /// What the provider is asked for, under the key of the saga's attempt.
    ///
    /// # Errors
    /// There is no card, or its key was forgotten.
    fn capture(&self) -> Result<Charge, SagaError>;

    /// Lengthens the driver's lease before another call of unknown length.
    fn keep(
        &self,
        store: &Store,
        lease: Duration,
        session: Duration,
    ) -> impl Future<Output = Result<Kept, StoreError>> + Send;
}

/// What is known of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Outcome {
    /// The provider captured.
    Captured,
    /// It captured nothing, and won't.
    NotCaptured,
    /// It has to be asked again.
    Unknown {
        /// There was an answer, and it would be repeated: the next try needs its own key.
        answered: bool,
    },
}

impl Outcome {
    const OPEN: Self = Self::Unknown { answered: false };
}

/// Whether the capture is still wanted, so that the confirmation may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Wanted {
    Yes,
    No,
    NotKnown,
}

impl App {
    /// Asks for the capture, for the first time: that it is about to was recorded before.
    pub(in crate::app) async fn ask_for_capture<S: Capturing>(&self, saga: &S) -> Result<Outcome, SagaError> {
        let id = saga.position().id;
        let outcome = match self.provider.confirm(&saga.capture()?).await {
            Confirmation::Captured => Outcome::Captured,
            Confirmation::Declined { code } => {
                tracing::info!(saga = S::KIND, saga_id = %id, provider_code = code, "the payment provider declined");
                Outcome::NotCaptured
            }
            // Nothing was asked before this, so nothing of ours can have been captured.
            Confirmation::OrderUsed => {
                tracing::info!(saga = S::KIND, saga_id = %id, "the order was captured before, by another payment key");
                Outcome::NotCaptured
            }
            Confirmation::Rejected { code } => {
                tracing::error!(saga = S::KIND, saga_id = %id, provider_code = code, "the payment provider turned our request away");
                Outcome::NotCaptured
            }
            Confirmation::NotSent => {
                tracing::warn!(saga = S::KIND, saga_id = %id, "the payment provider could not be reached");
                Outcome::NotCaptured
            }
            Confirmation::AlreadyProcessed => Outcome::Unknown { answered: true },
            Confirmation::Unknown { answered } => {
                tracing::warn!(saga = S::KIND, saga_id = %id, answered, "the outcome of a card payment is unknown");
                Outcome::Unknown { answered }
            }
        };
        Ok(outcome)
    }

    /// Looks for a capture whose answer was lost, and ends what is found open.
    pub(in crate::app) async fn find_capture<S: Capturing>(
        &self,
        saga: &S,
        wanted: Wanted,
    ) -> Result<Outcome, SagaError> {
        let charge = saga.capture()?;
        let mut found = self.provider.find(&charge, Lookup::Order(&charge.order_id)).await;
        if found == Found::AnotherKey {
            self.keep(saga).await?;
            found = self
                .provider
                .find(&charge, Lookup::Key(&charge.payment_key))
                .await;
        }
        Ok(match found {
            Found::Captured => Outcome::Captured,
            Found::NotCaptured => Outcome::NotCaptured,
            Found::Mismatch => mismatch(saga),
            Found::AnotherOrder => another_order(saga),
            Found::AnotherKey | Found::Unknown => Outcome::OPEN,
            // A request under way gets a moment to arrive.
            Found::Open if saga.position().tries == 0 => Outcome::OPEN,
            Found::Open => {
                let kept = self.keep(saga).await?;
                match wanted {
                    Wanted::Yes => self.capture_again(saga, &charge, kept).await?,
                    Wanted::No if kept.session_over => Outcome::NotCaptured,
                    Wanted::No | Wanted::NotKnown => Outcome::OPEN,
                }
            }
        })
    }

    async fn capture_again<S: Capturing>(
        &self,
        saga: &S,
        charge: &Charge,
        kept: Kept,
    ) -> Result<Outcome, SagaError> {
        let id = saga.position().id;
        let outcome = match self.provider.confirm(charge).await {
            Confirmation::Captured => Outcome::Captured,
            Confirmation::Declined { code } => {
                tracing::info!(saga = S::KIND, saga_id = %id, provider_code = code, "the payment provider declined");
                Outcome::NotCaptured
            }
            Confirmation::AlreadyProcessed => {
                let lagging = Outcome::Unknown { answered: true };
                return self.look_up_by_key(saga, charge, lagging).await;
            }
            // By the request before, or by another key; then ours captures nothing once its session is over.
            Confirmation::OrderUsed => {
                let open = if kept.session_over {
                    Outcome::NotCaptured
                } else {
                    Outcome::Unknown { answered: true }
                };
                return self.look_up_by_key(saga, charge, open).await;
            }
            Confirmation::Rejected { code } => {
                // It says nothing about the request before.
                tracing::error!(saga = S::KIND, saga_id = %id, provider_code = code, "the payment provider turned our request away");
                Outcome::Unknown { answered: true }
            }
            Confirmation::NotSent => Outcome::OPEN,
            Confirmation::Unknown { answered } => Outcome::Unknown { answered },
        };
        Ok(outcome)
    }

    /// The key or the order was used, but our order does not say for what: the key says so, or the books lag. `open` is what
    /// a key is taken for that captured nothing yet.
    async fn look_up_by_key<S: Capturing>(
        &self,
        saga: &S,
        charge: &Charge,
        open: Outcome,
    ) -> Result<Outcome, SagaError> {
        self.keep(saga).await?;
        let found = self.provider.find(charge, Lookup::Key(&charge.payment_key)).await;
        Ok(match found {
            Found::Captured => Outcome::Captured,
            Found::AnotherOrder => another_order(saga),
            Found::NotCaptured => Outcome::NotCaptured,
            Found::Mismatch => mismatch(saga),
            Found::Open => open,
            Found::AnotherKey | Found::Unknown => Outcome::Unknown { answered: true },
        })
    }

    async fn keep<S: Capturing>(&self, saga: &S) -> Result<Kept, StoreError> {
        let settings = &self.settings;
        saga.keep(&self.store, settings.provider_lease, settings.provider_session)
            .await
    }
}

/// The key cannot pay our order any more.
fn another_order<S: Capturing>(saga: &S) -> Outcome {
    let id = saga.position().id;
    tracing::warn!(saga = S::KIND, saga_id = %id, "the payment key was used for another order");
    Outcome::NotCaptured
}

/// Captured with another amount than ours.
fn mismatch<S: Capturing>(saga: &S) -> Outcome {
    for_people(
        saga,
        "the payment provider's books do not match this capture",
        None,
    );
    Outcome::OPEN
}

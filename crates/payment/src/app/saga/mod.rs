//! A payment's way to its end, one step a file.
//!
//! Each step records what it is about to do, does it, and records what came of it, demanding the state and version that it
//! started from. A step that is interrupted anywhere is done again by whoever takes the payment up; every call it makes can
//! be repeated: booking answers a repeat alike, the provider's calls carry an Idempotency-Key.

mod ask_provider;
mod begin;
mod refund;
mod release;
mod resolve;
mod settle;

use std::time::{Duration, Instant};

use rand::Rng as _;
use service_kit::problem::Problem;
use vocabulary::ProblemCode;

use super::App;
use crate::booking::{BookingError, Sealed};
use crate::domain::{Event, Payment, Refused, State};
use crate::provider::Charge;
use crate::store::StoreError;

/// Why a driver let go of a payment. The lease ends by itself, and the next driver goes on.
#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    /// The store; [`StoreError::Superseded`] when another driver has it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step made an event that its state does not know.
    #[error(transparent)]
    Machine(#[from] Refused),
    /// A card step on a payment without a card or its key.
    #[error("the payment has no card to charge")]
    NoCard,
}

/// What one step came to.
#[derive(Debug)]
pub enum Next {
    /// The payment moved on.
    Moved {
        /// As it stands now.
        payment: Payment,
        /// The reservation, when booking confirmed it.
        reservation: Option<Sealed>,
    },
    /// Nothing was decided: the same step comes again, later.
    Later {
        /// The provider's attempt that it will be.
        attempt: i32,
    },
}

impl Next {
    fn moved(payment: Payment) -> Self {
        Self::Moved {
            payment,
            reservation: None,
        }
    }

    fn later(payment: &Payment) -> Self {
        Self::Later {
            attempt: payment.attempt,
        }
    }

    /// Again under the key of the next attempt where this one was answered.
    fn again(payment: &Payment, answered: bool) -> Self {
        Self::Later {
            attempt: payment.attempt + i32::from(answered),
        }
    }
}

/// How far a driver brought a payment.
#[derive(Debug)]
pub struct Driven {
    /// As it stands.
    pub payment: Payment,
    /// The reservation, when this driver saw it confirmed.
    pub reservation: Option<Sealed>,
}

impl App {
    /// One step: the only place where a payment is carried on.
    ///
    /// # Errors
    /// The payment is in other hands, or the store is away.
    pub async fn advance(&self, payment: &Payment) -> Result<Next, SagaError> {
        match payment.state {
            State::Created => self.begin_at_booking(payment).await,
            State::PointsTaken if payment.card.is_none() => self.settle(payment).await,
            State::PointsTaken => self.ask_provider(payment).await,
            // Found in this state, the one who asked is gone, and the answer with it.
            State::Confirming => {
                let lost = Event::OutcomeUnknown { answered: false };
                Ok(Next::moved(self.record(payment, lost).await?))
            }
            State::Unknown => self.resolve(payment).await,
            State::Captured => self.settle(payment).await,
            State::Releasing => self.release(payment).await,
            State::Refunding => self.refund(payment).await,
            State::Succeeded | State::Failed | State::Refunded => Ok(Next::moved(payment.clone())),
        }
    }

    /// Advances a payment until it has ended or would have to wait beyond `patience`; then it is left to the resumer.
    ///
    /// # Errors
    /// As [`App::advance`].
    pub async fn drive(&self, mut payment: Payment, patience: Duration) -> Result<Driven, SagaError> {
        let give_up = Instant::now() + patience;
        let mut confirmed = None;
        while !payment.state.has_ended() {
            let attempt = match self.advance(&payment).await? {
                Next::Moved {
                    payment: next,
                    reservation,
                } => {
                    payment = next;
                    confirmed = reservation.or(confirmed);
                    continue;
                }
                Next::Later { attempt } => attempt,
            };
            let wait = self.wait_before_try(payment.tries + 1);
            let stays = Instant::now() + wait < give_up && !self.stop.is_cancelled();
            let lease = if stays {
                self.lease_in(payment.state)
            } else {
                Duration::ZERO
            };
            self.store.postpone(&payment, attempt, wait + lease).await?;
            payment.attempt = attempt;
            payment.tries += 1;
            if !stays {
                break;
            }
            if self
                .stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                self.store.postpone(&payment, attempt, Duration::ZERO).await?;
                break;
            }
        }
        Ok(Driven {
            payment,
            reservation: confirmed,
        })
    }

    /// Records an event, with the money that it moves.
    async fn record(&self, payment: &Payment, event: Event) -> Result<Payment, SagaError> {
        let next = payment.after(&event)?;
        self.store
            .transition(payment, &next, self.lease_in(next.state))
            .await?;
        metrics::counter!("payment_transitions_total", "to" => next.state.as_str()).increment(1);
        tracing::info!(
            payment_id = %next.payment_id,
            reservation_id = %next.reservation_id,
            from = %payment.state,
            to = %next.state,
            problem = next.failure.map(ProblemCode::as_str),
            "payment moved on"
        );
        Ok(next)
    }

    /// How long the driver of a payment in this state may be silent.
    fn lease_in(&self, state: State) -> Duration {
        match state {
            State::PointsTaken | State::Confirming | State::Unknown | State::Refunding => {
                self.settings.provider_lease
            }
            _ => self.settings.lease,
        }
    }

    /// Twice as long each time, bounded, and never in step with others.
    fn wait_before_try(&self, tries: i32) -> Duration {
        let doublings = u32::try_from(tries - 1).unwrap_or(0).min(20);
        let wait = self.settings.retry_min.saturating_mul(1 << doublings);
        wait.min(self.settings.retry_max)
            .mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// What the provider is to capture, or to give back, under the key of this attempt.
    fn charge(&self, payment: &Payment, purpose: &'static str) -> Result<Charge, SagaError> {
        let card = payment.card.as_ref().ok_or(SagaError::NoCard)?;
        let payment_key = card.payment_key.clone().ok_or(SagaError::NoCard)?;
        Ok(Charge {
            payment_key,
            order_id: card.order_id.clone(),
            amount: card.amount,
            idempotency_key: format!("{purpose}-{}-{}", payment.payment_id, payment.attempt),
        })
    }
}

/// What booking's refusal means for the payment, if it means its end.
fn verdict(payment: &Payment, error: BookingError) -> Option<ProblemCode> {
    let problem: Problem = match error {
        BookingError::Refused(problem) => problem,
        BookingError::Undecided(problem) => {
            tracing::warn!(payment_id = %payment.payment_id, state = %payment.state, error = %problem, "booking did not decide");
            return None;
        }
    };
    match problem.code {
        code @ (ProblemCode::AlreadyPaid | ProblemCode::PaymentInProgress | ProblemCode::PaymentFailed) => {
            Some(code)
        }
        ProblemCode::PaymentWindowClosed | ProblemCode::NotFound => Some(ProblemCode::PaymentWindowClosed),
        _ => {
            // Not an answer to what was asked: money is not moved on a misunderstanding.
            tracing::error!(payment_id = %payment.payment_id, state = %payment.state, error = %problem, "booking's refusal is not understood");
            None
        }
    }
}

//! A payment's way to its end, one step a file.

mod ask_provider;
mod begin;
mod give_back;
mod release;
mod resolve;
mod settle;

use std::time::Duration;

use service_kit::problem::Problem;
use vocabulary::ProblemCode;

use super::{Capturing, Next, Position, Saga, SagaError, record};
use crate::app::{App, Settings};
use crate::booking::{BookingError, Sealed};
use crate::domain::{Event, Payment, State};
use crate::provider::Charge;
use crate::store::{Kept, Store, StoreError};

impl Saga for Payment {
    const KIND: &'static str = "payment";

    /// The reservation, when booking confirmed it.
    type Seen = Sealed;

    fn position(&self) -> Position {
        Position {
            id: self.payment_id.as_uuid(),
            state: self.state.as_str(),
            has_ended: self.state.has_ended(),
            tries: self.tries,
        }
    }

    fn places(settings: &Settings) -> usize {
        settings.resume_concurrency
    }

    fn lease(&self, settings: &Settings) -> Duration {
        match self.state {
            // Nothing is left to ask the provider.
            State::PointsTaken if self.card.is_none() => settings.lease,
            State::PointsTaken | State::Confirming | State::Unknown | State::Refunding => {
                settings.provider_lease
            }
            _ => settings.lease,
        }
    }

    async fn advance(&self, app: &App) -> Result<Next<Self>, SagaError> {
        match self.state {
            State::Created => app.begin_at_booking(self).await,
            State::PointsTaken if self.card.is_none() => app.settle(self).await,
            State::PointsTaken => app.ask_provider(self).await,
            // Found in this state, the one who asked is gone, and the answer with it.
            State::Confirming => {
                let lost = Event::OutcomeUnknown { answered: false };
                Ok(Next::moved(app.record_payment(self, lost).await?))
            }
            State::Unknown => app.resolve(self).await,
            State::Captured => app.settle(self).await,
            State::Releasing => app.release(self).await,
            State::Refunding => app.give_back(self).await,
            State::Succeeded | State::Failed | State::Refunded => Ok(Next::moved(self.clone())),
        }
    }

    fn asks_provider(&self) -> bool {
        match self.state {
            State::PointsTaken => self.card.is_some(),
            State::Confirming | State::Unknown | State::Refunding => true,
            _ => false,
        }
    }

    async fn postpone(
        self,
        store: &Store,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> Result<Self, StoreError> {
        store.postpone(self, attempt, tries, until).await
    }

    async fn take_up_due(store: &Store, limit: i64, lease: Duration) -> Result<Vec<Self>, StoreError> {
        store.payments_due(limit, lease).await
    }
}

impl Capturing for Payment {
    fn capture(&self) -> Result<Charge, SagaError> {
        let card = self.card.as_ref().ok_or(SagaError::NoCard)?;
        Ok(Charge {
            payment_key: card.payment_key.clone().ok_or(SagaError::NoCard)?,
            order_id: card.order_id.clone(),
            amount: card.amount,
            idempotency_key: format!("confirm-{}-{}", self.payment_id, self.attempt),
        })
    }

    async fn keep(&self, store: &Store, lease: Duration, session: Duration) -> Result<Kept, StoreError> {
        store.keep(self, lease, session).await
    }
}

impl App {
    /// Records an event, with the money that it moves.
    async fn record_payment(&self, payment: &Payment, event: Event) -> Result<Payment, SagaError> {
        let next = payment.after(&event)?;
        let lease = next.lease(&self.settings);
        record(&next, self.store.transition(payment, &next, lease)).await?;
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
        code @ (ProblemCode::AlreadyPaid
        | ProblemCode::PaymentInProgress
        | ProblemCode::PaymentFailed
        | ProblemCode::ScheduleCanceled) => Some(code),
        ProblemCode::PaymentWindowClosed | ProblemCode::NotFound => Some(ProblemCode::PaymentWindowClosed),
        _ => {
            // Not an answer to what was asked: money is not moved on a misunderstanding.
            tracing::error!(payment_id = %payment.payment_id, state = %payment.state, error = %problem, "booking's refusal is not understood");
            None
        }
    }
}

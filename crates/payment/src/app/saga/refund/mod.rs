//! A refund's way to its end: seats first, because booking decides whether anything goes back, then the money, then booking
//! is told.

mod cancel;
mod complete;
mod repay;

use std::time::Duration;

use vocabulary::ProblemCode;

use super::{Next, Position, Saga, SagaError, record};
use crate::app::{App, Settings};
use crate::domain::{Refund, RefundEvent, RefundState};
use crate::store::{Store, StoreError};

impl Saga for Refund {
    const KIND: &'static str = "refund";

    type Seen = ();

    fn position(&self) -> Position {
        Position {
            id: self.refund_id.as_uuid(),
            state: self.state.as_str(),
            has_ended: self.state.has_ended(),
            tries: self.tries,
        }
    }

    fn places(settings: &Settings) -> usize {
        settings.refund_concurrency
    }

    fn lease(&self, settings: &Settings) -> Duration {
        match self.state {
            RefundState::Refunding => settings.provider_lease,
            _ => settings.lease,
        }
    }

    async fn advance(&self, app: &App) -> Result<Next<Self>, SagaError> {
        match self.state {
            RefundState::Created => app.cancel_at_booking(self).await,
            RefundState::SeatsReturned => app.return_points(self).await,
            RefundState::Refunding => app.return_card(self).await,
            RefundState::MoneyReturned => app.complete_at_booking(self).await,
            RefundState::Completed | RefundState::Refused => Ok(Next::moved(self.clone())),
        }
    }

    fn asks_provider(&self) -> bool {
        self.state == RefundState::Refunding
    }

    async fn postpone(
        self,
        store: &Store,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> Result<Self, StoreError> {
        store.postpone_refund(self, attempt, tries, until).await
    }

    async fn take_up_due(store: &Store, limit: i64, lease: Duration) -> Result<Vec<Self>, StoreError> {
        store.refunds_due(limit, lease).await
    }
}

impl App {
    /// Records an event, with the money that it moves.
    async fn record_refund(&self, refund: &Refund, event: RefundEvent) -> Result<Refund, SagaError> {
        let next = refund.after(&event)?;
        let lease = next.lease(&self.settings);
        let next = record(&next, self.store.change_refund(refund, &next, lease)).await?;
        tracing::info!(
            refund_id = %next.refund_id,
            payment_id = %next.payment_id,
            reservation_id = %next.reservation_id,
            from = %refund.state,
            to = %next.state,
            problem = next.failure.map(ProblemCode::as_str),
            "refund moved on"
        );
        Ok(next)
    }
}

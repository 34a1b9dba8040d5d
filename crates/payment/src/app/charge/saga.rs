//! A charge's way to its end: the provider is asked, after that was recorded, and the points come with its yes.

use std::time::Duration;

use vocabulary::ProblemCode;

use crate::app::saga::{Capturing, Next, Outcome, Position, Saga, SagaError, Wanted, record};
use crate::app::{App, Settings};
use crate::domain::{Charge, ChargeEvent, ChargeState};
use crate::provider;
use crate::store::{Kept, Store, StoreError};

impl Saga for Charge {
    const KIND: &'static str = "charge";

    type Seen = ();

    fn position(&self) -> Position {
        Position {
            id: self.charge_id.as_uuid(),
            state: self.state.as_str(),
            has_ended: self.state.has_ended(),
            tries: self.tries,
        }
    }

    fn places(settings: &Settings) -> usize {
        settings.resume_concurrency
    }

    fn lease(&self, settings: &Settings) -> Duration {
        settings.provider_lease
    }

    async fn advance(&self, app: &App) -> Result<Next<Self>, SagaError> {
        match self.state {
            ChargeState::Created => {
                let asked = app.record_charge(self, ChargeEvent::ProviderAsked).await?;
                let event = match app.ask_for_capture(&asked).await? {
                    Outcome::Captured => ChargeEvent::Captured,
                    Outcome::NotCaptured => NOT_CAPTURED,
                    Outcome::Unknown { answered } => ChargeEvent::OutcomeUnknown { answered },
                };
                Ok(Next::moved(app.record_charge(&asked, event).await?))
            }
            // Found in this state, the one who asked is gone, and the answer with it.
            ChargeState::Confirming => {
                let lost = ChargeEvent::OutcomeUnknown { answered: false };
                Ok(Next::moved(app.record_charge(self, lost).await?))
            }
            // No seat may be gone meanwhile: the points are wanted whenever the capture comes.
            ChargeState::Unknown => {
                let event = match app.find_capture(self, Wanted::Yes).await? {
                    Outcome::Captured => ChargeEvent::Captured,
                    Outcome::NotCaptured => NOT_CAPTURED,
                    Outcome::Unknown { answered } => return Ok(Next::again(self.attempt, answered)),
                };
                Ok(Next::moved(app.record_charge(self, event).await?))
            }
            ChargeState::Succeeded | ChargeState::Failed => Ok(Next::moved(self.clone())),
        }
    }

    fn asks_provider(&self) -> bool {
        !self.state.has_ended()
    }

    async fn postpone(
        self,
        store: &Store,
        attempt: i32,
        tries: i32,
        until: Duration,
    ) -> Result<Self, StoreError> {
        store.postpone_charge(self, attempt, tries, until).await
    }

    async fn take_up_due(store: &Store, limit: i64, lease: Duration) -> Result<Vec<Self>, StoreError> {
        store.charges_due(limit, lease).await
    }
}

const NOT_CAPTURED: ChargeEvent = ChargeEvent::NotCaptured {
    reason: ProblemCode::PaymentFailed,
};

impl Capturing for Charge {
    fn capture(&self) -> Result<provider::Charge, SagaError> {
        Ok(provider::Charge {
            payment_key: self.payment_key.clone().ok_or(SagaError::NoCard)?,
            order_id: self.order_id.clone(),
            amount: self.amount,
            idempotency_key: format!("charge-{}-{}", self.charge_id, self.attempt),
        })
    }

    async fn keep(&self, store: &Store, lease: Duration, session: Duration) -> Result<Kept, StoreError> {
        store.keep_charge(self, lease, session).await
    }
}

impl App {
    /// Records an event, with the points that it brings.
    async fn record_charge(&self, charge: &Charge, event: ChargeEvent) -> Result<Charge, SagaError> {
        let next = charge.after(event)?;
        let lease = next.lease(&self.settings);
        record(&next, self.store.change_charge(charge, &next, lease)).await?;
        tracing::info!(
            charge_id = %next.charge_id,
            from = %charge.state,
            to = %next.state,
            problem = next.failure.map(ProblemCode::as_str),
            "charge moved on"
        );
        Ok(next)
    }
}

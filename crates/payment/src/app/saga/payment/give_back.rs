//! REFUNDING: what was captured for seats that are gone goes back, once.
//!
//! Always all of it. The balance at the provider tells a repeat from a second refund.

use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};
use crate::provider::{Cancel, Cancellation};

/// What the buyer reads on the statement.
const REASON: &str = "The seats were no longer available";

impl App {
    pub(super) async fn give_back(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        let card = payment.card.as_ref().ok_or(SagaError::NoCard)?;
        let cancel = Cancel {
            order_id: card.order_id.clone(),
            captured: card.amount,
            amount: card.amount,
            reason: REASON,
            idempotency_key: format!("refund-{}-{}", payment.payment_id, payment.attempt),
        };
        match self.provider.cancel(&cancel).await {
            Cancellation::Canceled => Ok(Next::moved(
                self.record_payment(payment, Event::CardRefunded).await?,
            )),
            Cancellation::Unknown { answered } => Ok(Next::again(payment.attempt, answered)),
            Cancellation::Mismatch => Ok(self.for_people(payment)),
            Cancellation::Refused { code } => {
                metrics::counter!("payment_for_people_total", "saga" => "payment", "state" => payment.state.as_str()).increment(1);
                tracing::error!(payment_id = %payment.payment_id, provider_code = code, "the payment provider won't give a capture back");
                Ok(Next::again(payment.attempt, true))
            }
        }
    }
}

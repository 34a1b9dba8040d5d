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
            Cancellation::Mismatch => {
                for_people(payment, None);
                Ok(Next::later(payment.attempt))
            }
            Cancellation::Refused { code } => {
                for_people(payment, Some(&code));
                Ok(Next::again(payment.attempt, true))
            }
        }
    }
}

/// Whatever we did next could be wrong, or is refused; it is asked for again, in case somebody has mended it.
fn for_people(payment: &Payment, provider_code: Option<&str>) {
    metrics::counter!("payment_for_people_total", "saga" => "payment", "state" => payment.state.as_str())
        .increment(1);
    tracing::error!(payment_id = %payment.payment_id, provider_code, "the payment provider won't give this capture back");
}

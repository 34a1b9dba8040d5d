//! REFUNDING: what was captured for seats that are gone goes back, always all of it.

use crate::app::App;
use crate::app::saga::{Next, Returned, SagaError};
use crate::domain::{Event, Payment};
use crate::provider::Cancel;

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
        match self.ask_to_cancel(payment, &cancel).await {
            Returned::Yes => {
                let refunded = self.record_payment(payment, Event::CardRefunded).await?;
                Ok(Next::moved(refunded))
            }
            Returned::NotKnown { answered } => Ok(Next::again(payment.attempt, answered)),
        }
    }
}

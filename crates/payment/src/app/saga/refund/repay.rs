//! SEATS_RETURNED and REFUNDING: the points go back at once, the card's share when the provider has given it.

use crate::app::App;
use crate::app::saga::{Next, Returned, SagaError};
use crate::domain::{Refund, RefundEvent, RefundReason};
use crate::provider::Cancel;

impl App {
    pub(super) async fn return_points(&self, refund: &Refund) -> Result<Next<Refund>, SagaError> {
        let event = match refund.card_share() {
            Some(_) => RefundEvent::ProviderAsked,
            None => RefundEvent::MoneyReturned,
        };
        Ok(Next::moved(self.record_refund(refund, event).await?))
    }

    pub(super) async fn return_card(&self, refund: &Refund) -> Result<Next<Refund>, SagaError> {
        let amount = refund.card_share().ok_or(SagaError::NoCard)?;
        let (captured, order_id) = refund.paid.card.clone().ok_or(SagaError::NoCard)?;
        let cancel = Cancel {
            order_id,
            captured,
            amount,
            reason: statement(refund.reason),
            idempotency_key: format!("refund-{}-{}", refund.refund_id, refund.attempt),
        };
        match self.ask_to_cancel(refund, &cancel).await {
            Returned::Yes => {
                let returned = self.record_refund(refund, RefundEvent::MoneyReturned).await?;
                Ok(Next::moved(returned))
            }
            Returned::NotKnown { answered } => Ok(Next::again(refund.attempt, answered)),
        }
    }
}

/// What the buyer reads on the statement.
const fn statement(reason: RefundReason) -> &'static str {
    match reason {
        RefundReason::Buyer => "The reservation was canceled",
        RefundReason::ScheduleCanceled => "The date was canceled",
    }
}

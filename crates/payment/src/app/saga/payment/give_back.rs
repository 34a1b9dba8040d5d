//! REFUNDING: what was captured for seats that are gone goes back, once.
//!
//! Always all of it: a repeat under whatever key is answered "canceled before".

use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};
use crate::provider::Cancellation;

impl App {
    pub(super) async fn give_back(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        let charge = self.charge(payment, "refund")?;
        match self.provider.cancel(&charge).await {
            Cancellation::Canceled => Ok(Next::moved(
                self.record_payment(payment, Event::CardRefunded).await?,
            )),
            Cancellation::Unknown { answered } => Ok(Next::again(payment.attempt, answered)),
            Cancellation::Refused { code } => {
                metrics::counter!("payment_for_people_total", "saga" => "payment", "state" => payment.state.as_str()).increment(1);
                tracing::error!(payment_id = %payment.payment_id, provider_code = code, "the payment provider won't give a capture back");
                Ok(Next::again(payment.attempt, true))
            }
        }
    }
}

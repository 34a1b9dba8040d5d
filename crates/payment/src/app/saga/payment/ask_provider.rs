//! POINTS_TAKEN with a card: the provider is asked to capture, after that was recorded.

use vocabulary::ProblemCode;

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};
use crate::provider::Confirmation;

impl App {
    pub(super) async fn ask_provider(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        // Time has passed since booking was asked: no money is captured for seats that are gone.
        if payment.resumed
            && let Err(error) = self
                .booking
                .begin(payment.reservation_id, payment.payment_id)
                .await
        {
            return match verdict(payment, error) {
                Some(reason) => {
                    let gone = Event::SeatsGone { reason };
                    Ok(Next::moved(self.record_payment(payment, gone).await?))
                }
                None => Ok(Next::later(payment.attempt)),
            };
        }

        let asked = self.record_payment(payment, Event::ProviderAsked).await?;
        let charge = self.charge(&asked, "confirm")?;
        let reason = ProblemCode::PaymentFailed;
        let payment_id = asked.payment_id;
        let event = match self.provider.confirm(&charge).await {
            Confirmation::Captured => Event::Captured,
            Confirmation::Declined { code } => {
                tracing::info!(%payment_id, provider_code = code, "the payment provider declined");
                Event::NotCaptured { reason }
            }
            // Nothing was asked before this, so nothing can have been captured.
            Confirmation::Rejected { code } => {
                tracing::error!(%payment_id, provider_code = code, "the payment provider turned our request away");
                Event::NotCaptured { reason }
            }
            Confirmation::NotSent => {
                tracing::warn!(%payment_id, "the payment provider could not be reached");
                Event::NotCaptured { reason }
            }
            Confirmation::AlreadyProcessed => Event::OutcomeUnknown { answered: true },
            Confirmation::Unknown { answered } => {
                tracing::warn!(%payment_id, answered, "the outcome of a card payment is unknown");
                Event::OutcomeUnknown { answered }
            }
        };
        Ok(Next::moved(self.record_payment(&asked, event).await?))
    }
}

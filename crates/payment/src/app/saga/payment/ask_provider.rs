//! POINTS_TAKEN with a card: the provider is asked to capture, after that was recorded.

use vocabulary::ProblemCode;

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, Outcome, SagaError};
use crate::domain::{Event, Payment};

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
        let event = match self.ask_for_capture(&asked).await? {
            Outcome::Captured => Event::Captured,
            Outcome::NotCaptured => Event::NotCaptured {
                reason: ProblemCode::PaymentFailed,
            },
            Outcome::Unknown { answered } => Event::OutcomeUnknown { answered },
        };
        Ok(Next::moved(self.record_payment(&asked, event).await?))
    }
}

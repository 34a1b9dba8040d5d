//! UNKNOWN: the provider may or may not have captured, and is asked until it says.
//!
//! A repeat may capture, so booking is asked first whether the seats are still held for this payment; that an outcome is
//! open there keeps them so.

use vocabulary::ProblemCode;

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, Outcome, SagaError, Wanted};
use crate::domain::{Event, Payment};

impl App {
    pub(super) async fn resolve(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        let (wanted, reason) = match self.booking.mark_unknown(payment).await {
            Ok(()) => (Wanted::Yes, ProblemCode::PaymentFailed),
            Err(error) => match verdict(payment, error) {
                Some(reason) => (Wanted::No, reason),
                None => (Wanted::NotKnown, ProblemCode::PaymentFailed),
            },
        };
        let event = match self.find_capture(payment, wanted).await? {
            Outcome::Captured => Event::Captured,
            Outcome::NotCaptured => Event::NotCaptured { reason },
            Outcome::Unknown { answered } => return Ok(Next::again(payment.attempt, answered)),
        };
        Ok(Next::moved(self.record_payment(payment, event).await?))
    }
}

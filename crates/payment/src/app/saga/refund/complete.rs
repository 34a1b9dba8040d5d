//! MONEY_RETURNED: booking is told, so that the reservation and the date's progress say so.

use crate::app::App;
use crate::app::saga::driver::for_people;
use crate::app::saga::{Next, SagaError};
use crate::booking::BookingError;
use crate::domain::{Refund, RefundEvent};

impl App {
    pub(super) async fn complete_at_booking(&self, refund: &Refund) -> Result<Next<Refund>, SagaError> {
        match self.booking.complete_refund(refund).await {
            Ok(()) => {
                let completed = self.record_refund(refund, RefundEvent::BookingTold).await?;
                return Ok(Next::moved(completed));
            }
            Err(BookingError::Undecided(problem)) => {
                tracing::warn!(refund_id = %refund.refund_id, error = %problem, "booking did not decide");
            }
            // It canceled the reservation for this refund, or nothing would have gone back.
            Err(BookingError::Refused(problem)) => for_people(refund, &problem.to_string(), None),
        }
        Ok(Next::later(refund.attempt))
    }
}

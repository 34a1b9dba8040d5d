//! CREATED: booking puts the seats on sale again and says what goes back, or that nothing does.

use vocabulary::ProblemCode;

use crate::app::App;
use crate::app::saga::driver::for_people;
use crate::app::saga::{Next, SagaError};
use crate::booking::BookingError;
use crate::domain::{Refund, RefundEvent, RefundReason, Share};

impl App {
    pub(super) async fn cancel_at_booking(&self, refund: &Refund) -> Result<Next<Refund>, SagaError> {
        let canceled = match self.booking.cancel(refund).await {
            Ok(canceled) => canceled,
            Err(error) => {
                return match refusal(refund, error) {
                    // It listed the reservation to be refunded. Another refund of it would fare no better.
                    Some(reason) if refund.reason == RefundReason::ScheduleCanceled => {
                        for_people(refund, reason.title(), None);
                        Ok(Next::later(refund.attempt))
                    }
                    Some(reason) => {
                        let refused = RefundEvent::Refused { reason };
                        Ok(Next::moved(self.record_refund(refund, refused).await?))
                    }
                    None => Ok(Next::later(refund.attempt)),
                };
            }
        };
        // The seats are gone from the buyer whatever we think of the answer; money is not moved on a misunderstanding.
        if canceled.payment_id != refund.payment_id {
            for_people(refund, "booking canceled what another payment had paid", None);
            return Ok(Next::later(refund.attempt));
        }
        let share = match Share::split(&refund.paid, canceled.percent, canceled.refund) {
            Ok(share) => share,
            Err(error) => {
                for_people(refund, &error.to_string(), None);
                return Ok(Next::later(refund.attempt));
            }
        };
        let returned = RefundEvent::SeatsReturned {
            share,
            schedule_canceled: canceled.schedule_canceled,
        };
        Ok(Next::moved(self.record_refund(refund, returned).await?))
    }
}

/// Why the reservation stays as it is, if booking decided so.
fn refusal(refund: &Refund, error: BookingError) -> Option<ProblemCode> {
    let problem = match error {
        BookingError::Refused(problem) => problem,
        BookingError::Undecided(problem) => {
            tracing::warn!(refund_id = %refund.refund_id, error = %problem, "booking did not decide");
            return None;
        }
    };
    match problem.code {
        code @ (ProblemCode::ReservationNotCancelable
        | ProblemCode::CancellationWindowClosed
        | ProblemCode::NotFound) => Some(code),
        _ => {
            // Not an answer to what was asked.
            tracing::error!(refund_id = %refund.refund_id, error = %problem, "booking's refusal is not understood");
            None
        }
    }
}

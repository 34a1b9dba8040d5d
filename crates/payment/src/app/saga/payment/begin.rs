//! CREATED: booking is told, and the wallet's share is set aside.

use vocabulary::ProblemCode;

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};
use crate::store::StoreError;

impl App {
    pub(super) async fn begin_at_booking(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        let begun = match self
            .booking
            .begin(payment.reservation_id, payment.payment_id)
            .await
        {
            Ok(begun) => begun,
            Err(error) => {
                return match verdict(payment, error) {
                    Some(reason) => {
                        let gone = Event::SeatsGone { reason };
                        Ok(Next::moved(self.record_payment(payment, gone).await?))
                    }
                    None => Ok(Next::later(payment.attempt)),
                };
            }
        };
        let fence = begun.fence;
        // Another payment may have used the order up since this one was allowed.
        let current = payment
            .card
            .as_ref()
            .is_none_or(|card| begun.order_id.as_ref() == Some(&card.order_id));
        let recorded = if current {
            self.record_payment(payment, Event::PointsTaken { fence }).await
        } else {
            let reason = ProblemCode::PaymentFailed;
            self.record_payment(payment, Event::Abandoned { fence, reason })
                .await
        };
        match recorded {
            Err(SagaError::Store(StoreError::InsufficientPoints)) => {
                let reason = ProblemCode::InsufficientPoints;
                let short = Event::Abandoned { fence, reason };
                Ok(Next::moved(self.record_payment(payment, short).await?))
            }
            other => other.map(Next::moved),
        }
    }
}

//! RELEASING: booking takes the hold back from a payment that charged nothing.

use vocabulary::ReservationStatus;

use super::verdict;
use crate::app::App;
use crate::app::saga::{Next, SagaError};
use crate::domain::{Event, Payment};

impl App {
    pub(super) async fn release(&self, payment: &Payment) -> Result<Next<Payment>, SagaError> {
        let next_order_id = match self.booking.release(payment).await {
            Ok(reservation) => reservation
                .order_id
                .filter(|_| reservation.status == ReservationStatus::Pending),
            // It has no hold of this payment's to take back.
            Err(error) => match verdict(payment, error) {
                Some(_) => None,
                None => return Ok(Next::later(payment.attempt)),
            },
        };
        let released = Event::HoldReleased { next_order_id };
        Ok(Next::moved(self.record_payment(payment, released).await?))
    }
}

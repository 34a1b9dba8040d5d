//! RELEASING: booking takes the hold back from a payment that charged nothing.

use vocabulary::ReservationStatus;

use super::{Next, SagaError, verdict};
use crate::app::App;
use crate::domain::{Event, Payment};

impl App {
    pub(super) async fn release(&self, payment: &Payment) -> Result<Next, SagaError> {
        let next_order_id = match self.booking.release(payment).await {
            Ok(reservation) => reservation
                .order_id
                .filter(|_| reservation.status == ReservationStatus::Pending),
            // It has no hold of this payment's to take back.
            Err(error) => match verdict(payment, error) {
                Some(_) => None,
                None => return Ok(Next::later(payment)),
            },
        };
        let released = Event::HoldReleased { next_order_id };
        Ok(Next::moved(self.record(payment, released).await?))
    }
}

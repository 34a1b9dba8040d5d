//! A payment succeeded: the seats are the buyer's.

use vocabulary::{PaymentId, ReservationId, SeatId};

use super::{AppError, Booking};
use crate::domain::{Event, Refused, Reservation};

impl Booking {
    /// `PAYING -> CONFIRMED`. The same payment confirming again changes nothing, also when the reservation was canceled
    /// since. On a canceled date the payment ends here: nobody else would tell so of one whose outcome was unknown.
    ///
    /// # Errors
    /// Expiry or the date's cancellation was first; the fence is stale; another payment succeeded; or the store failed.
    pub async fn confirm_reservation(
        &self,
        id: ReservationId,
        payment: PaymentId,
        version: u64,
    ) -> Result<Reservation, AppError> {
        let event = Event::Confirm { payment, version };
        let confirmed = self
            .apply_to_recent(id, event, |before| async move {
                self.store.confirm(&before, payment).await
            })
            .await;
        if let Err(AppError::Refused(Refused::ScheduleCanceled)) = confirmed {
            match self.release_payment(id, payment, version).await {
                // It had ended before.
                Ok(_) | Err(AppError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let (reservation, completed) = confirmed?;
        if let Some(completed) = completed {
            metrics::counter!("booking_confirmed_total").increment(1);
            let notices = [completed];
            let seats: Vec<SeatId> = reservation.seats.iter().map(|seat| seat.seat_id).collect();
            tokio::join!(
                self.seat_locks.mark_sold(id, reservation.schedule_id, &seats),
                self.tell_queue(&notices),
            );
        }
        Ok(reservation)
    }
}

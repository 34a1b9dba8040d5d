//! A payment begins: from here on the hold does not simply lapse.

use vocabulary::{PaymentId, ReservationId};

use super::{AppError, Booking};
use crate::domain::{Event, Reservation};

impl Booking {
    /// `PENDING -> PAYING` for this payment; the answer's version is its fence. The same payment beginning again
    /// changes nothing.
    ///
    /// # Errors
    /// Another payment runs or succeeded; the time to pay is over; this payment ended before; or the store failed.
    pub async fn begin_payment(
        &self,
        id: ReservationId,
        payment: PaymentId,
    ) -> Result<Reservation, AppError> {
        let grace = self.times.paying_grace;
        let event = Event::BeginPayment { payment, grace };
        let (reservation, _) = self
            .apply_to_recent(id, event, |before| async move {
                let after = self.store.begin_payment(&before, payment, grace).await?;
                Ok(after.map(|after| (after, ())))
            })
            .await?;
        Ok(reservation)
    }
}

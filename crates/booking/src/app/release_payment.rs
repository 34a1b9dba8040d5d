//! A payment ended without success.

use vocabulary::{PaymentId, ReservationId};

use super::{AppError, Booking};
use crate::domain::{Event, Reservation};

impl Booking {
    /// `PAYING -> PENDING` while time is left, else `EXPIRED`, or `CANCELED` with its date. The answer names the order of
    /// the next card attempt. The same payment ending again changes nothing.
    ///
    /// # Errors
    /// The payment does not run or shows a stale fence; a payment succeeded; or the store failed.
    pub async fn release_payment(
        &self,
        id: ReservationId,
        payment: PaymentId,
        version: u64,
    ) -> Result<Reservation, AppError> {
        let event = Event::ReleasePayment { payment, version };
        let (reservation, freed) = self
            .apply(id, event, |before| async move {
                self.store.release_payment(&before, payment).await
            })
            .await?;
        if let Some(freed) = freed.flatten() {
            self.settle(&[freed]).await;
        }
        Ok(reservation)
    }
}

//! A payment's outcome is not known: the reservation waits for it, however long that takes.

use vocabulary::{PaymentId, ReservationId};

use super::{AppError, Booking};
use crate::domain::Event;

impl Booking {
    /// Keeps a reservation from lapsing until its payment's outcome is known.
    ///
    /// # Errors
    /// The payment does not run, shows a stale fence, or expiry was first; or the store failed.
    pub async fn mark_payment_unknown(
        &self,
        id: ReservationId,
        payment: PaymentId,
        version: u64,
    ) -> Result<(), AppError> {
        let event = Event::MarkPaymentUnknown { payment, version };
        self.apply(id, event, |before| async move {
            let after = self.store.mark_payment_unknown(&before, payment).await?;
            Ok(after.map(|after| (after, ())))
        })
        .await?;
        Ok(())
    }
}

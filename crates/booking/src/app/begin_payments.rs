//! Payments begin: from here on their holds do not simply lapse.

use vocabulary::{PaymentId, ReservationId};

use super::recent::PaymentStep;
use super::{AppError, Booking};
use crate::domain::{Event, Reservation};

impl Booking {
    /// `PENDING -> PAYING` for each of these payments; the answer's version is its fence. The same payment beginning again
    /// changes nothing.
    ///
    /// # Errors
    /// Of each: another payment runs or succeeded; the time to pay is over; this payment ended before; or the store failed.
    pub async fn begin_payments(
        &self,
        beginning: &[(ReservationId, PaymentId)],
    ) -> Vec<Result<Reservation, AppError>> {
        let grace = self.times.paying_grace;
        let steps: Vec<_> = beginning
            .iter()
            .map(|&(id, payment)| PaymentStep {
                id,
                payment,
                event: Event::BeginPayment { payment, grace },
            })
            .collect();
        let begun = self.take_steps(&steps, async |befores| {
            let begun = self.store.begin_payments(&befores, grace).await;
            let begun = begun.into_iter();
            begun.map(|begun| Ok(begun?.map(|after| (after, ())))).collect()
        });
        let begun = begun.await.into_iter();
        begun
            .map(|begun| begun.map(|(reservation, _)| reservation))
            .collect()
    }
}

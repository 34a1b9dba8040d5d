//! What is or was paid, for those who give money back and who compare it.

use vocabulary::ReservationId;

use super::{AppError, Booking};
use crate::store::PaidReservation;

impl Booking {
    /// CONFIRMED reservations of canceled dates, whose refund is still to begin: `limit` of them from after `after` on, in
    /// the order of their ids.
    ///
    /// # Errors
    /// The store failed.
    pub async fn reservations_to_refund(
        &self,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<PaidReservation>, AppError> {
        Ok(self.store.reservations_to_refund(after, limit).await?)
    }

    /// Reservations that are or were paid: `limit` of them from after `after` on, in the order of their ids.
    ///
    /// # Errors
    /// The store failed.
    pub async fn paid_reservations(
        &self,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Result<Vec<PaidReservation>, AppError> {
        Ok(self.store.paid_reservations(after, limit).await?)
    }
}

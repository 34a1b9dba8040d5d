//! Reservations that are or were paid, as reconciliation compares them.

use contracts::booking as proto;
use contracts::parse_id;
use vocabulary::ReservationId;

use super::{Booking, BookingError, Result};
use crate::domain::reconcile::{CanceledFacts, PaidFacts};

impl Booking {
    /// Up to `limit` (at most 1,000) reservations that are or were paid, after one, in the order of their ids.
    ///
    /// # Errors
    /// Booking does not answer.
    pub async fn paid_reservations(&self, after: ReservationId, limit: i64) -> Result<Vec<PaidFacts>> {
        let request = proto::ListPaidReservationsRequest {
            after_reservation_id: after.to_string(),
            limit: u32::try_from(limit).unwrap_or(0),
        };
        let answer = self.client.clone().list_paid_reservations(request).await;
        let listed = answer.map_err(|status| BookingError::of(&status))?.into_inner();
        listed.reservations.into_iter().map(read_paid).collect()
    }
}

fn read_paid(wire: proto::PaidReservation) -> Result<PaidFacts> {
    let payment_id = Some(wire.payment_id).filter(|id| !id.is_empty());
    let canceled = wire.cancellation.map(|canceled| {
        Ok(CanceledFacts {
            refund_id: parse_id("refundId", &canceled.refund_id).map_err(BookingError::Undecided)?,
            refund: canceled.refund,
            refunded: canceled.refunded_at.is_some(),
        })
    });
    Ok(PaidFacts {
        reservation_id: parse_id("reservationId", &wire.reservation_id).map_err(BookingError::Undecided)?,
        payment_id: payment_id
            .map(|id| parse_id("paymentId", &id))
            .transpose()
            .map_err(BookingError::Undecided)?,
        total: wire.total,
        canceled: canceled.transpose()?,
    })
}

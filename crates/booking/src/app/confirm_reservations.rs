//! Payments succeeded: the seats are the buyers'.

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use vocabulary::{PaymentId, ReservationId, SeatId};

use super::recent::PaymentStep;
use super::{AppError, Booking};
use crate::domain::{Event, Lifecycle, Refused, Reservation};
use crate::store::{StoreError, VisitNotice};

/// How many payments of canceled dates end at once.
const RELEASED_AT_ONCE: usize = 8;

/// What the store made of one payment.
type Confirmed = Result<Option<(Lifecycle, VisitNotice)>, StoreError>;

impl Booking {
    /// `PAYING -> CONFIRMED` for each of these payments, which shows the fence that it was given. The same payment confirming
    /// again changes nothing, also when the reservation was canceled since. On a canceled date the payment ends here: nobody
    /// else would tell so of one whose outcome was unknown.
    ///
    /// # Errors
    /// Of each: expiry or the date's cancellation was first; the fence is stale; another payment succeeded; or the store
    /// failed.
    pub async fn confirm_reservations(
        &self,
        paid: &[(ReservationId, PaymentId, u64)],
    ) -> Vec<Result<Reservation, AppError>> {
        let steps: Vec<_> = paid
            .iter()
            .map(|&(id, payment, version)| PaymentStep {
                id,
                payment,
                event: Event::Confirm { payment, version },
            })
            .collect();
        let confirmed = self.take_steps(&steps, async |befores| {
            let confirmed = self.store.confirm(&befores).await;
            self.tell_of_sales(&befores, &confirmed).await;
            confirmed
        });
        let confirmed = stream::iter(confirmed.await.into_iter().zip(paid.to_vec()));
        let told = confirmed.map(|(confirmed, (id, payment, version))| async move {
            if let Err(AppError::Refused(Refused::ScheduleCanceled)) = confirmed {
                match self.release_payment(id, payment, version).await {
                    // It had ended before.
                    Ok(_) | Err(AppError::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(confirmed?.0)
        });
        told.buffered(RELEASED_AT_ONCE).collect().await
    }

    /// Tells Redis and queue of what was sold just now; the buyers, whose payments end with this, do not wait for queue.
    async fn tell_of_sales(&self, befores: &[(Reservation, PaymentId)], confirmed: &[Confirmed]) {
        let sold: Vec<_> = befores
            .iter()
            .zip(confirmed)
            .filter_map(|((reservation, _), confirmed)| match confirmed {
                Ok(Some((_, completed))) => Some((reservation, *completed)),
                _ => None,
            })
            .collect();
        if sold.is_empty() {
            return;
        }
        metrics::counter!("booking_confirmed_total").increment(sold.len() as u64);
        self.notices
            .tell_aside(sold.iter().map(|(_, completed)| *completed).collect());
        let marks = sold.iter().map(async |(reservation, _)| {
            let seats: Vec<SeatId> = reservation.seats.iter().map(|seat| seat.seat_id).collect();
            self.seat_locks
                .mark_sold(reservation.id, reservation.schedule_id, &seats)
                .await;
        });
        join_all(marks).await;
    }
}

//! A paid reservation is canceled for a refund, and the refund comes to its end.

use time::OffsetDateTime;
use vocabulary::{RefundId, ReservationId, SeatId, UserId};

use super::{AppError, Booking};
use crate::domain::{Cancellation, Event, Lifecycle, Moment, Reservation, State};
use crate::store::StoreError;

/// A reservation that was canceled after it was paid.
#[derive(Debug)]
pub struct CanceledReservation {
    /// The reservation.
    pub reservation: Reservation,
    /// How it was canceled.
    pub cancellation: Cancellation,
}

impl Booking {
    /// `CONFIRMED -> CANCELED` for this refund: the seats are on sale again, and the answer says which share goes back, by
    /// the refund policy of the date, or all when the date was canceled. The policy's time is `asked_at`, or now when that
    /// is earlier or nothing was said. The same refund again changes nothing.
    ///
    /// # Errors
    /// There is none of this user; it is not paid, or was canceled for another refund; its window is closed; or the store
    /// failed.
    pub async fn cancel_reservation(
        &self,
        user_id: UserId,
        id: ReservationId,
        refund_id: RefundId,
        asked_at: Option<OffsetDateTime>,
    ) -> Result<CanceledReservation, AppError> {
        // Whose it is never changes, so it need not be part of the guard.
        let reservation = self.load(id).await?.reservation;
        if reservation.user_id != user_id {
            return Err(AppError::NotFound("reservation"));
        }
        let terms = self.store.refund_terms(reservation.schedule_id).await?;
        let terms = terms.ok_or(AppError::NotFound("schedule"))?;
        let event = |at: Moment| {
            let asked_at = asked_at.map_or(at.now, |asked_at| asked_at.min(at.now));
            Event::Cancel {
                refund_id,
                asked_at,
                share: terms.share_at(asked_at),
            }
        };
        let (reservation, freed) = self
            .apply_at(id, event, |before, wanted| async move {
                let wanted = cancellation_of(&wanted)?;
                self.store.cancel(&before, &wanted, asked_at).await
            })
            .await?;
        let cancellation = cancellation_of(&reservation.lifecycle)?;
        if let Some(freed) = freed {
            let reason = if cancellation.with_schedule {
                "schedule_canceled"
            } else {
                "owner"
            };
            metrics::counter!("booking_canceled_total", "reason" => reason).increment(1);
            tracing::info!(
                reservation_id = %id,
                refund_id = %refund_id,
                percent = cancellation.percent.get(),
                reason,
                "a paid reservation is canceled"
            );
            self.settle(&[freed]).await;
        } else {
            // Whoever canceled it may have died before its marks in Redis were gone.
            self.give_locks_back(&reservation).await;
        }
        Ok(CanceledReservation {
            reservation,
            cancellation,
        })
    }

    /// All money of this refund is back where it came from. Telling so again changes nothing.
    ///
    /// # Errors
    /// There is no such reservation, or it was not canceled for this refund; or the store failed.
    pub async fn complete_refund(&self, id: ReservationId, refund_id: RefundId) -> Result<(), AppError> {
        let event = Event::CompleteRefund { refund_id };
        let (reservation, _) = self
            .apply(id, event, |before| async move {
                let after = self.store.complete_refund(&before, refund_id).await?;
                Ok(after.map(|after| (after, ())))
            })
            .await?;
        // Once more, for a cancellation that nobody asked for again.
        self.give_locks_back(&reservation).await;
        Ok(())
    }

    /// Compares and deletes: what others hold by now stays theirs.
    async fn give_locks_back(&self, canceled: &Reservation) {
        let seats: Vec<SeatId> = canceled.seats.iter().map(|seat| seat.seat_id).collect();
        self.seat_locks
            .give_back(canceled.id, canceled.schedule_id, &seats)
            .await;
    }
}

/// What the machine leaves behind whenever it lets a cancellation through.
fn cancellation_of(lifecycle: &Lifecycle) -> Result<Cancellation, StoreError> {
    match lifecycle.state {
        State::Canceled(Some(cancellation)) => Ok(cancellation),
        _ => Err(StoreError::Row("a cancellation without its refund")),
    }
}

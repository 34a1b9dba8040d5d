//! What booking does, one file per use case. There is no SQL and no transport here.

mod begin_payments;
mod cancel_reservation;
mod cancel_schedule;
mod close_schedule;
mod confirm_reservations;
mod count_seats;
mod expire_due;
mod get_reservations;
mod give_up_holds;
mod hold_seats;
mod mark_payment_unknown;
mod notices;
mod open_schedule;
mod paid_reservations;
mod payables;
mod recent;
mod release;
mod release_payment;
mod schedules;
mod seat_states;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use service_kit::keyring::SignError;
use service_kit::problem::Problem;
use tokio::sync::Notify;
use vocabulary::{ReservationId, SeatId};

use crate::domain::{
    Event, Lifecycle, Moment, OpeningError, PaymentTokens, Refused, Reservation, SelectionError, Step,
};
use crate::grpc::queue::Queue;
use crate::store::{Loaded, SeatLocks, Store, StoreError};

pub use crate::store::{PaidReservation, ScheduleCancellation};
pub use cancel_reservation::CanceledReservation;
pub use count_seats::{GradeCounts, ScheduleCounts};
pub use expire_due::ExpiredBatch;
pub use get_reservations::Page;
pub use hold_seats::HoldRequest;
pub use payables::Credential;
pub use seat_states::SeatMap;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long an unpaid hold is kept.
    pub hold: Duration,
    /// How long a payment that runs may exceed the hold's end.
    pub paying_grace: Duration,
    /// How long making a hold may take, the check of its visit included. It stays below the time for which that check
    /// keeps the visit's page open.
    pub hold_deadline: Duration,
}

/// All use cases and what they share.
#[derive(Debug)]
pub struct Booking {
    pub(crate) store: Store,
    seat_locks: SeatLocks,
    queue: Queue,
    payment_tokens: PaymentTokens,
    times: Times,
    schedules: schedules::Schedules,
    notices: Arc<notices::Notices>,
    recent: recent::Recent,
    /// Wakes the relay of expiry messages.
    pub(crate) messages_wait: Arc<Notify>,
}

/// A reservation as its owner sees it.
#[derive(Debug)]
pub struct OwnReservation {
    /// The reservation.
    pub reservation: Reservation,
    /// Lets its bearer pay it; there while it can be paid.
    pub payment_token: Option<SecretString>,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing, or it belongs to somebody else.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The seats asked for are no selection.
    #[error("seatIds {0}")]
    Selection(#[from] SelectionError),
    /// Seats that the date does not have, by their positions in the request.
    #[error("seats that the date does not have")]
    ForeignSeats(Vec<usize>),
    /// The seats to put on sale break a rule.
    #[error("seats {0}")]
    Opening(#[from] OpeningError),
    /// The date is on sale with other seats or prices.
    #[error("the schedule was opened with another content")]
    OpenedDifferently,
    /// The cursor is none of ours.
    #[error("the cursor cannot be read")]
    Cursor,
    /// These seats are held or sold.
    #[error("seats are taken")]
    SeatUnavailable(Vec<SeatId>),
    /// The user would have too many seats of the date.
    #[error("the user would have too many seats")]
    SeatCapExceeded,
    /// The sale of the date is closed.
    #[error("the sale is closed")]
    SaleClosed,
    /// The visit made its hold before.
    #[error("the visit made its hold before")]
    PageLeft,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The hold was not made in time; whether it was made is not known.
    #[error("the hold was not made in time")]
    HoldDeadline,
    /// The queue token is of another concert than the reservation.
    #[error("the queue token is for another concert")]
    QueueTokenOfOtherConcert,
    /// The credential does not allow to pay this reservation.
    #[error("the credential is not for this reservation")]
    PaymentTokenInvalid,
    /// The reservation's state refuses it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The reservation changed faster than it could be read.
    #[error("the reservation kept changing")]
    Contended,
    /// Queue refused the visit, or is away.
    #[error("queue: {0}")]
    Queue(Problem),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A change that somebody else keeps preventing is given up after so many looks.
const LOOKS: usize = 5;

impl Booking {
    /// The use cases on these stores and peers.
    #[must_use]
    pub fn new(
        store: Store,
        seat_locks: SeatLocks,
        queue: Queue,
        payment_tokens: PaymentTokens,
        times: Times,
    ) -> Self {
        Self {
            schedules: schedules::Schedules::new(store.clone()),
            notices: notices::Notices::new(queue.clone()),
            recent: recent::Recent::new(),
            messages_wait: Arc::new(Notify::new()),
            store,
            seat_locks,
            queue,
            payment_tokens,
            times,
        }
    }

    /// Applies `event` by the domain's rule and has the store carry it out, guarded. When somebody else was first, looks
    /// again. Answers what the store's step gave, or `None` when the event had happened before.
    async fn apply<T, F>(
        &self,
        id: ReservationId,
        event: Event,
        carry_out: impl Fn(Reservation) -> F,
    ) -> Result<(Reservation, Option<T>), AppError>
    where
        F: Future<Output = Result<Option<(Lifecycle, T)>, StoreError>>,
    {
        let carry_out = |before, _| carry_out(before);
        self.apply_at(id, |_| event, carry_out).await
    }

    /// As [`Self::apply`], for an event that depends on the moment; the store's step learns what the domain made of it.
    async fn apply_at<T, F>(
        &self,
        id: ReservationId,
        event: impl Fn(Moment) -> Event,
        carry_out: impl Fn(Reservation, Lifecycle) -> F,
    ) -> Result<(Reservation, Option<T>), AppError>
    where
        F: Future<Output = Result<Option<(Lifecycle, T)>, StoreError>>,
    {
        for _ in 0..LOOKS {
            let Loaded { mut reservation, at } = self.load(id).await?;
            match reservation.lifecycle.apply(event(at), at)? {
                Step::Unchanged => return Ok((reservation, None)),
                Step::Moved(wanted) => {
                    if let Some((after, gained)) = carry_out(reservation.clone(), wanted).await? {
                        reservation.lifecycle = after;
                        return Ok((reservation, Some(gained)));
                    }
                }
            }
        }
        Err(AppError::Contended)
    }

    async fn load(&self, id: ReservationId) -> Result<Loaded, AppError> {
        let loaded = self.store.reservation(id).await?;
        loaded.ok_or(AppError::NotFound("reservation"))
    }

    fn own(&self, reservation: Reservation) -> Result<OwnReservation, AppError> {
        let payment_token = reservation
            .is_payable()
            .then(|| self.payment_tokens.sign(reservation.id, reservation.user_id))
            .transpose()?;
        Ok(OwnReservation {
            reservation,
            payment_token: payment_token.map(SecretString::from),
        })
    }
}

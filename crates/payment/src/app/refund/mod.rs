//! Canceling a paid reservation: which payment is undone is recorded, a saga of its own carries the refund on, and the caller
//! waits for the end only so long.

mod schedules;

pub use schedules::RoundError;
use vocabulary::{ProblemCode, RefundId, ReservationId, ReservationStatus, UserId};

use super::App;
use super::saga::Followed;
use crate::booking::BookingError;
use crate::domain::{NewRefund, Refund, RefundEvent, RefundReason, RefundState};
use crate::store::{RefundInserted, RequestKey, StoreError};

/// What a buyer asks for.
#[derive(Debug)]
pub struct CancelRequest {
    /// Who asks.
    pub user_id: UserId,
    /// What is to be undone.
    pub reservation_id: ReservationId,
    /// The caller's Idempotency-Key.
    pub key: Option<RequestKey>,
}

/// A refund that ended or is still under way.
#[derive(Debug)]
pub struct Canceled {
    /// As it stands.
    pub refund: Refund,
    /// Whether the request made it, and not one before.
    pub created: bool,
}

/// Why nothing is undone.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The reservation is not paid.
    #[error("the reservation is not paid")]
    NotPaid,
    /// It is paid, and its payment has not ended yet.
    #[error("the payment of the reservation has not ended yet")]
    PaymentInProgress,
    /// Booking did not cancel the reservation; nothing moved.
    #[error("the reservation was not canceled: {reason}")]
    Refused {
        /// Why.
        reason: ProblemCode,
    },
    /// The Idempotency-Key came with another request before.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The request with this Idempotency-Key still waits for its answer.
    #[error("the request with this Idempotency-Key is still running")]
    KeyInProgress,
    /// The refund was begun, and what became of it cannot be told now; it is carried on.
    #[error("the refund {0} cannot be followed now")]
    OutOfSight(RefundId),
    /// Booking.
    #[error(transparent)]
    Booking(#[from] BookingError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Cancels a paid reservation, and answers when its refund has ended or the wait is over.
    ///
    /// # Errors
    /// The request is not allowed, or booking refused it.
    pub async fn cancel_reservation(&self, request: CancelRequest) -> Result<Canceled, CancelError> {
        let CancelRequest {
            user_id,
            reservation_id,
            key,
        } = request;
        if let Some(key) = &key
            && let Some((refund, same)) = self.store.refund_by_key(user_id, key).await?
        {
            return self.replay_refund(refund, same).await;
        }
        let found = self.store.refund_of_reservation(user_id, reservation_id).await?;
        let refused = match found {
            Some(refund) if refund.state != RefundState::Refused => return answer(refund, false),
            refused => refused,
        };
        let Some(payment_id) = self.store.payment_to_undo(user_id, reservation_id).await? else {
            return Err(self.nothing_to_undo(user_id, reservation_id).await);
        };
        let lease = self.settings.lease;
        if let Some(refused) = refused
            && let Ok(again) = refused.after(&RefundEvent::AskedAgain)
            && let Some(again) = self
                .store
                .ask_again(&refused, &again, key.as_ref(), lease)
                .await?
        {
            return self.follow_refund(again).await;
        }
        let new = NewRefund {
            refund_id: RefundId::new(),
            payment_id,
            reservation_id,
            user_id,
            reason: RefundReason::Buyer,
        };
        match self.store.insert_refund(&new, key.as_ref(), lease).await? {
            RefundInserted::New(refund) => self.follow_refund(refund).await,
            RefundInserted::SameKey { refund, same_request } => {
                self.replay_refund(refund, same_request).await
            }
            RefundInserted::Another(refund) => answer(refund, false),
        }
    }

    /// The refund of this user's reservation; one of another is as one that does not exist.
    ///
    /// # Errors
    /// The store.
    pub async fn refund(
        &self,
        user_id: UserId,
        reservation_id: ReservationId,
    ) -> Result<Option<Refund>, StoreError> {
        self.store.refund_of_reservation(user_id, reservation_id).await
    }

    async fn follow_refund(&self, refund: Refund) -> Result<Canceled, CancelError> {
        let refund_id = refund.refund_id;
        match self.follow(refund).await {
            Followed::Driven(driven) => answer(driven.saga, true),
            Followed::Unfinished => match self.store.refund(refund_id).await? {
                Some(refund) => answer(refund, true),
                None => Err(CancelError::OutOfSight(refund_id)),
            },
            Followed::OutOfSight => Err(CancelError::OutOfSight(refund_id)),
        }
    }

    /// No payment of this user's succeeded for the reservation: booking knows why not.
    async fn nothing_to_undo(&self, user_id: UserId, reservation_id: ReservationId) -> CancelError {
        match self.booking.reservation(reservation_id, user_id).await {
            // Its payment is about to succeed here, too.
            Ok(found) if found.status == ReservationStatus::Confirmed => CancelError::PaymentInProgress,
            Ok(_) => CancelError::NotPaid,
            Err(error) => error.into(),
        }
    }

    /// Answers a request whose Idempotency-Key was used as it was answered then.
    async fn replay_refund(&self, refund: Refund, same_request: bool) -> Result<Canceled, CancelError> {
        if !same_request {
            return Err(CancelError::KeyReused);
        }
        let running = !refund.state.has_ended()
            && self
                .store
                .refund_is_younger_than(refund.refund_id, self.settings.pay_wait)
                .await?;
        if running {
            return Err(CancelError::KeyInProgress);
        }
        answer(refund, true)
    }
}

fn answer(refund: Refund, created: bool) -> Result<Canceled, CancelError> {
    match refund.state {
        RefundState::Refused => Err(CancelError::Refused {
            reason: refund.failure.unwrap_or(ProblemCode::ReservationNotCancelable),
        }),
        RefundState::Created
        | RefundState::SeatsReturned
        | RefundState::Refunding
        | RefundState::MoneyReturned
        | RefundState::Completed => Ok(Canceled { refund, created }),
    }
}

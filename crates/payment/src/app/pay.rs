//! Paying a reservation: what may be paid is recorded, a saga of its own carries it on, and the caller waits for the
//! end only so long.

use vocabulary::{Amount, PaymentId, ProblemCode, ReservationId, ReservationStatus, UserId};

use super::App;
use super::saga::{Driven, Followed};
use crate::booking::{BookingError, Credential, Payable, Sealed};
use crate::domain::{NewPayment, OrderId, Payment, PaymentKey, State, Terms, TermsError, split};
use crate::provider::Closed;
use crate::store::{Inserted, RequestKey, StoreError};

/// A card that the buyer offers for what points do not cover.
#[derive(Debug, Clone)]
pub struct CardOffer {
    /// The provider's key.
    pub payment_key: PaymentKey,
    /// The order that it was authenticated for; `None` = the current one.
    pub order_id: Option<OrderId>,
}

/// What a buyer asks for.
#[derive(Debug)]
pub struct PayRequest {
    /// What to pay.
    pub reservation_id: ReservationId,
    /// How much of it from the wallet.
    pub points: Amount,
    /// The rest.
    pub card: Option<CardOffer>,
    /// What allows the caller to pay.
    pub credential: Credential,
    /// Who is logged in.
    pub user_id: Option<UserId>,
    /// The caller's Idempotency-Key.
    pub key: Option<RequestKey>,
}

/// A payment that succeeded or is still under way.
#[derive(Debug)]
pub struct Paid {
    /// As it stands.
    pub payment: Payment,
    /// The reservation after it; set when it succeeded.
    pub reservation: Option<Sealed>,
}

/// Why nothing is paid.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// There is no such reservation of this user.
    #[error("there is no such reservation")]
    NotFound,
    /// The price cannot be split like this.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The reservation is paid.
    #[error("the reservation is paid")]
    AlreadyPaid,
    /// The hold is over.
    #[error("the time to pay is over")]
    WindowClosed,
    /// Another payment of the reservation has not ended yet.
    #[error("another payment of the reservation is in progress")]
    InProgress,
    /// The Idempotency-Key came with another request before.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The request with this Idempotency-Key still waits for its answer.
    #[error("the request with this Idempotency-Key is still running")]
    KeyInProgress,
    /// The provider could not be asked in time.
    #[error("cards cannot be charged now")]
    ProviderClosed(Closed),
    /// The payment ended, or is about to, with nothing charged.
    #[error("the payment {payment_id} failed: {reason}")]
    Failed {
        /// Which.
        payment_id: PaymentId,
        /// Why.
        reason: ProblemCode,
        /// The order that the next card attempt is for.
        next_order_id: Option<OrderId>,
    },
    /// The payment was begun, and what became of it cannot be told now; it is carried on.
    #[error("the payment {0} cannot be followed now")]
    OutOfSight(PaymentId),
    /// Booking.
    #[error(transparent)]
    Booking(#[from] BookingError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Pays a reservation, and answers when the payment has ended or the wait is over.
    ///
    /// # Errors
    /// The request is not allowed, or the payment failed.
    pub async fn pay(&self, request: PayRequest) -> Result<Paid, PayError> {
        let payable = self
            .booking
            .payable(request.reservation_id, &request.credential)
            .await?;
        if request.user_id.is_some_and(|user_id| user_id != payable.user_id) {
            return Err(PayError::NotFound);
        }
        let refusal = match self.terms(&request, &payable) {
            Ok(terms) => return self.begin(request, payable, terms).await,
            Err(refusal) => refusal,
        };
        // What the key's request came to outweighs what the same request would come to now.
        if let Some(key) = &request.key
            && let Some((payment, same)) = self.store.by_key(key, payable.user_id).await?
        {
            return self.replay(payment, same).await;
        }
        match refusal {
            PayError::WindowClosed => Err(self.why_over(request.reservation_id).await),
            refusal => Err(refusal),
        }
    }

    /// Why a hold that is over cannot be paid any more: booking refuses to begin with the reason.
    async fn why_over(&self, reservation_id: ReservationId) -> PayError {
        match self.booking.begin(reservation_id, PaymentId::new()).await {
            Ok(_) => PayError::WindowClosed,
            Err(error) => error.into(),
        }
    }

    /// How the price is split, if it can be paid now.
    fn terms(&self, request: &PayRequest, payable: &Payable) -> Result<Terms, PayError> {
        match payable.status {
            ReservationStatus::Pending | ReservationStatus::Paying => {}
            ReservationStatus::Confirmed => return Err(PayError::AlreadyPaid),
            ReservationStatus::Expired | ReservationStatus::Canceled => return Err(PayError::WindowClosed),
        }
        let card = request.card.clone().map(|card| (card.payment_key, card.order_id));
        let terms = split(
            payable.total,
            payable.currency,
            request.points,
            card,
            payable.order_id.clone(),
        )?;
        match self.provider.closed() {
            Some(closed) if terms.card.is_some() => Err(PayError::ProviderClosed(closed)),
            _ => Ok(terms),
        }
    }

    async fn begin(&self, request: PayRequest, payable: Payable, terms: Terms) -> Result<Paid, PayError> {
        let new = NewPayment {
            payment_id: PaymentId::new(),
            reservation_id: request.reservation_id,
            user_id: payable.user_id,
            currency: payable.currency,
            terms,
        };
        let inserted = self
            .store
            .insert(&new, request.key.as_ref(), self.settings.lease)
            .await?;
        match inserted {
            Inserted::New(payment) => self.drive_and_wait(payment).await,
            Inserted::SameKey {
                payment,
                same_request,
            } => self.replay(payment, same_request).await,
            Inserted::AnotherOpen => Err(PayError::InProgress),
        }
    }

    async fn drive_and_wait(&self, payment: Payment) -> Result<Paid, PayError> {
        let payment_id = payment.payment_id;
        match self.follow(payment).await {
            Followed::Driven(Driven { saga, seen }) => self.answer(saga, seen).await,
            Followed::Unfinished => self.as_it_stands(payment_id).await,
            Followed::OutOfSight => Err(PayError::OutOfSight(payment_id)),
        }
    }

    async fn as_it_stands(&self, payment_id: PaymentId) -> Result<Paid, PayError> {
        match self.store.payment(payment_id).await? {
            Some(payment) => self.answer(payment, None).await,
            None => Err(PayError::OutOfSight(payment_id)),
        }
    }

    async fn answer(&self, payment: Payment, reservation: Option<Sealed>) -> Result<Paid, PayError> {
        match payment.state {
            State::Succeeded => {
                let reservation = match reservation {
                    Some(sealed) => sealed,
                    None => {
                        let found = self.booking.reservation(payment.reservation_id, payment.user_id);
                        found.await?.sealed
                    }
                };
                Ok(Paid {
                    payment,
                    reservation: Some(reservation),
                })
            }
            State::Releasing | State::Failed | State::Refunding | State::Refunded => Err(PayError::Failed {
                payment_id: payment.payment_id,
                reason: payment.failure.unwrap_or(ProblemCode::PaymentFailed),
                next_order_id: payment.next_order_id,
            }),
            State::Created | State::PointsTaken | State::Confirming | State::Unknown | State::Captured => {
                Ok(Paid {
                    payment,
                    reservation: None,
                })
            }
        }
    }

    /// Answers a request whose Idempotency-Key was used as it was answered then.
    async fn replay(&self, payment: Payment, same_request: bool) -> Result<Paid, PayError> {
        if !same_request {
            return Err(PayError::KeyReused);
        }
        let running = !payment.state.has_ended()
            && self
                .store
                .is_younger_than(payment.payment_id, self.settings.pay_wait)
                .await?;
        if running {
            return Err(PayError::KeyInProgress);
        }
        self.answer(payment, None).await
    }
}

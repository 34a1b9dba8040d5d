//! Buying points by card: what is asked for is recorded, a saga of its own carries it on, and the caller waits for the end
//! only so long.

mod saga;

use vocabulary::{Amount, ChargeId, ProblemCode, UserId};

use super::App;
use super::pay::CardOffer;
use super::saga::Followed;
use crate::domain::{Charge, ChargeState, InvalidCard, NewCharge, own_charge_order};
use crate::provider::Closed;
use crate::store::{ChargeInserted, RequestKey, StoreError, Wallet};

/// What a buyer asks for.
#[derive(Debug)]
pub struct ChargeRequest {
    /// Whose wallet.
    pub user_id: UserId,
    /// Points, and won; within the bounds of a charge.
    pub amount: Amount,
    /// What pays for them; its order is none of a reservation's.
    pub card: CardOffer,
    /// The caller's Idempotency-Key.
    pub key: Option<RequestKey>,
}

/// A charge that succeeded or is still under way.
#[derive(Debug)]
pub struct Charged {
    /// As it stands.
    pub charge: Charge,
    /// The wallet after it; set when it succeeded.
    pub wallet: Option<Wallet>,
}

/// Why no points are bought.
#[derive(Debug, thiserror::Error)]
pub enum ChargeError {
    /// The user charged the order before.
    #[error("the order was used before")]
    OrderUsed,
    /// The Idempotency-Key came with another request before.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The request with this Idempotency-Key still waits for its answer.
    #[error("the request with this Idempotency-Key is still running")]
    KeyInProgress,
    /// The provider could not be asked in time.
    #[error("cards cannot be charged now")]
    ProviderClosed(Closed),
    /// The charge ended with nothing captured.
    #[error("the charge {charge_id} failed: {reason}")]
    Failed {
        /// Which.
        charge_id: ChargeId,
        /// Why.
        reason: ProblemCode,
    },
    /// The charge was begun, and what became of it cannot be told now; it is carried on.
    #[error("the charge {0} cannot be followed now")]
    OutOfSight(ChargeId),
    /// An order of our own making that the provider would not take: a fault of ours.
    #[error("an order of our own is none")]
    Order(#[from] InvalidCard),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Buys points, and answers when the charge has ended or the wait is over.
    ///
    /// # Errors
    /// The request is not allowed, or the charge failed.
    pub async fn create_charge(&self, request: ChargeRequest) -> Result<Charged, ChargeError> {
        if let Some(key) = &request.key
            && let Some((charge, same)) = self.store.charge_by_key(request.user_id, key).await?
        {
            return self.replay_charge(charge, same).await;
        }
        if let Some(closed) = self.provider.closed() {
            return Err(ChargeError::ProviderClosed(closed));
        }
        let charge_id = ChargeId::new();
        let order_id = match request.card.order_id {
            Some(order_id) => order_id,
            None => own_charge_order(charge_id)?,
        };
        let new = NewCharge {
            charge_id,
            user_id: request.user_id,
            amount: request.amount,
            order_id,
            payment_key: request.card.payment_key,
        };
        let lease = self.settings.provider_lease;
        match self
            .store
            .insert_charge(&new, request.key.as_ref(), lease)
            .await?
        {
            ChargeInserted::New(charge) => match self.follow(charge).await {
                Followed::Driven(driven) => self.answer_charge(driven.saga).await,
                Followed::Unfinished => match self.store.charge(charge_id).await? {
                    Some(charge) => self.answer_charge(charge).await,
                    None => Err(ChargeError::OutOfSight(charge_id)),
                },
                Followed::OutOfSight => Err(ChargeError::OutOfSight(charge_id)),
            },
            ChargeInserted::SameKey { charge, same_request } => {
                self.replay_charge(charge, same_request).await
            }
            ChargeInserted::OrderUsed => Err(ChargeError::OrderUsed),
        }
    }

    /// A charge of this user; one of another is as one that does not exist.
    ///
    /// # Errors
    /// The store.
    pub async fn charge(&self, user_id: UserId, charge_id: ChargeId) -> Result<Option<Charge>, StoreError> {
        let found = self.store.charge(charge_id).await?;
        Ok(found.filter(|charge| charge.user_id == user_id))
    }

    async fn answer_charge(&self, charge: Charge) -> Result<Charged, ChargeError> {
        match charge.state {
            ChargeState::Succeeded => {
                let wallet = self.store.wallet(charge.user_id).await?;
                Ok(Charged {
                    charge,
                    wallet: Some(wallet),
                })
            }
            ChargeState::Failed => Err(ChargeError::Failed {
                charge_id: charge.charge_id,
                reason: charge.failure.unwrap_or(ProblemCode::PaymentFailed),
            }),
            ChargeState::Created | ChargeState::Confirming | ChargeState::Unknown => {
                Ok(Charged { charge, wallet: None })
            }
        }
    }

    /// Answers a request whose Idempotency-Key was used as it was answered then.
    async fn replay_charge(&self, charge: Charge, same_request: bool) -> Result<Charged, ChargeError> {
        if !same_request {
            return Err(ChargeError::KeyReused);
        }
        let running = !charge.state.has_ended()
            && self
                .store
                .charge_is_younger_than(charge.charge_id, self.settings.pay_wait)
                .await?;
        if running {
            return Err(ChargeError::KeyInProgress);
        }
        self.answer_charge(charge).await
    }
}

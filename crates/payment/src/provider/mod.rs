//! The outside company that charges cards, as the rest of this service sees it.
//!
//! One trait, one adapter ([`toss`]). Answers say what is *known*: whatever is not certain is `Unknown`, and never a guess.

mod classify;
mod toss;

use futures::future::BoxFuture;
use vocabulary::Amount;

use crate::domain::{OrderId, PaymentKey};

pub use toss::{TossConfig, TossProvider};

/// What the provider is asked to capture.
#[derive(Debug, Clone)]
pub struct Charge {
    /// What the buyer authenticated.
    pub payment_key: PaymentKey,
    /// For which order.
    pub order_id: OrderId,
    /// How much, in won.
    pub amount: Amount,
    /// The same for every repeat of one try; a try that was answered needs a new one.
    pub idempotency_key: String,
}

/// What is known after a capture was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// Captured.
    Captured,
    /// The payment is dead: nothing was captured and nothing will be.
    Declined {
        /// The provider's code, for the log.
        code: String,
    },
    /// This request was turned away unread (credentials, form, too many): it captured nothing, and says nothing about
    /// requests before it.
    Rejected {
        /// The provider's code, for the log.
        code: String,
    },
    /// It never left this process.
    NotSent,
    /// The key was used before, for this order or for another.
    AlreadyProcessed,
    /// Not known.
    Unknown {
        /// There was an answer, and it would be repeated: the next try needs its own key.
        answered: bool,
    },
}

/// How a payment is found.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'a> {
    /// By our order.
    Order(&'a OrderId),
    /// By the provider's key.
    Key(&'a PaymentKey),
}

/// What a look at the provider's books says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This order was captured, with this key and amount.
    Captured,
    /// This order was captured otherwise: another key or amount. That is for people.
    Mismatch,
    /// Declined, expired or given back: no money of the buyer's is there.
    NotCaptured,
    /// The key belongs to another order, so it cannot pay this one.
    AnotherOrder,
    /// Nothing captured so far. A request that is still under way may change that.
    Open,
    /// No usable answer.
    Unknown,
}

/// What is known after money was asked to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// All of it went back, now or before.
    Canceled,
    /// Not known, or not now.
    Unknown {
        /// There was an answer, and it would be repeated: the next try needs its own key.
        answered: bool,
    },
    /// The provider won't. That is for people.
    Refused {
        /// The provider's code, for the log.
        code: String,
    },
}

/// A payment provider.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Whether a card payment begun now would have to wait for others.
    fn is_saturated(&self) -> bool;

    /// Asks for a capture. Repeats with the same Idempotency-Key capture once.
    fn confirm<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Confirmation>;

    /// Looks `charge` up.
    fn find<'a>(&'a self, charge: &'a Charge, by: Lookup<'a>) -> BoxFuture<'a, Found>;

    /// Asks for all of a capture to go back. Repeats give it back once, whatever their Idempotency-Key.
    fn cancel<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Cancellation>;
}

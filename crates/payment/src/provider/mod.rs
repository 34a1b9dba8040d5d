//! The outside company that charges cards, as the rest of this service sees it.
//!
//! One trait, one adapter ([`toss`]). Answers say what is *known*: whatever is not certain is `Unknown`, and never a guess.

mod toss;

use std::time::Duration;

use futures::future::BoxFuture;
use time::OffsetDateTime;
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
    /// The order was captured before, by this key or by another.
    OrderUsed,
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
    /// This order and key were captured otherwise: another amount. That is for people.
    Mismatch,
    /// Declined, expired or given back: no money of the buyer's is there.
    NotCaptured,
    /// The key belongs to another order, so it cannot pay this one.
    AnotherOrder,
    /// The order is shown with another key: a buyer may authenticate it twice. It says nothing about this one.
    AnotherKey,
    /// Nothing captured so far. A request that is still under way may change that.
    Open,
    /// No usable answer.
    Unknown,
}

/// What is to go back of a captured order. An order is given back once, whole or in part: that is what tells a repeat from
/// a second refund.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// Which order.
    pub order_id: OrderId,
    /// All that was captured for it, in won.
    pub captured: Amount,
    /// How much of that goes back; above zero.
    pub amount: Amount,
    /// What the buyer reads on the statement, 1 to 200 characters.
    pub reason: &'static str,
    /// The same for every repeat of one try; a try that was answered needs a new one.
    pub idempotency_key: String,
}

impl Cancel {
    /// What is left of the order afterwards; `None` when more is asked for than was captured.
    #[must_use]
    pub fn left(&self) -> Option<Amount> {
        self.captured.checked_sub(self.amount)
    }
}

/// What is known after money was asked to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// Exactly this amount went back, now or before.
    Canceled,
    /// Not known, or not now.
    Unknown {
        /// There was an answer, and it would be repeated: the next try needs its own key.
        answered: bool,
    },
    /// The provider's books hold another capture, or another sum was given back. That is for people.
    Mismatch,
    /// The provider won't. That is for people.
    Refused {
        /// The provider's code, for the log.
        code: String,
    },
}

/// What the provider's books hold of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// It was captured.
    Captured {
        /// All of it.
        total: Amount,
        /// What did not go back.
        left: Amount,
    },
    /// Nothing was captured so far.
    NotCaptured,
    /// No usable answer.
    Unknown,
}

/// Money that moved at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The provider's name for it.
    pub key: String,
    /// The order that it was for. Not always one of ours: a shop's account may serve others too.
    pub order_id: String,
    /// Which way it moved.
    pub kind: TransactionKind,
    /// How much, in won.
    pub amount: Amount,
    /// When, to the second, by the provider's clock.
    pub at: OffsetDateTime,
}

/// Which way money moved at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionKind {
    /// From the buyer.
    Capture,
    /// Back to the buyer.
    Cancel,
}

/// A span of time at the provider, both ends included, to the second.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The first second.
    pub from: OffsetDateTime,
    /// The last one.
    pub until: OffsetDateTime,
}

/// A part of a list of transactions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionPage {
    /// In the order in which they happened.
    pub transactions: Vec<Transaction>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// The provider did not answer, or not so that its answer could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider gave no usable answer")]
pub struct NoAnswer;

/// Why the provider is not asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// As many calls as may run do.
    Saturated,
    /// It failed so often that it is left alone for a while.
    Away {
        /// How long still.
        retry_after: Duration,
    },
}

/// A payment provider.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Why a call begun now would not be made; `None` when it would. Asking changes nothing.
    fn closed(&self) -> Option<Closed>;

    /// Asks for a capture. Repeats with the same Idempotency-Key capture once.
    fn confirm<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Confirmation>;

    /// Looks `charge` up.
    fn find<'a>(&'a self, charge: &'a Charge, by: Lookup<'a>) -> BoxFuture<'a, Found>;

    /// Asks for a part of a capture, or all of it, to go back. The balance is looked at first, and the provider is told to
    /// act on that balance only: repeats give it back once, whatever their Idempotency-Key.
    fn cancel<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Cancellation>;

    /// Looks at what is captured of an order, and what of it is still there.
    fn balance<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Balance>;

    /// Lists the money that moved in `window`, from after the page that ended with `after`.
    fn transactions<'a>(
        &'a self,
        window: &'a Window,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<TransactionPage, NoAnswer>>;
}

//! What each book says, reduced to what the others say too. Sums are whole won (1 point = 1 won) and may exceed what one
//! [`Amount`](vocabulary::Amount) holds.

use std::fmt;

use vocabulary::{ChargeId, PaymentId, RefundId, ReservationId, UserId};

use crate::domain::State;

/// A payment's row, what the ledger moved for it, and its refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentFacts {
    /// Which.
    pub payment_id: PaymentId,
    /// What it pays.
    pub reservation_id: ReservationId,
    /// Where it stands.
    pub state: State,
    /// From the wallet.
    pub points: i64,
    /// From the card.
    pub card: i64,
    /// What the ledger says.
    pub moved: Moved,
    /// The refund that undoes it; one that was refused is none.
    pub refund: Option<RefundFacts>,
}

impl PaymentFacts {
    /// Whether a saga still works on it, so that its books may differ for a moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.state.has_ended() || self.refund.as_ref().is_some_and(|refund| !refund.completed)
    }
}

/// Transfers of one payment, summed by their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// PURCHASE: points set aside.
    pub purchased: i64,
    /// RETURN: points given back before they were spent.
    pub returned: i64,
    /// POST: points spent for good.
    pub posted: i64,
    /// CAPTURE: card money that came in.
    pub captured: i64,
    /// REFUND: card money that went back.
    pub card_refunded: i64,
    /// `REFUND_POINTS`: points that went back after they were spent.
    pub points_refunded: i64,
}

/// A refund's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFacts {
    /// Which.
    pub refund_id: RefundId,
    /// Whether nothing is left to do.
    pub completed: bool,
    /// What goes back; none before booking has said it.
    pub share: Option<Share>,
}

/// What goes back of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// To the wallet.
    pub points: i64,
    /// To the card.
    pub card: i64,
}

/// A charge's row, and what the ledger moved for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeFacts {
    /// Which.
    pub charge_id: ChargeId,
    /// Whether it ended well.
    pub succeeded: bool,
    /// What it buys.
    pub amount: i64,
    /// CHARGE: what the ledger credited.
    pub moved: i64,
}

/// One order: what the provider has of it, and what the ledger says of all payments and charges that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// As the provider knows it.
    pub order_id: String,
    /// What we know of it.
    pub ours: OwnOrder,
    /// What the provider captured and gave back.
    pub provider: CardSums,
}

/// One order in our own tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnOrder {
    /// Whether a payment or charge names it.
    pub known: bool,
    /// Whether a saga still works on it.
    pub open: bool,
    /// What the ledger says.
    pub ledger: CardSums,
}

/// Card money of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardSums {
    /// From the buyer.
    pub captured: i64,
    /// Back to the buyer.
    pub returned: i64,
}

impl CardSums {
    /// What was taken and did not go back.
    #[must_use]
    pub const fn kept(self) -> i64 {
        self.captured - self.returned
    }
}

/// A reservation that booking says is or was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidFacts {
    /// Which.
    pub reservation_id: ReservationId,
    /// The payment that made it CONFIRMED; none when booking does not know one.
    pub payment_id: Option<PaymentId>,
    /// Its price.
    pub total: i64,
    /// Set when it was canceled after that.
    pub canceled: Option<CanceledFacts>,
}

/// A cancellation, as booking keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanceledFacts {
    /// The refund that it is for.
    pub refund_id: RefundId,
    /// What goes back.
    pub refund: i64,
    /// Whether booking was told that all of it is back.
    pub refunded: bool,
}

/// One reservation: what booking says, and its payments that succeeded or that booking names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationFacts {
    /// Which.
    pub reservation_id: ReservationId,
    /// None when booking does not say that it is or was paid.
    pub booking: Option<PaidFacts>,
    /// Ours.
    pub payments: Vec<PaymentFacts>,
}

/// A wallet's row beside the sums of its transfers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletFacts {
    /// Whose.
    pub user_id: UserId,
    /// The row.
    pub kept: Purse,
    /// The sums.
    pub told: Purse,
}

/// Points of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purse {
    /// Can be spent.
    pub balance: i64,
    /// Set aside.
    pub pending: i64,
}

/// A saga that still works on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFacts {
    /// `payment`, `charge` or `refund`.
    pub what: &'static str,
    /// Its id.
    pub id: uuid::Uuid,
    /// Where it stands.
    pub state: String,
    /// How long it has been under way.
    pub age_seconds: i64,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("PURCHASE", self.purchased),
            ("RETURN", self.returned),
            ("POST", self.posted),
            ("CAPTURE", self.captured),
            ("REFUND", self.card_refunded),
            ("REFUND_POINTS", self.points_refunded),
        ];
        let moved: Vec<_> = parts
            .into_iter()
            .filter(|(_, amount)| *amount != 0)
            .map(|(kind, amount)| format!("{kind} {amount}"))
            .collect();
        f.write_str(if moved.is_empty() { "nothing" } else { "" })?;
        f.write_str(&moved.join(", "))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points and {} by card", self.points, self.card)
    }
}

impl fmt::Display for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points, {} set aside", self.balance, self.pending)
    }
}

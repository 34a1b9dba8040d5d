//! What reconciliation finds: each kind of difference, what it means and what to do about it.

use serde::Serialize;
use uuid::Uuid;
use vocabulary::{ChargeId, PaymentId, RefundId, ReservationId, UserId};

use super::{Moved, Purse, Share};
use crate::domain::State;

macro_rules! differences {
    ($(
        $(#[$meta:meta])*
        $variant:ident { $($(#[$about:meta])* $field:ident: $kind:ty,)+ } => $code:literal, $cure:literal;
    )+) => {
        /// Two books that do not agree. Amounts are won, or points of a won each.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Difference {
            $($(#[$meta])* $variant { $($(#[$about])* $field: $kind,)+ },)+
        }

        impl Difference {
            /// The code of every kind.
            pub const CODES: &[&'static str] = &[$($code),+];

            /// The stable name of its kind.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code),+ }
            }

            /// What a person does about it.
            #[must_use]
            pub const fn cure(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $cure),+ }
            }
        }
    };
}

differences! {
    /// The provider took money for one of our orders, and the ledger never heard of it.
    CapturedNotInLedger {
        /// The order.
        order_id: String,
        /// What the provider captured.
        captured: i64,
    } => "captured-not-in-ledger",
        "Give the money back at the provider's console; if the buyer is to have what they paid for, let them pay anew.";
    /// The ledger has a capture that the provider does not.
    LedgerWithoutCapture {
        /// The order.
        order_id: String,
        /// What the ledger captured.
        captured: i64,
    } => "ledger-without-capture",
        "Ask the provider what became of the order: what it captured it owes us. If it captured nothing, the ledger was \
         changed: restore it from a backup.";
    /// Both have a capture, of different amounts.
    CapturedAmountDiffers {
        /// The order.
        order_id: String,
        /// What the provider captured.
        provider: i64,
        /// What the ledger captured.
        ledger: i64,
    } => "captured-amount-differs",
        "Give back at the provider's console what was taken too much, or ask the provider for what is short.";
    /// The ledger says that money went back, and the provider still has it.
    RefundMissingAtProvider {
        /// The order.
        order_id: String,
        /// What went back at the provider.
        provider: i64,
        /// What went back by the ledger.
        ledger: i64,
    } => "refund-missing-at-provider",
        "Give the missing part back at the provider's console.";
    /// Money went back at the provider, and the ledger does not know.
    RefundNotInLedger {
        /// The order.
        order_id: String,
        /// What went back at the provider.
        returned: i64,
    } => "refund-not-in-ledger",
        "Learn who gave it back. If all of it went back and the buyer is to lose the seats, cancel their reservation: its \
         refund finds that the money is back already. Otherwise ask the buyer for it.";
    /// More went back at the provider than the ledger says.
    RefundedTwice {
        /// The order.
        order_id: String,
        /// What went back at the provider.
        provider: i64,
        /// What went back by the ledger.
        ledger: i64,
    } => "refunded-twice",
        "Ask the provider to reverse the second refund, or the buyer to return it.";
    /// The provider holds a buyer's money for an order that nobody here made.
    UnknownOrderAtProvider {
        /// The order.
        order_id: String,
        /// What the provider holds.
        kept: i64,
    } => "unknown-order-at-provider",
        "If another shop uses the provider's account, give each its own; otherwise give the money back at the \
         provider's console.";
    /// A payment's row says otherwise than its transfers.
    PaymentDiffersFromLedger {
        /// The payment.
        payment_id: PaymentId,
        /// Where it stands.
        state: State,
        /// What its row asks for.
        expected: Moved,
        /// What its transfers add up to.
        found: Moved,
    } => "payment-differs-from-ledger",
        "Somebody wrote past the service: compare both with a backup and restore what was changed.";
    /// A refund's row says otherwise than its transfers.
    RefundDiffersFromLedger {
        /// The payment that is undone.
        payment_id: PaymentId,
        /// The refund; none when there is none, and money went back all the same.
        refund_id: Option<RefundId>,
        /// What its row asks for.
        due: Share,
        /// What its transfers add up to.
        found: Share,
    } => "refund-differs-from-ledger",
        "Somebody wrote past the service: compare both with a backup and restore what was changed.";
    /// A charge's row says otherwise than its transfer.
    ChargeDiffersFromLedger {
        /// The charge.
        charge_id: ChargeId,
        /// What its row asks for.
        expected: i64,
        /// What was credited.
        found: i64,
    } => "charge-differs-from-ledger",
        "Somebody wrote past the service: compare both with a backup and restore what was changed.";
    /// Booking says that a reservation was paid, and there is no such payment.
    ConfirmedWithoutPayment {
        /// The reservation.
        reservation_id: ReservationId,
        /// The payment that booking names.
        payment_id: Option<PaymentId>,
        /// The price.
        total: i64,
    } => "confirmed-without-payment",
        "If the payment was lost, restore it from a backup; otherwise the seats were given away: talk to the buyer and \
         take them back at booking.";
    /// A payment succeeded, and its reservation is not paid by it.
    PaidWithoutReservation {
        /// The reservation.
        reservation_id: ReservationId,
        /// The payment.
        payment_id: PaymentId,
        /// Points and card.
        paid: i64,
    } => "paid-without-reservation",
        "The buyer paid for seats that they do not have: restore the reservation from a backup, or give points and card \
         money back by hand.";
    /// A reservation's price is not what was paid for it.
    AmountDiffers {
        /// The reservation.
        reservation_id: ReservationId,
        /// The payment.
        payment_id: PaymentId,
        /// The price.
        total: i64,
        /// Points and card.
        paid: i64,
    } => "amount-differs",
        "Find out which of the two was changed, and restore it from a backup.";
    /// A paid reservation was canceled, and the refund that it was canceled for does not exist.
    RefundMissing {
        /// The reservation.
        reservation_id: ReservationId,
        /// The refund that booking names.
        refund_id: RefundId,
        /// The payment that was to be undone.
        payment_id: PaymentId,
        /// What was to go back.
        refund: i64,
    } => "refund-missing",
        "The buyer waits for their money: restore the refund from a backup, or give points and card money back by hand.";
    /// A refund was completed, and booking never canceled the reservation.
    RefundWithoutCancellation {
        /// The reservation.
        reservation_id: ReservationId,
        /// The refund.
        refund_id: RefundId,
    } => "refund-without-cancellation",
        "The buyer has both seats and money: find out which of the two books was changed, and restore it from a backup.";
    /// Booking's cancellation says another amount than went back.
    RefundAmountDiffers {
        /// The reservation.
        reservation_id: ReservationId,
        /// The refund.
        refund_id: RefundId,
        /// What booking says.
        booking: i64,
        /// What the refund gave.
        given: i64,
    } => "refund-amount-differs",
        "Find out which of the two was changed, and restore it from a backup.";
    /// All money of a refund is back, and booking was not told.
    RefundUntold {
        /// The reservation.
        reservation_id: ReservationId,
        /// The refund.
        refund_id: RefundId,
    } => "refund-untold",
        "The money is where it belongs: call booking's CompleteRefund for the refund.";
    /// A wallet's row says otherwise than its entries.
    WalletDiffersFromEntries {
        /// Whose.
        user_id: UserId,
        /// The row.
        kept: Purse,
        /// The sums of its entries.
        told: Purse,
    } => "wallet-differs-from-entries",
        "The entries are the truth: make sure that none is missing, then set the wallet's row to their sums.";
    /// A saga that has been under way for too long.
    Stuck {
        /// `payment`, `charge` or `refund`.
        what: &'static str,
        /// Its id.
        id: Uuid,
        /// Where it stands.
        state: String,
        /// Since when.
        age_seconds: i64,
    } => "stuck",
        "It is tried again and again: the log lines of its id say what stands in its way (the provider or booking away, \
         or a case for people).";
}

impl Difference {
    /// What is wrong, in a sentence.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::CapturedNotInLedger { order_id, captured } => {
                format!("the provider captured {captured} for order {order_id}, and the ledger nothing")
            }
            Self::LedgerWithoutCapture { order_id, captured } => {
                format!(
                    "the ledger says that {captured} were captured for order {order_id}, the provider nothing"
                )
            }
            Self::CapturedAmountDiffers {
                order_id,
                provider,
                ledger,
            } => {
                format!("for order {order_id} the provider captured {provider}, the ledger says {ledger}")
            }
            Self::RefundMissingAtProvider {
                order_id,
                provider,
                ledger,
            } => {
                format!("of order {order_id} the ledger gave {ledger} back, the provider {provider}")
            }
            Self::RefundNotInLedger { order_id, returned } => {
                format!("the provider gave {returned} of order {order_id} back, and the ledger nothing")
            }
            Self::RefundedTwice {
                order_id,
                provider,
                ledger,
            } => {
                format!("of order {order_id} the provider gave {provider} back, and the ledger only {ledger}")
            }
            Self::UnknownOrderAtProvider { order_id, kept } => {
                format!("the provider holds {kept} for order {order_id}, which no payment or charge names")
            }
            Self::PaymentDiffersFromLedger {
                payment_id,
                state,
                expected,
                found,
            } => {
                format!(
                    "payment {payment_id} is {state}, which asks for {expected}; its transfers are {found}"
                )
            }
            Self::RefundDiffersFromLedger {
                payment_id,
                refund_id: Some(refund_id),
                due,
                found,
            } => {
                format!("refund {refund_id} of payment {payment_id} owes {due}; its transfers are {found}")
            }
            Self::RefundDiffersFromLedger {
                payment_id,
                refund_id: None,
                found,
                ..
            } => {
                format!("payment {payment_id} has no refund, and its transfers gave {found} back")
            }
            Self::ChargeDiffersFromLedger {
                charge_id,
                expected,
                found,
            } => {
                format!("charge {charge_id} is to credit {expected}, and credited {found}")
            }
            Self::ConfirmedWithoutPayment {
                reservation_id,
                payment_id: Some(payment_id),
                total,
            } => format!(
                "booking says that payment {payment_id} paid {total} for reservation {reservation_id}, and it did not"
            ),
            Self::ConfirmedWithoutPayment {
                reservation_id,
                payment_id: None,
                total,
            } => {
                format!(
                    "booking says that {total} were paid for reservation {reservation_id}, and names no payment"
                )
            }
            Self::PaidWithoutReservation {
                reservation_id,
                payment_id,
                paid,
            } => format!(
                "payment {payment_id} paid {paid} for reservation {reservation_id}, which booking does not say is paid by it"
            ),
            Self::AmountDiffers {
                reservation_id,
                payment_id,
                total,
                paid,
            } => {
                format!("reservation {reservation_id} costs {total}, and payment {payment_id} paid {paid}")
            }
            Self::RefundMissing {
                reservation_id,
                refund_id,
                payment_id,
                refund,
            } => format!(
                "reservation {reservation_id} was canceled for refund {refund_id} of {refund}, and payment {payment_id} has none"
            ),
            Self::RefundWithoutCancellation {
                reservation_id,
                refund_id,
            } => {
                format!("refund {refund_id} is completed, and reservation {reservation_id} is not canceled")
            }
            Self::RefundAmountDiffers {
                reservation_id,
                refund_id,
                booking,
                given,
            } => format!(
                "reservation {reservation_id} was canceled for {booking}, and refund {refund_id} gave {given} back"
            ),
            Self::RefundUntold {
                reservation_id,
                refund_id,
            } => {
                format!(
                    "refund {refund_id} is completed, and booking still waits for it at reservation {reservation_id}"
                )
            }
            Self::WalletDiffersFromEntries { user_id, kept, told } => {
                format!("the wallet of user {user_id} says {kept}; its entries say {told}")
            }
            Self::Stuck {
                what,
                id,
                state,
                age_seconds,
            } => {
                format!("{what} {id} has been {state} or on its way there for {age_seconds} s")
            }
        }
    }
}

/// As the report shows it.
#[derive(Serialize)]
struct Shown<'a> {
    code: &'a str,
    cause: String,
    cure: &'a str,
}

impl Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = Shown {
            code: self.code(),
            cause: self.cause(),
            cure: self.cure(),
        };
        shown.serialize(serializer)
    }
}

//! What a payment is and may become, in pure functions: no clock, no store, no network.

mod card;
mod charge;
mod ledger;
mod machine;
mod payment;
pub mod reconcile;
mod refund;
mod share;
mod state;
mod terms;

pub use card::{CardCharge, InvalidCard, OrderId, PaymentKey};
pub use charge::{
    Charge, ChargeEvent, ChargeState, InvalidCharge, NewCharge, charge_amount, charge_order, own_charge_order,
};
pub use ledger::{Movement, TransferKind, movements};
pub use machine::{Refused, UnknownState};
pub use payment::{NewPayment, Payment};
pub use refund::{NewRefund, Refund, RefundEvent, RefundReason, RefundState};
pub use share::{InvalidShare, PaidBy, Share};
pub use state::{Event, State};
pub use terms::{Terms, TermsError, split};

//! What a payment is and may become, in pure functions: no clock, no store, no network.

mod card;
mod ledger;
mod machine;
mod payment;
mod state;
mod terms;

pub use card::{CardCharge, InvalidCard, OrderId, PaymentKey};
pub use ledger::{Movement, TransferKind, movements};
pub use machine::{Refused, UnknownState};
pub use payment::{NewPayment, Payment};
pub use state::{Event, State};
pub use terms::{Terms, TermsError, split};

//! The provider's JSON: the few fields that decide anything.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use time::OffsetDateTime;
use vocabulary::Amount;

use super::classify::{self, Standing};
use crate::domain::OrderId;
use crate::provider::{Balance, Charge, TransactionKind};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfirmBody<'a> {
    pub payment_key: &'a str,
    pub order_id: &'a str,
    pub amount: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelBody {
    pub cancel_reason: &'static str,
    pub cancel_amount: i64,
    /// What we take to be left; the provider refuses when it is not.
    pub refundable_amount: i64,
}

#[derive(Deserialize)]
pub(super) struct ErrorObject {
    pub code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentObject {
    pub payment_key: String,
    pub order_id: String,
    pub status: String,
    total_amount: Number,
    balance_amount: Option<Number>,
}

impl PaymentObject {
    pub(super) fn standing(&self) -> Standing {
        classify::standing(&self.status)
    }

    /// Whether it is of this key, order and amount.
    pub(super) fn is(&self, charge: &Charge) -> bool {
        self.payment_key == charge.payment_key.expose()
            && self.order_id == charge.order_id.as_str()
            && whole(&self.total_amount) == Some(charge.amount)
    }

    /// What it says of the order's money. Not by the status alone: after a last part the provider goes on saying
    /// `PARTIAL_CANCELED`.
    pub(super) fn balance(&self, order_id: &OrderId) -> Balance {
        if self.order_id != order_id.as_str() {
            return Balance::Unknown;
        }
        match classify::money(&self.status) {
            Some(true) => match (
                whole(&self.total_amount),
                self.balance_amount.as_ref().and_then(whole),
            ) {
                (Some(total), Some(left)) if left <= total => Balance::Captured { total, left },
                _ => Balance::Unknown,
            },
            Some(false) => Balance::NotCaptured,
            None => Balance::Unknown,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionObject {
    pub transaction_key: String,
    pub order_id: String,
    status: String,
    amount: Number,
    #[serde(with = "time::serde::rfc3339")]
    pub transaction_at: OffsetDateTime,
}

impl TransactionObject {
    /// What moved: `Some(None)` when nothing did, `None` when that cannot be told.
    pub(super) fn moved(&self) -> Option<Option<(TransactionKind, Amount)>> {
        let kind = match self.status.as_str() {
            "DONE" => TransactionKind::Capture,
            "CANCELED" | "PARTIAL_CANCELED" => TransactionKind::Cancel,
            status => return (classify::money(status) == Some(false)).then_some(None),
        };
        // What went back may be written below zero; its direction is in the status.
        let amount = self.amount.as_i64()?.checked_abs()?;
        Some(Some((kind, Amount::new(amount).ok()?)))
    }
}

fn whole(number: &Number) -> Option<Amount> {
    Amount::new(number.as_i64()?).ok()
}

//! The provider's list of transactions: every capture and every cancellation by itself, in the order in which they happened.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, de};
use time::{
    OffsetDateTime, PrimitiveDateTime,
    format_description::BorrowedFormatItem,
    macros::{format_description, offset},
};

use crate::{
    errors::ErrorCode,
    payments::{Payment, Status, Won},
};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 5_000;
/// Korean time, and without saying so.
const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");

/// Which part of the list is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListTransactions {
    #[serde(deserialize_with = "korean_time")]
    start_date: OffsetDateTime,
    #[serde(deserialize_with = "korean_time")]
    end_date: OffsetDateTime,
    starting_after: Option<String>,
    limit: Option<usize>,
}

/// Money that moved, at one moment and one way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction<'a> {
    pub payment: &'a Payment,
    pub key: &'a str,
    pub at: OffsetDateTime,
    pub status: Status,
    pub amount: Won,
}

impl ListTransactions {
    /// The transactions of `payments` that were asked for, oldest first.
    pub(crate) fn among<'a>(&self, payments: &'a [Payment]) -> Result<Vec<Transaction<'a>>, ErrorCode> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if self.start_date > self.end_date || !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ErrorCode::InvalidRequest);
        }
        let seconds = |at: OffsetDateTime| at.unix_timestamp();
        let window = seconds(self.start_date)..=seconds(self.end_date);
        let mut all: Vec<_> = payments.iter().flat_map(of).collect();
        all.retain(|transaction| window.contains(&seconds(transaction.at)));
        all.sort_by(in_order);
        let first = match &self.starting_after {
            None => 0,
            Some(key) => {
                let last = all.iter().position(|transaction| transaction.key == key);
                last.ok_or(ErrorCode::InvalidTransactionKey)? + 1
            }
        };
        Ok(all.into_iter().skip(first).take(limit).collect())
    }
}

fn in_order(a: &Transaction<'_>, b: &Transaction<'_>) -> Ordering {
    (a.at, a.key).cmp(&(b.at, b.key))
}

fn of(payment: &Payment) -> impl Iterator<Item = Transaction<'_>> {
    let capture = payment.capture.iter().map(|capture| Transaction {
        payment,
        key: &capture.transaction_key,
        at: capture.approved_at,
        status: Status::Done,
        amount: payment.amount,
    });
    let cancels = payment.cancels.iter().map(|cancel| Transaction {
        payment,
        key: &cancel.transaction_key,
        at: cancel.canceled_at,
        status: if cancel.amount == payment.amount {
            Status::Canceled
        } else {
            Status::PartialCanceled
        },
        amount: cancel.amount,
    });
    capture.chain(cancels)
}

fn korean_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = PrimitiveDateTime::parse(&text, TIME).map_err(de::Error::custom)?;
    Ok(time.assume_offset(offset!(+9)))
}

//! Toss Payments over HTTP. Its sandbox, and the simulator, are another URL and key.

mod breaker;
mod classify;
mod config;
mod exchange;
mod wire;

use std::time::Instant;

use futures::future::BoxFuture;
use reqwest::{Method, RequestBuilder};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::{format_description, offset};
use tracing::{Instrument as _, Span};

use self::classify::{CancelMeaning, Meaning, Standing};
use self::exchange::{Exchange, Failure};
use self::wire::{CancelBody, ConfirmBody, PaymentObject, TransactionObject};
use super::{
    Balance, Cancel, Cancellation, Charge, Closed, Confirmation, Found, Lookup, NoAnswer, PaymentProvider,
    Transaction, TransactionPage, Window,
};
use crate::domain::OrderId;

pub use self::config::TossConfig;

/// More than any payment that the provider answers with; what is longer is not one.
const MAX_PAYMENT_BYTES: usize = 64 * 1024;
/// Transactions asked for at once, of the 5,000 that the provider would give.
const PAGE_LIMIT: usize = 500;
/// A transaction takes half a KiB.
const MAX_PAGE_BYTES: usize = PAGE_LIMIT * 2 * 1024;
/// How the provider reads times: in Korea, and without saying so.
const KOREAN_TIME: &[FormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

/// The adapter.
#[derive(Debug)]
pub struct TossProvider {
    exchange: Exchange,
}

impl TossProvider {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// The TLS set-up fails.
    pub fn new(config: &TossConfig) -> anyhow::Result<Self> {
        Ok(Self {
            exchange: Exchange::new(config)?,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let path: Vec<_> = std::iter::once("payments").chain(path.iter().copied()).collect();
        self.exchange.request(method, &path)
    }

    async fn payment(&self, request: Result<RequestBuilder, Failure>) -> Result<PaymentObject, Failure> {
        self.exchange.send(request?, MAX_PAYMENT_BYTES).await
    }

    async fn confirmation(&self, charge: &Charge) -> Confirmation {
        let body = ConfirmBody {
            payment_key: charge.payment_key.expose(),
            order_id: charge.order_id.as_str(),
            amount: charge.amount.get(),
        };
        let request = self.request(Method::POST, &["confirm"]);
        let keyed = request.map(|request| {
            request
                .header("Idempotency-Key", &charge.idempotency_key)
                .json(&body)
        });
        match self.payment(keyed).await {
            Ok(payment) if payment.standing() == Standing::Captured && payment.is(charge) => {
                Confirmation::Captured
            }
            Ok(_) | Err(Failure::Garbage) => Confirmation::Unknown { answered: true },
            Err(Failure::NotSent) => Confirmation::NotSent,
            Err(Failure::Lost) => Confirmation::Unknown { answered: false },
            Err(Failure::Refused(code)) => match classify::confirmation(&code) {
                Meaning::Declined => Confirmation::Declined { code },
                Meaning::Rejected => Confirmation::Rejected { code },
                Meaning::AlreadyProcessed => Confirmation::AlreadyProcessed,
                Meaning::OrderUsed => Confirmation::OrderUsed,
                Meaning::StillRunning => Confirmation::Unknown { answered: false },
                Meaning::TryAgain => Confirmation::Unknown { answered: true },
            },
        }
    }

    async fn look_up(&self, charge: &Charge, by: Lookup<'_>) -> Found {
        let request = match by {
            Lookup::Order(order_id) => self.request(Method::GET, &["orders", order_id.as_str()]),
            Lookup::Key(payment_key) => self.request(Method::GET, &[payment_key.expose()]),
        };
        match self.payment(request).await {
            Ok(payment) if payment.order_id != charge.order_id.as_str() => match by {
                Lookup::Key(_) => Found::AnotherOrder,
                Lookup::Order(_) => Found::Unknown,
            },
            Ok(payment) if payment.payment_key != charge.payment_key.expose() => match by {
                Lookup::Order(_) => Found::AnotherKey,
                Lookup::Key(_) => Found::Unknown,
            },
            Ok(payment) => match payment.standing() {
                Standing::Captured if payment.is(charge) => Found::Captured,
                Standing::Captured | Standing::Odd => Found::Mismatch,
                Standing::NotCaptured => Found::NotCaptured,
                Standing::Open => Found::Open,
            },
            Err(failure) if is_not_found(&failure) => Found::Open,
            Err(failure) => {
                warn_of_refusal(&failure);
                Found::Unknown
            }
        }
    }

    /// The order's money, and the key by which it goes back if there is any.
    async fn money(&self, order_id: &OrderId) -> (Balance, Option<String>) {
        let request = self.request(Method::GET, &["orders", order_id.as_str()]);
        match self.payment(request).await {
            Ok(payment) => (payment.balance(order_id), Some(payment.payment_key)),
            Err(failure) if is_not_found(&failure) => (Balance::NotCaptured, None),
            Err(failure) => {
                warn_of_refusal(&failure);
                (Balance::Unknown, None)
            }
        }
    }

    async fn cancellation(&self, cancel: &Cancel) -> Cancellation {
        let Some(left_after) = cancel.left() else {
            return Cancellation::Mismatch;
        };
        let payment_key = match self.money(&cancel.order_id).await {
            (Balance::Unknown, _) => return Cancellation::Unknown { answered: false },
            (Balance::Captured { total, left }, Some(payment_key)) if total == cancel.captured => {
                if left == left_after {
                    return Cancellation::Canceled;
                }
                if left != total {
                    return Cancellation::Mismatch;
                }
                payment_key
            }
            (Balance::Captured { .. } | Balance::NotCaptured, _) => return Cancellation::Mismatch,
        };
        let body = CancelBody {
            cancel_reason: cancel.reason,
            cancel_amount: cancel.amount.get(),
            refundable_amount: cancel.captured.get(),
        };
        let request = self.request(Method::POST, &[&payment_key, "cancel"]);
        let keyed = request.map(|request| {
            request
                .header("Idempotency-Key", &cancel.idempotency_key)
                .json(&body)
        });
        let canceled = Balance::Captured {
            total: cancel.captured,
            left: left_after,
        };
        match self.payment(keyed).await {
            Ok(payment) if payment.balance(&cancel.order_id) == canceled => Cancellation::Canceled,
            Ok(_) | Err(Failure::Garbage) => Cancellation::Unknown { answered: true },
            Err(Failure::NotSent | Failure::Lost) => Cancellation::Unknown { answered: false },
            Err(Failure::Refused(code)) => match classify::cancellation(&code) {
                CancelMeaning::StillRunning => Cancellation::Unknown { answered: false },
                CancelMeaning::LookAgain | CancelMeaning::TryAgain => {
                    Cancellation::Unknown { answered: true }
                }
                CancelMeaning::Refused => Cancellation::Refused { code },
            },
        }
    }

    async fn page(&self, window: &Window, after: Option<&str>) -> Result<TransactionPage, Failure> {
        let from = korean(window.from)?;
        let until = korean(window.until)?;
        let limit = PAGE_LIMIT.to_string();
        let mut query = vec![("startDate", &*from), ("endDate", &*until), ("limit", &*limit)];
        query.extend(after.map(|key| ("startingAfter", key)));
        let request = self
            .exchange
            .request(Method::GET, &["transactions"])?
            .query(&query);
        let listed: Vec<TransactionObject> = self.exchange.send(request, MAX_PAGE_BYTES).await?;
        let next = (listed.len() >= PAGE_LIMIT)
            .then(|| listed.last().map(|last| last.transaction_key.clone()))
            .flatten();
        let mut transactions = Vec::with_capacity(listed.len());
        for object in listed {
            if let Some((kind, amount)) = object.moved().ok_or(Failure::Garbage)? {
                transactions.push(Transaction {
                    key: object.transaction_key,
                    order_id: object.order_id,
                    kind,
                    amount,
                    at: object.transaction_at,
                });
            }
        }
        Ok(TransactionPage { transactions, next })
    }
}

impl PaymentProvider for TossProvider {
    fn closed(&self) -> Option<Closed> {
        self.exchange.closed()
    }

    fn confirm<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Confirmation> {
        observed(
            "confirm",
            self.confirmation(charge),
            |confirmation| match confirmation {
                Confirmation::Captured => "captured",
                Confirmation::Declined { .. } => "declined",
                Confirmation::Rejected { .. } => "rejected",
                Confirmation::NotSent => "not-sent",
                Confirmation::AlreadyProcessed => "already-processed",
                Confirmation::OrderUsed => "order-used",
                Confirmation::Unknown { .. } => "unknown",
            },
        )
    }

    fn find<'a>(&'a self, charge: &'a Charge, by: Lookup<'a>) -> BoxFuture<'a, Found> {
        observed("find", self.look_up(charge, by), |found| match found {
            Found::Captured => "captured",
            Found::Mismatch => "mismatch",
            Found::NotCaptured => "not-captured",
            Found::AnotherOrder => "another-order",
            Found::AnotherKey => "another-key",
            Found::Open => "open",
            Found::Unknown => "unknown",
        })
    }

    fn cancel<'a>(&'a self, cancel: &'a Cancel) -> BoxFuture<'a, Cancellation> {
        observed(
            "cancel",
            self.cancellation(cancel),
            |cancellation| match cancellation {
                Cancellation::Canceled => "canceled",
                Cancellation::Unknown { .. } => "unknown",
                Cancellation::Mismatch => "mismatch",
                Cancellation::Refused { .. } => "refused",
            },
        )
    }

    fn balance<'a>(&'a self, order_id: &'a OrderId) -> BoxFuture<'a, Balance> {
        let balance = async move { self.money(order_id).await.0 };
        observed("balance", balance, |balance| match balance {
            Balance::Captured { .. } => "captured",
            Balance::NotCaptured => "not-captured",
            Balance::Unknown => "unknown",
        })
    }

    fn transactions<'a>(
        &'a self,
        window: &'a Window,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<TransactionPage, NoAnswer>> {
        let page = async move {
            self.page(window, after).await.map_err(|failure| {
                warn_of_refusal(&failure);
                NoAnswer
            })
        };
        observed("transactions", page, |page| match page {
            Ok(_) => "listed",
            Err(NoAnswer) => "unknown",
        })
    }
}

/// A call within a span and a metric of its own. Its URL may hold a payment key and stays out of both.
fn observed<'a, T: Send + 'a>(
    call: &'static str,
    future: impl Future<Output = T> + Send + 'a,
    outcome: fn(&T) -> &'static str,
) -> BoxFuture<'a, T> {
    Box::pin(async move {
        let started = Instant::now();
        let answer = future.instrument(call_span(call)).await;
        metrics::histogram!("payment_provider_seconds", "call" => call, "outcome" => outcome(&answer))
            .record(started.elapsed());
        answer
    })
}

fn call_span(call: &'static str) -> Span {
    tracing::info_span!(
        "provider",
        otel.kind = "client",
        otel.name = format!("provider {call}"),
        provider_call = call
    )
}

fn is_not_found(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(code) if code == "NOT_FOUND_PAYMENT" || code == "NOT_FOUND")
}

fn warn_of_refusal(failure: &Failure) {
    if let Failure::Refused(code) = failure {
        tracing::warn!(provider_code = code, "the payment provider refused a look-up");
    }
}

fn korean(at: OffsetDateTime) -> Result<String, Failure> {
    at.to_offset(offset!(+9))
        .format(KOREAN_TIME)
        .map_err(|_| Failure::NotSent)
}

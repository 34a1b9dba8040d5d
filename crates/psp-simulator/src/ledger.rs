//! The books: every payment by key and by order, every first answer, and the journal of both. One lock makes each
//! request one step: decided, journalled and remembered, or none of it.
//!
//! Locking is synchronous and so is the short write to the journal under it: no request waits for another's delay.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    behaviour::{Delivery, Script},
    config::Pace,
    errors::ErrorCode,
    idempotency::{Answers, Scope},
    journal::{Journal, JournalError, Record},
    payments::{self, CancelReason, Event, OrderId, Payment, PaymentKey, Stamp, Won},
};

/// The least that a card can be charged, in won.
const LEAST_AMOUNT: u64 = 100;

/// A request to capture an authenticated payment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Confirm {
    payment_key: PaymentKey,
    order_id: OrderId,
    amount: Won,
}

/// A request to give money back: `cancel_amount`, or all that is left, where `refundable_amount` is left.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelPayment {
    cancel_reason: CancelReason,
    cancel_amount: Option<Won>,
    refundable_amount: Option<Won>,
}

/// What a request came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "camelCase")]
pub(crate) enum Decision {
    /// Done; the answer is the payment as it stood then.
    Granted { payment: Arc<Payment> },
    /// Refused, and the payment keeps the mark of it.
    RefusedWithMark {
        payment: Arc<Payment>,
        refused: ErrorCode,
    },
    /// Refused, and nothing changed.
    Refused { refused: ErrorCode },
}

impl Decision {
    fn changed(&self) -> Option<&Arc<Payment>> {
        match self {
            Self::Granted { payment } | Self::RefusedWithMark { payment, .. } => Some(payment),
            Self::Refused { .. } => None,
        }
    }

    /// Whether the answer tells of a capture that comes later than `now`.
    pub(crate) fn is_still_to_come(&self, now: OffsetDateTime) -> bool {
        self.changed()
            .is_some_and(|payment| payment.is_being_captured(now))
    }

    /// What the caller is told.
    pub(crate) fn answer(&self) -> Result<&Payment, ErrorCode> {
        match self {
            Self::Granted { payment } => Ok(payment),
            Self::RefusedWithMark { refused, .. } | Self::Refused { refused } => Err(*refused),
        }
    }
}

impl From<ErrorCode> for Decision {
    fn from(refused: ErrorCode) -> Self {
        Self::Refused { refused }
    }
}

/// A decision on its way to the caller.
#[derive(Debug)]
pub(crate) struct Reply {
    pub decision: Decision,
    pub delivery: Delivery,
    /// The payment, when this changed its status.
    pub news: Option<Arc<Payment>>,
}

impl Reply {
    fn prompt(decision: Decision) -> Self {
        Self {
            decision,
            delivery: Delivery::Prompt,
            news: None,
        }
    }
}

impl From<ErrorCode> for Reply {
    fn from(refused: ErrorCode) -> Self {
        Self::prompt(refused.into())
    }
}

/// The books of one simulator.
#[derive(Debug)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
    pace: Pace,
}

#[derive(Debug, Default)]
struct Books {
    payments: HashMap<PaymentKey, Arc<Payment>>,
    /// The payment that was last tried for an order.
    orders: HashMap<OrderId, PaymentKey>,
    answers: Answers,
    journal: Option<Journal>,
}

impl Ledger {
    /// Opens the books, as the journal left them if there is one.
    pub(crate) fn open(journal: Option<&Path>, pace: Pace) -> Result<Self, JournalError> {
        let mut books = Books::default();
        if let Some(path) = journal {
            books.journal = Some(Journal::open(path, |record| books.remember(record, None))?);
        }
        Ok(Self {
            books: Mutex::new(books),
            pace,
        })
    }

    /// Captures a payment, or meets the fate that its key foretells.
    pub(crate) fn confirm(&self, scope: Option<Scope>, request: Result<Confirm, ErrorCode>) -> Reply {
        let late_by = self.pace.late;
        self.once(scope, |books, now| match request {
            Ok(request) => books.decide_confirm(request, late_by, now),
            Err(refusal) => refusal.into(),
        })
    }

    /// Gives back all or a part of a captured payment.
    pub(crate) fn cancel(
        &self,
        scope: Option<Scope>,
        payment_key: String,
        request: Result<CancelPayment, ErrorCode>,
    ) -> Reply {
        let pace = self.pace.between_cancels;
        self.once(scope, |books, now| {
            let decided = request.and_then(|request| books.decide_cancel(payment_key, request, pace, now));
            decided.unwrap_or_else(Reply::from)
        })
    }

    /// The payment with this key.
    pub(crate) fn by_key(&self, payment_key: String) -> Result<Payment, ErrorCode> {
        self.books().by_key(payment_key, OffsetDateTime::now_utc())
    }

    /// The payment that was last tried for this order.
    pub(crate) fn by_order(&self, order_id: String) -> Result<Payment, ErrorCode> {
        let order_id = OrderId::try_from(order_id).map_err(|_| ErrorCode::NotFoundPayment)?;
        let books = self.books();
        let payment = books
            .orders
            .get(&order_id)
            .and_then(|key| books.payments.get(key));
        let payment = payment.ok_or(ErrorCode::NotFoundPayment)?;
        Ok(payment.as_of(OffsetDateTime::now_utc()))
    }

    /// Every payment, oldest first.
    pub(crate) fn all(&self) -> Vec<Payment> {
        let now = OffsetDateTime::now_utc();
        let mut payments: Vec<_> = self
            .books()
            .payments
            .values()
            .map(|payment| payment.as_of(now))
            .collect();
        payments.sort_by(|a, b| (a.requested_at, &a.payment_key).cmp(&(b.requested_at, &b.payment_key)));
        payments
    }

    /// Decides a request unless its scope was answered before, and journals what must not be forgotten.
    fn once(&self, scope: Option<Scope>, decide: impl FnOnce(&Books, OffsetDateTime) -> Reply) -> Reply {
        let now = OffsetDateTime::now_utc();
        let mut books = self.books();
        if let Some(scope) = &scope {
            match books.answers.find(scope, now) {
                Ok(Some(first)) => {
                    return Reply::prompt(first.clone());
                }
                Ok(None) => {}
                Err(refusal) => return refusal.into(),
            }
        }

        let mut reply = decide(&books, now);
        reply.news = books.news(&reply.decision);
        let record = Record {
            at: now,
            scope,
            decision: reply.decision.clone(),
        };
        if record.scope.is_none() && record.decision.changed().is_none() {
            return reply;
        }
        if let Some(journal) = &mut books.journal
            && let Err(error) = journal.append(&record)
        {
            tracing::error!(%error, "the journal refused a record: nothing happened");
            return ErrorCode::FailedInternalSystemProcessing.into();
        }
        let running_until = (reply.delivery == Delivery::Late).then(|| Instant::now() + self.pace.slow);
        books.remember(record, running_until);
        reply
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn decide_confirm(&self, request: Confirm, late_by: time::Duration, now: OffsetDateTime) -> Reply {
        let Confirm {
            payment_key,
            order_id,
            amount,
        } = request;
        let Some(script) = Script::of(&payment_key) else {
            return ErrorCode::NotFoundPaymentSession.into();
        };
        if amount.get() < LEAST_AMOUNT {
            return ErrorCode::BelowMinimumAmount.into();
        }
        let payment = match self.payments.get(&payment_key) {
            Some(payment) if payment.is_being_captured(now) => {
                return ErrorCode::ForbiddenConsecutiveRequest.into();
            }
            Some(payment) => payment.as_of(now),
            None if self.order_is_taken(&order_id, now) => return ErrorCode::DuplicatedOrderId.into(),
            None => Payment::authenticated(payment_key, order_id.clone(), amount, now),
        };
        let event = script.confirmation(payment.faults, late_by);
        let after = match payments::apply(&payment, &event, stamp(now)) {
            // A buyer authenticates one payment for one order and one amount.
            Ok(_) if payment.order_id != order_id || payment.amount != amount => {
                return ErrorCode::NotFoundPaymentSession.into();
            }
            Ok(after) => Arc::new(after),
            Err(refusal) => return refusal.into(),
        };
        let marked = |refused| Decision::RefusedWithMark {
            payment: Arc::clone(&after),
            refused,
        };
        match event {
            Event::Decline => Reply::prompt(marked(ErrorCode::RejectCardPayment)),
            Event::Fault => Reply::prompt(marked(ErrorCode::ProviderError)),
            event => Reply {
                delivery: script.delivery(&event),
                ..Reply::prompt(Decision::Granted { payment: after })
            },
        }
    }

    fn decide_cancel(
        &self,
        payment_key: String,
        request: CancelPayment,
        pace: Duration,
        now: OffsetDateTime,
    ) -> Result<Reply, ErrorCode> {
        let payment = self.by_key(payment_key, now)?;
        let last = payment.cancels.last();
        if last.is_some_and(|last| last.canceled_at + pace > now) {
            return Err(ErrorCode::ForbiddenConsecutiveRequest);
        }
        let asked = Event::Cancel {
            amount: request.cancel_amount,
            expected_balance: request.refundable_amount,
            reason: request.cancel_reason,
        };
        let script = Script::of(&payment.payment_key).ok_or(ErrorCode::NotFoundPayment)?;
        let event = script.cancellation(payment.cancel_faults, asked);
        let after = Arc::new(payments::apply(&payment, &event, stamp(now))?);
        Ok(if event == Event::CancelFault {
            Reply::prompt(Decision::RefusedWithMark {
                payment: after,
                refused: ErrorCode::ProviderError,
            })
        } else {
            Reply {
                delivery: script.delivery(&event),
                ..Reply::prompt(Decision::Granted { payment: after })
            }
        })
    }

    /// The payment after a decision that changed how it stands.
    fn news(&self, decision: &Decision) -> Option<Arc<Payment>> {
        let standing = |payment: &Payment| (payment.status, payment.cancels.len());
        let after = decision.changed()?;
        let before = self.payments.get(&after.payment_key);
        let is_new = match before {
            Some(before) => standing(before) != standing(after),
            None => decision.answer() != Err(ErrorCode::ProviderError),
        };
        is_new.then(|| Arc::clone(after))
    }

    fn by_key(&self, payment_key: String, now: OffsetDateTime) -> Result<Payment, ErrorCode> {
        let payment_key = PaymentKey::try_from(payment_key).map_err(|_| ErrorCode::NotFoundPayment)?;
        let payment = self
            .payments
            .get(&payment_key)
            .ok_or(ErrorCode::NotFoundPayment)?;
        Ok(payment.as_of(now))
    }

    fn order_is_taken(&self, order_id: &OrderId, now: OffsetDateTime) -> bool {
        let payment = self.orders.get(order_id).and_then(|key| self.payments.get(key));
        payment.is_some_and(|payment| !payment.as_of(now).leaves_order_open())
    }

    fn remember(&mut self, record: Record, running_until: Option<Instant>) {
        if let Some(payment) = record.decision.changed() {
            self.orders
                .insert(payment.order_id.clone(), payment.payment_key.clone());
            self.payments
                .insert(payment.payment_key.clone(), Arc::clone(payment));
        }
        if let Some(scope) = record.scope {
            self.answers
                .remember(scope, record.decision, record.at, running_until);
        }
    }
}

fn stamp(at: OffsetDateTime) -> Stamp {
    Stamp {
        at,
        transaction_key: format!("{:X}", Uuid::new_v4().simple()),
    }
}

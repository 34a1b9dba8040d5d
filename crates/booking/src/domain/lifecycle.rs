//! The reservation machine:
//!
//! ```text
//! PENDING   -> PAYING -> CONFIRMED
//! PENDING   -> EXPIRED | CANCELED (by its owner, or with its date)
//! PAYING    -> PENDING (the payment ended without success, time is left) | EXPIRED (none is left, or the grace is over)
//!              | CANCELED (the payment ended without success after the date was canceled)
//! CONFIRMED -> CANCELED (by a recorded cancellation)
//! ```
//!
//! [`Lifecycle::apply`] is the rule. The store carries each step out as one guarded `UPDATE` that repeats it.

use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::{PaymentId, RefundId, ReservationStatus};

use super::refund_policy::Percent;
use super::seat::SeatEvent;

/// The part of a reservation that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// Where it stands.
    pub state: State,
    /// The fence: grows by 1 with every change of the state's word.
    pub version: u64,
    /// The number of the next card attempt, from 1.
    pub attempt: u32,
    /// When the unpaid hold ends.
    pub expires_at: OffsetDateTime,
    /// The last payment that ended without success.
    pub released_payment: Option<PaymentId>,
}

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Held, waiting for a payment.
    Pending,
    /// A payment runs.
    Paying {
        /// Which.
        payment: PaymentId,
        /// When the reservation lapses all the same; `None` while the payment's outcome is unknown.
        lapses_at: Option<OffsetDateTime>,
    },
    /// Paid.
    Confirmed {
        /// By this.
        payment: PaymentId,
    },
    /// Not paid in time.
    Expired,
    /// Given up; or canceled after it was paid, and then how.
    Canceled(Option<Cancellation>),
}

/// How a paid reservation was canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancellation {
    /// The payment that had made it CONFIRMED.
    pub payment: PaymentId,
    /// The refund that it was canceled for.
    pub refund_id: RefundId,
    /// When.
    pub canceled_at: OffsetDateTime,
    /// The share of the total that goes back.
    pub percent: Percent,
    /// Whether the whole date was canceled, and not only this reservation.
    pub with_schedule: bool,
    /// When all of it was back where it came from.
    pub refunded_at: Option<OffsetDateTime>,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn status(&self) -> ReservationStatus {
        match self {
            Self::Pending => ReservationStatus::Pending,
            Self::Paying { .. } => ReservationStatus::Paying,
            Self::Confirmed { .. } => ReservationStatus::Confirmed,
            Self::Expired => ReservationStatus::Expired,
            Self::Canceled(_) => ReservationStatus::Canceled,
        }
    }
}

/// What happens to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A payment begins.
    BeginPayment {
        /// Which.
        payment: PaymentId,
        /// How long it may run beyond the hold's end before the reservation lapses.
        grace: Duration,
    },
    /// A payment's outcome is not known.
    MarkPaymentUnknown {
        /// Which payment.
        payment: PaymentId,
        /// The fence that it was given.
        version: u64,
    },
    /// A payment succeeded.
    Confirm {
        /// Which.
        payment: PaymentId,
        /// The fence that it was given.
        version: u64,
    },
    /// A payment was declined or abandoned.
    ReleasePayment {
        /// Which.
        payment: PaymentId,
        /// The fence that it was given.
        version: u64,
    },
    /// The owner gives an unpaid hold up.
    Release,
    /// Time passed.
    Expire,
    /// A hold is given up because its date was canceled.
    GiveUp,
    /// A paid reservation is canceled.
    Cancel {
        /// For which refund.
        refund_id: RefundId,
        /// When that was asked for; not in the future.
        asked_at: OffsetDateTime,
        /// What the date's refund policy gave back then; `None` when its window was closed.
        share: Option<Percent>,
    },
    /// All money of a canceled reservation is back where it came from.
    CompleteRefund {
        /// Of which refund.
        refund_id: RefundId,
    },
}

/// What decides a step besides the reservation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: OffsetDateTime,
    /// When the reservation's date was canceled; `None` while it stands.
    pub date_canceled_at: Option<OffsetDateTime>,
}

impl Moment {
    const fn date_canceled(self) -> bool {
        self.date_canceled_at.is_some()
    }
}

/// What an event comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It changes the reservation to this.
    Moved(Lifecycle),
    /// It has happened before; nothing changes.
    Unchanged,
}

/// Why an event is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another payment runs.
    #[error("another payment runs")]
    PaymentInProgress,
    /// A payment succeeded.
    #[error("a payment succeeded before")]
    AlreadyPaid,
    /// The reservation ended, or its time is over.
    #[error("the time to pay is over")]
    WindowClosed,
    /// This payment ended without success; a new one is needed.
    #[error("this payment has ended")]
    PaymentEnded,
    /// The payment shows a fence that is not the present one.
    #[error("the version is not the present one")]
    StaleVersion,
    /// A payment runs or succeeded, so the hold is not the owner's to give up.
    #[error("a payment runs or succeeded")]
    NotReleasable,
    /// Time is left, or the reservation does not lapse.
    #[error("the reservation is not due")]
    NotDue,
    /// The date was canceled: nothing of it can be paid any more.
    #[error("the date was canceled")]
    ScheduleCanceled,
    /// It is not paid, or was canceled for another refund.
    #[error("the reservation is not paid, or was canceled for another refund")]
    NotCancelable,
    /// The date's refund policy gives nothing back any more.
    #[error("the time to cancel is over")]
    CancellationWindowClosed,
}

impl Lifecycle {
    /// A new hold that ends at `expires_at`.
    #[must_use]
    pub const fn held_until(expires_at: OffsetDateTime) -> Self {
        Self {
            state: State::Pending,
            version: 1,
            attempt: 1,
            expires_at,
            released_payment: None,
        }
    }

    /// When the reservation lapses by itself; `None` when it never does.
    #[must_use]
    pub const fn lapses_at(&self) -> Option<OffsetDateTime> {
        match self.state {
            State::Pending => Some(self.expires_at),
            State::Paying { lapses_at, .. } => lapses_at,
            State::Confirmed { .. } | State::Expired | State::Canceled(_) => None,
        }
    }

    /// What `event` comes to at this moment.
    ///
    /// # Errors
    /// The event is refused in this state.
    pub fn apply(&self, event: Event, at: Moment) -> Result<Step, Refused> {
        match event {
            Event::BeginPayment { payment, grace } => self.begin_payment(payment, grace, at),
            Event::MarkPaymentUnknown { payment, version } => self.mark_payment_unknown(payment, version, at),
            Event::Confirm { payment, version } => self.confirm(payment, version, at),
            Event::ReleasePayment { payment, version } => self.release_payment(payment, version, at),
            Event::Release => self.release(),
            Event::Expire => self.expire(at.now),
            Event::GiveUp => self.give_up(at),
            Event::Cancel {
                refund_id,
                asked_at,
                share,
            } => self.cancel(refund_id, asked_at, share, at),
            Event::CompleteRefund { refund_id } => self.complete_refund(refund_id, at.now),
        }
    }

    fn begin_payment(&self, payment: PaymentId, grace: Duration, at: Moment) -> Result<Step, Refused> {
        match self.state {
            _ if self.was_paid_by(payment) => Ok(Step::Unchanged),
            State::Confirmed { .. } => Err(Refused::AlreadyPaid),
            _ if at.date_canceled() => Err(Refused::ScheduleCanceled),
            State::Pending if self.released_payment == Some(payment) => Err(Refused::PaymentEnded),
            State::Pending if self.expires_at <= at.now => Err(Refused::WindowClosed),
            State::Pending => Ok(self.moved(State::Paying {
                payment,
                lapses_at: Some(self.expires_at.max(at.now + grace)),
            })),
            State::Paying { payment: running, .. } if running == payment => Ok(Step::Unchanged),
            State::Paying { .. } => Err(Refused::PaymentInProgress),
            State::Expired | State::Canceled(_) => Err(Refused::WindowClosed),
        }
    }

    fn mark_payment_unknown(&self, payment: PaymentId, version: u64, at: Moment) -> Result<Step, Refused> {
        match self.state {
            _ if self.was_paid_by(payment) => Ok(Step::Unchanged),
            State::Paying {
                payment: running,
                lapses_at,
            } => {
                self.fence(running == payment, version)?;
                // There is nothing to wait for: no seat could be bought by a capture any more.
                if at.date_canceled() {
                    return Err(Refused::ScheduleCanceled);
                }
                Ok(match lapses_at {
                    None => Step::Unchanged,
                    // The word stays, so the fence does: the payment goes on with the one it has.
                    Some(_) => Step::Moved(Self {
                        state: State::Paying {
                            payment,
                            lapses_at: None,
                        },
                        ..*self
                    }),
                })
            }
            State::Pending | State::Confirmed { .. } => Err(Refused::StaleVersion),
            State::Expired | State::Canceled(_) if at.date_canceled() => Err(Refused::ScheduleCanceled),
            State::Expired | State::Canceled(_) => Err(Refused::WindowClosed),
        }
    }

    fn confirm(&self, payment: PaymentId, version: u64, at: Moment) -> Result<Step, Refused> {
        match self.state {
            // Also when it was canceled since: else a payment that asks again would give back what the refund does.
            _ if self.was_paid_by(payment) => Ok(Step::Unchanged),
            State::Confirmed { .. } => Err(Refused::AlreadyPaid),
            State::Paying { payment: running, .. } => {
                self.fence(running == payment, version)?;
                if at.date_canceled() {
                    return Err(Refused::ScheduleCanceled);
                }
                Ok(self.moved(State::Confirmed { payment }))
            }
            State::Pending => Err(Refused::StaleVersion),
            State::Expired | State::Canceled(_) if at.date_canceled() => Err(Refused::ScheduleCanceled),
            State::Expired | State::Canceled(_) => Err(Refused::WindowClosed),
        }
    }

    fn release_payment(&self, payment: PaymentId, version: u64, at: Moment) -> Result<Step, Refused> {
        if self.released_payment == Some(payment) {
            return Ok(Step::Unchanged);
        }
        match self.state {
            _ if self.was_paid_by(payment) => Err(Refused::AlreadyPaid),
            State::Paying { payment: running, .. } => {
                self.fence(running == payment, version)?;
                let state = if at.date_canceled() {
                    State::Canceled(None)
                } else if self.expires_at > at.now {
                    State::Pending
                } else {
                    State::Expired
                };
                Ok(self.payment_ended(payment, state))
            }
            State::Confirmed { .. } => Err(Refused::AlreadyPaid),
            State::Pending => Err(Refused::StaleVersion),
            State::Expired | State::Canceled(_) => Err(Refused::WindowClosed),
        }
    }

    fn release(&self) -> Result<Step, Refused> {
        match self.state {
            State::Pending => Ok(self.moved(State::Canceled(None))),
            // The seats are back on sale, which is all that was asked for.
            State::Canceled(_) | State::Expired => Ok(Step::Unchanged),
            State::Paying { .. } | State::Confirmed { .. } => Err(Refused::NotReleasable),
        }
    }

    fn expire(&self, now: OffsetDateTime) -> Result<Step, Refused> {
        match self.state {
            State::Expired => Ok(Step::Unchanged),
            _ if self.lapses_at().is_none_or(|lapses_at| lapses_at > now) => Err(Refused::NotDue),
            State::Paying { payment, .. } => Ok(self.payment_ended(payment, State::Expired)),
            _ => Ok(self.moved(State::Expired)),
        }
    }

    fn give_up(&self, at: Moment) -> Result<Step, Refused> {
        match self.state {
            // One that has lapsed is expiry's.
            State::Pending if at.date_canceled() && self.expires_at > at.now => {
                Ok(self.moved(State::Canceled(None)))
            }
            State::Canceled(_) | State::Expired => Ok(Step::Unchanged),
            State::Pending | State::Paying { .. } | State::Confirmed { .. } => Err(Refused::NotDue),
        }
    }

    fn cancel(
        &self,
        refund_id: RefundId,
        asked_at: OffsetDateTime,
        share: Option<Percent>,
        at: Moment,
    ) -> Result<Step, Refused> {
        match self.state {
            State::Confirmed { payment } => {
                // What was asked for too late stays refused when the date is canceled after that: its refund may have
                // been told so and have ended, and nobody would carry it on. The date's own refund gives all back.
                let share = match at.date_canceled_at {
                    Some(canceled_at) if share.is_some() || asked_at >= canceled_at => Some(Percent::WHOLE),
                    _ => share,
                };
                let percent = share.ok_or(Refused::CancellationWindowClosed)?;
                Ok(self.moved(State::Canceled(Some(Cancellation {
                    payment,
                    refund_id,
                    canceled_at: at.now,
                    percent,
                    with_schedule: at.date_canceled(),
                    refunded_at: None,
                }))))
            }
            State::Canceled(Some(canceled)) if canceled.refund_id == refund_id => Ok(Step::Unchanged),
            _ => Err(Refused::NotCancelable),
        }
    }

    fn complete_refund(&self, refund_id: RefundId, now: OffsetDateTime) -> Result<Step, Refused> {
        match self.state {
            State::Canceled(Some(canceled)) if canceled.refund_id == refund_id => {
                Ok(match canceled.refunded_at {
                    Some(_) => Step::Unchanged,
                    // The word stays, so the fence does.
                    None => Step::Moved(Self {
                        state: State::Canceled(Some(Cancellation {
                            refunded_at: Some(now),
                            ..canceled
                        })),
                        ..*self
                    }),
                })
            }
            _ => Err(Refused::NotCancelable),
        }
    }

    /// Whether this payment made it CONFIRMED, whatever became of it then.
    fn was_paid_by(&self, payment: PaymentId) -> bool {
        match self.state {
            State::Confirmed { payment: paid } => paid == payment,
            State::Canceled(Some(canceled)) => canceled.payment == payment,
            _ => false,
        }
    }

    fn fence(&self, is_running: bool, version: u64) -> Result<(), Refused> {
        if is_running && version == self.version {
            Ok(())
        } else {
            Err(Refused::StaleVersion)
        }
    }

    fn moved(&self, state: State) -> Step {
        Step::Moved(Self {
            state,
            version: self.version + 1,
            ..*self
        })
    }

    fn payment_ended(&self, payment: PaymentId, state: State) -> Step {
        Step::Moved(Self {
            state,
            version: self.version + 1,
            attempt: self.attempt + 1,
            released_payment: Some(payment),
            ..*self
        })
    }

    /// What happens to the seats when the reservation changes from this to `after`.
    #[must_use]
    pub const fn seat_event(&self, after: &Self) -> Option<SeatEvent> {
        let (before, after) = (self.state.status(), after.state.status());
        match (before.is_live(), after) {
            (true, ReservationStatus::Confirmed) => Some(SeatEvent::Sell),
            (true, after) if !after.is_live() => Some(SeatEvent::Release),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

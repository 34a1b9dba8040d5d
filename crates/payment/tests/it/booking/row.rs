//! One reservation and its machine: the payment side with the fence, and cancellation with a share that the test sets.

use contracts::booking::{Cancellation, PaidReservation, Reservation, ReservationStatus};
use time::OffsetDateTime;
use vocabulary::{ProblemCode, ReservationId, UserId};

use super::ScriptedBooking;
use crate::world::Hold;

/// A reservation that was canceled after it was paid.
#[derive(Debug, Clone)]
pub(super) struct Canceled {
    pub(super) refund_id: String,
    pub(super) percent: u32,
    pub(super) refund: i64,
    pub(super) is_complete: bool,
    pub(super) asked_at: Option<OffsetDateTime>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) reservation_id: ReservationId,
    pub(super) user_id: UserId,
    pub(super) status: ReservationStatus,
    pub(super) total: i64,
    pub(super) currency: &'static str,
    pub(super) version: u64,
    pub(super) attempt: u32,
    pub(super) payment_id: Option<String>,
    pub(super) released: Option<String>,
    pub(super) unknown: bool,
    pub(super) time_left: bool,
    /// What the refund policy gives back; 0 = nothing any more.
    pub(super) percent: u32,
    pub(super) date_canceled: bool,
    pub(super) canceled: Option<Canceled>,
}

impl Row {
    pub(super) fn shown(&self) -> Reservation {
        Reservation {
            reservation_id: self.reservation_id.to_string(),
            user_id: self.user_id.to_string(),
            status: self.status.into(),
            total: self.total,
            currency: self.currency.to_owned(),
            order_id: format!(
                "order-{}-{}",
                self.reservation_id.as_uuid().simple(),
                self.attempt
            ),
            version: self.version,
            cancellation: self.canceled.as_ref().map(|canceled| Cancellation {
                refund_id: canceled.refund_id.clone(),
                percent: canceled.percent,
                refund: canceled.refund,
                refunded_at: canceled
                    .is_complete
                    .then(|| contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)),
                ..Cancellation::default()
            }),
            ..Reservation::default()
        }
    }

    pub(super) fn shown_as_paid(&self) -> PaidReservation {
        let shown = self.shown();
        PaidReservation {
            reservation_id: shown.reservation_id,
            user_id: shown.user_id,
            payment_id: self.payment_id.clone().unwrap_or_default(),
            status: shown.status,
            total: shown.total,
            currency: shown.currency,
            cancellation: shown.cancellation,
            ..PaidReservation::default()
        }
    }

    pub(super) fn go(&mut self, status: ReservationStatus) {
        self.status = status;
        self.version += 1;
    }

    /// What a payment that shows the fence may go on with.
    pub(super) fn fence(&self, payment_id: &str, version: u64) -> Result<(), ProblemCode> {
        match self.status {
            ReservationStatus::Paying
                if self.payment_id.as_deref() == Some(payment_id) && self.version == version =>
            {
                Ok(())
            }
            ReservationStatus::Confirmed => Err(ProblemCode::AlreadyPaid),
            _ => Err(ProblemCode::PaymentWindowClosed),
        }
    }

    pub(super) fn lapse(&mut self) {
        self.time_left = false;
        let may = match self.status {
            ReservationStatus::Pending => true,
            ReservationStatus::Paying => !self.unknown,
            _ => false,
        };
        if may {
            self.go(ReservationStatus::Expired);
            self.payment_id = None;
        }
    }

    pub(super) fn begin(&mut self, payment_id: &str) -> Result<(), ProblemCode> {
        let own = self.payment_id.as_deref() == Some(payment_id);
        match self.status {
            _ if self.was_paid_by(payment_id) => Ok(()),
            ReservationStatus::Confirmed => Err(ProblemCode::AlreadyPaid),
            _ if self.date_canceled => Err(ProblemCode::ScheduleCanceled),
            ReservationStatus::Pending if self.released.as_deref() == Some(payment_id) => {
                Err(ProblemCode::PaymentFailed)
            }
            ReservationStatus::Pending if !self.time_left => Err(ProblemCode::PaymentWindowClosed),
            ReservationStatus::Pending => {
                self.go(ReservationStatus::Paying);
                self.payment_id = Some(payment_id.to_owned());
                Ok(())
            }
            ReservationStatus::Paying if own => Ok(()),
            ReservationStatus::Paying => Err(ProblemCode::PaymentInProgress),
            _ => Err(ProblemCode::PaymentWindowClosed),
        }
    }

    pub(super) fn confirm(&mut self, payment_id: &str, version: u64) -> Result<(), ProblemCode> {
        if self.was_paid_by(payment_id) {
            return Ok(());
        }
        if self.date_canceled && self.status == ReservationStatus::Canceled {
            return Err(ProblemCode::ScheduleCanceled);
        }
        self.fence(payment_id, version)?;
        self.unknown = false;
        if self.date_canceled {
            self.payment_id = None;
            self.go(ReservationStatus::Canceled);
            return Err(ProblemCode::ScheduleCanceled);
        }
        self.go(ReservationStatus::Confirmed);
        Ok(())
    }

    pub(super) fn was_paid_by(&self, payment_id: &str) -> bool {
        let is_paid = self.status == ReservationStatus::Confirmed || self.canceled.is_some();
        is_paid && self.payment_id.as_deref() == Some(payment_id)
    }

    pub(super) fn cancel(
        &mut self,
        user_id: &str,
        refund_id: &str,
        asked_at: Option<OffsetDateTime>,
    ) -> Result<(), ProblemCode> {
        if self.user_id.to_string() != user_id {
            return Err(ProblemCode::NotFound);
        }
        if let Some(canceled) = &self.canceled {
            let same = canceled.refund_id == refund_id;
            return same.then_some(()).ok_or(ProblemCode::ReservationNotCancelable);
        }
        let percent = if self.date_canceled { 100 } else { self.percent };
        match self.status {
            ReservationStatus::Confirmed if percent == 0 => Err(ProblemCode::CancellationWindowClosed),
            ReservationStatus::Confirmed => {
                self.canceled = Some(Canceled {
                    refund_id: refund_id.to_owned(),
                    percent,
                    refund: self.total * i64::from(percent) / 100,
                    is_complete: false,
                    asked_at,
                });
                self.go(ReservationStatus::Canceled);
                Ok(())
            }
            _ => Err(ProblemCode::ReservationNotCancelable),
        }
    }

    pub(super) fn complete(&mut self, refund_id: &str) -> Result<(), ProblemCode> {
        match &mut self.canceled {
            Some(canceled) if canceled.refund_id == refund_id => {
                canceled.is_complete = true;
                Ok(())
            }
            _ => Err(ProblemCode::ReservationNotCancelable),
        }
    }

    pub(super) fn release(&mut self, payment_id: &str, version: u64) -> Result<(), ProblemCode> {
        if self.released.as_deref() == Some(payment_id) {
            return Ok(());
        }
        self.fence(payment_id, version)?;
        self.unknown = false;
        self.payment_id = None;
        self.released = Some(payment_id.to_owned());
        self.attempt += 1;
        let back = if self.time_left {
            ReservationStatus::Pending
        } else {
            ReservationStatus::Expired
        };
        self.go(back);
        Ok(())
    }
}

impl ScriptedBooking {
    /// When the owner asked for the refund that canceled a hold.
    pub(crate) fn asked_at(&self, hold: &Hold) -> Option<OffsetDateTime> {
        let rows = self.rows();
        let canceled = rows[&hold.reservation_id.to_string()].canceled.as_ref();
        canceled.and_then(|canceled| canceled.asked_at)
    }
}

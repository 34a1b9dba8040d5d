//! Booking, played small and faithfully: the payment side of its machine with the fence, cancellation with a share that the
//! test sets, and faults on demand.

mod row;
mod service;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::booking::{PaidReservation, Reservation, ReservationStatus};
use service_kit::problem::Problem;
use tonic::Status;
use vocabulary::{ProblemCode, ReservationId, UserId};

use self::row::Row;
use crate::mishaps::Interruption;
use crate::world::Hold;

/// The calls of the payment side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Payable,
    Get,
    Begin,
    MarkUnknown,
    Confirm,
    Release,
    Cancel,
    Complete,
    ToRefund,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing happens, and the caller learns nothing.
    Away,
    /// It happens, and the caller learns nothing.
    AnswerLost,
    /// The hold lapses just before.
    LapsedBefore,
    /// The date is canceled just before.
    DateCanceledBefore,
}

#[derive(Debug, Default)]
pub(crate) struct ScriptedBooking {
    rows: Mutex<HashMap<String, Row>>,
    faults: Mutex<HashMap<Call, VecDeque<Fault>>>,
    calls: Mutex<Vec<Call>>,
    interruption: Mutex<Option<Arc<Interruption>>>,
    interruptions: Mutex<HashMap<String, Arc<Interruption>>>,
}

impl ScriptedBooking {
    pub(crate) fn hold(&self, total: i64, currency: &'static str) -> Hold {
        self.hold_of(UserId::new(), total, currency)
    }

    pub(crate) fn hold_of(&self, user_id: UserId, total: i64, currency: &'static str) -> Hold {
        let row = Row {
            reservation_id: ReservationId::new(),
            user_id,
            status: ReservationStatus::Pending,
            total,
            currency,
            version: 1,
            attempt: 1,
            payment_id: None,
            released: None,
            unknown: false,
            time_left: true,
            percent: 100,
            date_canceled: false,
            canceled: None,
        };
        let hold = Hold {
            reservation_id: row.reservation_id,
            user_id: row.user_id,
        };
        self.rows().insert(row.reservation_id.to_string(), row);
        hold
    }

    pub(crate) fn status(&self, hold: &Hold) -> ReservationStatus {
        self.rows()[&hold.reservation_id.to_string()].status
    }

    pub(crate) fn order_id(&self, hold: &Hold) -> String {
        self.rows()[&hold.reservation_id.to_string()].shown().order_id
    }

    /// What a hold shows from now on, without any call.
    pub(crate) fn tamper(
        &self,
        hold: &Hold,
        status: ReservationStatus,
        payment_id: Option<&str>,
        total: i64,
    ) {
        let mut rows = self.rows();
        let row = rows.get_mut(&hold.reservation_id.to_string()).unwrap();
        row.status = status;
        row.payment_id = payment_id.map(str::to_owned);
        row.total = total;
    }

    /// What a canceled hold shows from now on of what goes back, and whether it is back; `None`: it was never canceled.
    pub(crate) fn tamper_refund(&self, hold: &Hold, shown: Option<(i64, bool)>) {
        let mut rows = self.rows();
        let row = rows.get_mut(&hold.reservation_id.to_string()).unwrap();
        match (shown, &mut row.canceled) {
            (Some((refund, is_complete)), Some(canceled)) => {
                canceled.refund = refund;
                canceled.is_complete = is_complete;
            }
            _ => {
                row.status = ReservationStatus::Confirmed;
                row.canceled = None;
            }
        }
    }

    /// A reservation that was paid long ago.
    pub(crate) fn confirmed_before(
        &self,
        reservation_id: uuid::Uuid,
        user_id: uuid::Uuid,
        payment_id: &str,
        total: i64,
    ) {
        let row = Row {
            reservation_id: ReservationId::from_uuid(reservation_id),
            user_id: UserId::from_uuid(user_id),
            status: ReservationStatus::Confirmed,
            total,
            currency: "KRW",
            version: 3,
            attempt: 1,
            payment_id: Some(payment_id.to_owned()),
            released: None,
            unknown: false,
            time_left: true,
            percent: 100,
            date_canceled: false,
            canceled: None,
        };
        self.rows().insert(reservation_id.to_string(), row);
    }

    /// It was never there.
    pub(crate) fn forget(&self, reservation_id: &str) {
        self.rows().remove(reservation_id).unwrap();
    }

    pub(crate) fn lapse(&self, hold: &Hold) {
        let mut rows = self.rows();
        rows.get_mut(&hold.reservation_id.to_string()).unwrap().lapse();
    }

    /// What goes back when this reservation's owner cancels it; 0 = the time for it is over.
    pub(crate) fn gives_back(&self, hold: &Hold, percent: u32) {
        let mut rows = self.rows();
        rows.get_mut(&hold.reservation_id.to_string()).unwrap().percent = percent;
    }

    pub(crate) fn cancel_date(&self, hold: &Hold) {
        let mut rows = self.rows();
        rows.get_mut(&hold.reservation_id.to_string())
            .unwrap()
            .date_canceled = true;
    }

    /// Whether booking was told that all money is back.
    pub(crate) fn is_refunded(&self, hold: &Hold) -> bool {
        let rows = self.rows();
        let canceled = rows[&hold.reservation_id.to_string()].canceled.as_ref();
        canceled.is_some_and(|canceled| canceled.is_complete)
    }

    /// Up to `limit` reservations after `after` for which `is_one` holds, by their ids.
    fn page(&self, after: &str, limit: u32, is_one: impl Fn(&Row) -> bool) -> Vec<PaidReservation> {
        let rows = self.rows();
        let mut found: Vec<_> = rows
            .values()
            .filter(|row| row.reservation_id.to_string().as_str() > after && is_one(row))
            .map(Row::shown_as_paid)
            .collect();
        found.sort_by(|one, other| one.reservation_id.cmp(&other.reservation_id));
        found.truncate(usize::try_from(limit).unwrap());
        found
    }

    /// Lets the next call of this kind go wrong; said twice, the next two.
    pub(crate) fn fault(&self, call: Call, fault: Fault) {
        self.faults
            .lock()
            .unwrap()
            .entry(call)
            .or_default()
            .push_back(fault);
    }

    pub(crate) fn calls(&self, call: Call) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|made| **made == call).count()
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        self.rows.lock().unwrap()
    }

    /// Calls of payments go through it; `None` ends it.
    pub(crate) fn interrupt(&self, interruption: Option<Arc<Interruption>>) {
        *self.interruption.lock().unwrap() = interruption;
    }

    /// Calls about one reservation go through one of their own.
    pub(crate) fn interrupt_one(&self, hold: &Hold, interruption: Arc<Interruption>) {
        let mut interruptions = self.interruptions.lock().unwrap();
        interruptions.insert(hold.reservation_id.to_string(), interruption);
    }

    /// What a hold has come to, as its list of paid ones would show it.
    pub(crate) fn shown(&self, hold: &Hold) -> PaidReservation {
        self.rows()[&hold.reservation_id.to_string()].shown_as_paid()
    }

    /// Whether nothing is paid any more for a date that was canceled.
    pub(crate) fn has_refunded_all(&self) -> bool {
        let due = |row: &Row| row.date_canceled && row.status == ReservationStatus::Confirmed;
        !self.rows().values().any(due)
    }

    async fn answer(
        &self,
        call: Call,
        reservation_id: &str,
        apply: impl Fn(&mut Row) -> Result<(), ProblemCode>,
    ) -> Result<Reservation, Status> {
        let own = self.interruptions.lock().unwrap().get(reservation_id).cloned();
        let interruption = own.or_else(|| self.interruption.lock().unwrap().clone());
        match interruption {
            Some(interruption) => {
                let effect = || std::future::ready(self.do_once(call, reservation_id, &apply));
                let nothing = Err(Status::unavailable("interrupted"));
                interruption.call(effect, nothing).await
            }
            None => self.do_once(call, reservation_id, &apply),
        }
    }

    /// Counts a call. Answers what goes wrong with it.
    fn meet(&self, call: Call) -> Option<Fault> {
        self.calls.lock().unwrap().push(call);
        let mut faults = self.faults.lock().unwrap();
        faults.get_mut(&call).and_then(VecDeque::pop_front)
    }

    fn do_once(
        &self,
        call: Call,
        reservation_id: &str,
        apply: &impl Fn(&mut Row) -> Result<(), ProblemCode>,
    ) -> Result<Reservation, Status> {
        let fault = self.meet(call);
        let mut rows = self.rows();
        let row = rows
            .get_mut(reservation_id)
            .ok_or_else(|| Status::from(Problem::of(ProblemCode::NotFound)))?;
        match fault {
            Some(Fault::Away) => return Err(Status::unavailable("scripted")),
            Some(Fault::LapsedBefore) => row.lapse(),
            Some(Fault::DateCanceledBefore) => row.date_canceled = true,
            Some(Fault::AnswerLost) | None => {}
        }
        let done = apply(row).map_err(|code| Status::from(Problem::of(code)));
        if matches!(fault, Some(Fault::AnswerLost)) {
            return Err(Status::deadline_exceeded("scripted"));
        }
        done.map(|()| row.shown())
    }
}

/// The token that a hold's owner has.
pub(crate) fn token_of(hold: &Hold) -> String {
    format!("token-{}", hold.reservation_id)
}

/// The service is a handle: the test keeps another.
#[derive(Debug, Clone)]
pub(crate) struct Handle(pub(crate) Arc<ScriptedBooking>);

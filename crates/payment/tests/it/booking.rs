//! Booking, played small and faithfully: the payment side of its machine with the fence, cancellation with a share that the
//! test sets, and faults on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::booking::booking_service_server::BookingService;
use contracts::booking::payment_credential::Credential;
use contracts::booking::*;
use service_kit::problem::Problem;
use tonic::{Request, Response, Status};
use vocabulary::{ProblemCode, ReservationId, UserId};

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

/// A reservation that was canceled after it was paid.
#[derive(Debug, Clone)]
struct Canceled {
    refund_id: String,
    percent: u32,
    refund: i64,
    is_complete: bool,
}

#[derive(Debug)]
struct Row {
    reservation_id: ReservationId,
    user_id: UserId,
    status: ReservationStatus,
    total: i64,
    currency: &'static str,
    version: u64,
    attempt: u32,
    payment_id: Option<String>,
    released: Option<String>,
    unknown: bool,
    time_left: bool,
    /// What the refund policy gives back; 0 = nothing any more.
    percent: u32,
    date_canceled: bool,
    canceled: Option<Canceled>,
}

#[derive(Debug, Default)]
pub(crate) struct ScriptedBooking {
    rows: Mutex<HashMap<String, Row>>,
    faults: Mutex<HashMap<Call, VecDeque<Fault>>>,
    calls: Mutex<Vec<Call>>,
    interruption: Mutex<Option<Arc<Interruption>>>,
}

impl Row {
    fn shown(&self) -> Reservation {
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

    fn shown_as_paid(&self) -> PaidReservation {
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

    fn go(&mut self, status: ReservationStatus) {
        self.status = status;
        self.version += 1;
    }

    /// What a payment that shows the fence may go on with.
    fn fence(&self, payment_id: &str, version: u64) -> Result<(), ProblemCode> {
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

    fn lapse(&mut self) {
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

    fn begin(&mut self, payment_id: &str) -> Result<(), ProblemCode> {
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

    fn confirm(&mut self, payment_id: &str, version: u64) -> Result<(), ProblemCode> {
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

    fn was_paid_by(&self, payment_id: &str) -> bool {
        let is_paid = self.status == ReservationStatus::Confirmed || self.canceled.is_some();
        is_paid && self.payment_id.as_deref() == Some(payment_id)
    }

    fn cancel(&mut self, user_id: &str, refund_id: &str) -> Result<(), ProblemCode> {
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
                });
                self.go(ReservationStatus::Canceled);
                Ok(())
            }
            _ => Err(ProblemCode::ReservationNotCancelable),
        }
    }

    fn complete(&mut self, refund_id: &str) -> Result<(), ProblemCode> {
        match &mut self.canceled {
            Some(canceled) if canceled.refund_id == refund_id => {
                canceled.is_complete = true;
                Ok(())
            }
            _ => Err(ProblemCode::ReservationNotCancelable),
        }
    }

    fn release(&mut self, payment_id: &str, version: u64) -> Result<(), ProblemCode> {
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

    async fn answer(
        &self,
        call: Call,
        reservation_id: &str,
        apply: impl Fn(&mut Row) -> Result<(), ProblemCode>,
    ) -> Result<Reservation, Status> {
        let interruption = self.interruption.lock().unwrap().clone();
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

#[tonic::async_trait]
impl BookingService for Handle {
    async fn get_payable(
        &self,
        request: Request<GetPayableRequest>,
    ) -> Result<Response<GetPayableResponse>, Status> {
        let request = request.into_inner();
        let reservation = self
            .0
            .answer(Call::Payable, &request.reservation_id, |row| {
                match request
                    .credential
                    .as_ref()
                    .and_then(|credential| credential.credential.clone())
                {
                    Some(Credential::PaymentToken(token))
                        if token == format!("token-{}", row.reservation_id) =>
                    {
                        Ok(())
                    }
                    Some(Credential::Queue(queue)) if queue.user_id == row.user_id.to_string() => Ok(()),
                    Some(Credential::Queue(_)) => Err(ProblemCode::NotFound),
                    _ => Err(ProblemCode::PaymentTokenInvalid),
                }
            })
            .await?;
        Ok(Response::new(GetPayableResponse {
            reservation: Some(reservation),
        }))
    }

    async fn get_reservation(
        &self,
        request: Request<GetReservationRequest>,
    ) -> Result<Response<GetReservationResponse>, Status> {
        let request = request.into_inner();
        let reservation = self
            .0
            .answer(Call::Get, &request.reservation_id, |row| {
                if row.user_id.to_string() == request.user_id {
                    Ok(())
                } else {
                    Err(ProblemCode::NotFound)
                }
            })
            .await?;
        Ok(Response::new(GetReservationResponse {
            reservation: Some(reservation),
        }))
    }

    async fn begin_payment(
        &self,
        request: Request<BeginPaymentRequest>,
    ) -> Result<Response<BeginPaymentResponse>, Status> {
        let request = request.into_inner();
        let reservation = self
            .0
            .answer(Call::Begin, &request.reservation_id, |row| {
                row.begin(&request.payment_id)
            })
            .await?;
        Ok(Response::new(BeginPaymentResponse {
            reservation: Some(reservation),
        }))
    }

    async fn mark_payment_unknown(
        &self,
        request: Request<MarkPaymentUnknownRequest>,
    ) -> Result<Response<MarkPaymentUnknownResponse>, Status> {
        let request = request.into_inner();
        self.0
            .answer(Call::MarkUnknown, &request.reservation_id, |row| {
                row.fence(&request.payment_id, request.version)?;
                row.unknown = true;
                Ok(())
            })
            .await?;
        Ok(Response::new(MarkPaymentUnknownResponse {}))
    }

    async fn confirm_reservation(
        &self,
        request: Request<ConfirmReservationRequest>,
    ) -> Result<Response<ConfirmReservationResponse>, Status> {
        let request = request.into_inner();
        let reservation = self
            .0
            .answer(Call::Confirm, &request.reservation_id, |row| {
                row.confirm(&request.payment_id, request.version)
            })
            .await?;
        Ok(Response::new(ConfirmReservationResponse {
            reservation: Some(reservation),
        }))
    }

    async fn release_payment(
        &self,
        request: Request<ReleasePaymentRequest>,
    ) -> Result<Response<ReleasePaymentResponse>, Status> {
        let request = request.into_inner();
        let reservation = self
            .0
            .answer(Call::Release, &request.reservation_id, |row| {
                row.release(&request.payment_id, request.version)
            })
            .await?;
        Ok(Response::new(ReleasePaymentResponse {
            reservation: Some(reservation),
        }))
    }

    async fn open_schedule(
        &self,
        _: Request<OpenScheduleRequest>,
    ) -> Result<Response<OpenScheduleResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn close_schedule(
        &self,
        _: Request<CloseScheduleRequest>,
    ) -> Result<Response<CloseScheduleResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn get_seat_states(
        &self,
        _: Request<GetSeatStatesRequest>,
    ) -> Result<Response<GetSeatStatesResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn count_seats(
        &self,
        _: Request<CountSeatsRequest>,
    ) -> Result<Response<CountSeatsResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn hold_seats(&self, _: Request<HoldSeatsRequest>) -> Result<Response<HoldSeatsResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn list_reservations(
        &self,
        _: Request<ListReservationsRequest>,
    ) -> Result<Response<ListReservationsResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn release_reservation(
        &self,
        _: Request<ReleaseReservationRequest>,
    ) -> Result<Response<ReleaseReservationResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn expire_due(&self, _: Request<ExpireDueRequest>) -> Result<Response<ExpireDueResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn cancel_schedule(
        &self,
        _: Request<CancelScheduleRequest>,
    ) -> Result<Response<CancelScheduleResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn get_schedule_cancellation(
        &self,
        _: Request<GetScheduleCancellationRequest>,
    ) -> Result<Response<GetScheduleCancellationResponse>, Status> {
        Err(Status::unimplemented("not a payment's business"))
    }

    async fn cancel_reservation(
        &self,
        request: Request<CancelReservationRequest>,
    ) -> Result<Response<CancelReservationResponse>, Status> {
        let request = request.into_inner();
        let reservation = self
            .0
            .answer(Call::Cancel, &request.reservation_id, |row| {
                row.cancel(&request.user_id, &request.refund_id)
            })
            .await?;
        let rows = self.0.rows();
        let row = &rows[&request.reservation_id];
        Ok(Response::new(CancelReservationResponse {
            reservation: Some(reservation),
            payment_id: row.payment_id.clone().unwrap_or_default(),
            schedule_canceled: row.date_canceled,
        }))
    }

    async fn complete_refund(
        &self,
        request: Request<CompleteRefundRequest>,
    ) -> Result<Response<CompleteRefundResponse>, Status> {
        let request = request.into_inner();
        self.0
            .answer(Call::Complete, &request.reservation_id, |row| {
                row.complete(&request.refund_id)
            })
            .await?;
        Ok(Response::new(CompleteRefundResponse {}))
    }

    async fn list_reservations_to_refund(
        &self,
        request: Request<ListReservationsToRefundRequest>,
    ) -> Result<Response<ListReservationsToRefundResponse>, Status> {
        let request = request.into_inner();
        if let Some(Fault::Away) = self.0.meet(Call::ToRefund) {
            return Err(Status::unavailable("scripted"));
        }
        let reservations = self.0.page(&request.after_reservation_id, request.limit, |row| {
            row.date_canceled && row.status == ReservationStatus::Confirmed
        });
        Ok(Response::new(ListReservationsToRefundResponse { reservations }))
    }

    async fn list_paid_reservations(
        &self,
        request: Request<ListPaidReservationsRequest>,
    ) -> Result<Response<ListPaidReservationsResponse>, Status> {
        let request = request.into_inner();
        let reservations = self.0.page(&request.after_reservation_id, request.limit, |row| {
            row.canceled.is_some() || row.status == ReservationStatus::Confirmed
        });
        Ok(Response::new(ListPaidReservationsResponse { reservations }))
    }
}

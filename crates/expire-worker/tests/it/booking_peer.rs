//! Booking, played by the test: only expiry is ever asked of it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use contracts::booking as proto;
use contracts::booking::booking_service_server::{BookingService, BookingServiceServer};
use contracts::timestamp;
use time::OffsetDateTime;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

#[derive(Debug, Default)]
struct State {
    calls: Vec<Instant>,
    left: u32,
    away: bool,
    /// Until this call, this is still ahead.
    ahead: Option<(usize, OffsetDateTime)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct BookingPeer {
    state: Arc<Mutex<State>>,
}

impl BookingPeer {
    pub(crate) async fn serve(&self) -> String {
        test_support::serve_grpc(Routes::new(BookingServiceServer::new(self.clone()))).await
    }

    pub(crate) fn calls(&self) -> usize {
        self.state().calls.len()
    }

    pub(crate) fn first_two_calls(&self) -> (Instant, Instant) {
        let state = self.state();
        (state.calls[0], state.calls[1])
    }

    /// So many reservations are due.
    pub(crate) fn expires(&self, count: u32) {
        self.state().left = count;
    }

    pub(crate) fn left(&self) -> u32 {
        self.state().left
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    pub(crate) fn is_due_only_at_call(&self, call: usize, expires_at: OffsetDateTime) {
        self.state().ahead = Some((call, expires_at));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

macro_rules! never_called {
    ($($method:ident: $request:ident -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl BookingService for BookingPeer {
            async fn expire_due(
                &self,
                request: Request<proto::ExpireDueRequest>,
            ) -> Result<Response<proto::ExpireDueResponse>, Status> {
                let mut state = self.state();
                state.calls.push(Instant::now());
                if state.away {
                    return Err(Status::unavailable("away"));
                }
                let expired = state.left.min(request.into_inner().limit);
                state.left -= expired;
                let ahead = state.ahead.filter(|(call, _)| state.calls.len() < *call);
                Ok(Response::new(proto::ExpireDueResponse {
                    expired,
                    next_due_at: ahead.map(|(_, expires_at)| timestamp(expires_at)),
                }))
            }

            $(
                async fn $method(
                    &self,
                    _: Request<proto::$request>,
                ) -> Result<Response<proto::$response>, Status> {
                    Err(Status::unimplemented("the worker never calls this"))
                }
            )+
        }
    };
}

never_called! {
    open_schedule: OpenScheduleRequest -> OpenScheduleResponse;
    close_schedule: CloseScheduleRequest -> CloseScheduleResponse;
    get_seat_states: GetSeatStatesRequest -> GetSeatStatesResponse;
    count_seats: CountSeatsRequest -> CountSeatsResponse;
    hold_seats: HoldSeatsRequest -> HoldSeatsResponse;
    get_reservation: GetReservationRequest -> GetReservationResponse;
    list_reservations: ListReservationsRequest -> ListReservationsResponse;
    release_reservation: ReleaseReservationRequest -> ReleaseReservationResponse;
    get_payables: GetPayablesRequest -> GetPayablesResponse;
    begin_payments: BeginPaymentsRequest -> BeginPaymentsResponse;
    mark_payment_unknown: MarkPaymentUnknownRequest -> MarkPaymentUnknownResponse;
    confirm_reservations: ConfirmReservationsRequest -> ConfirmReservationsResponse;
    release_payment: ReleasePaymentRequest -> ReleasePaymentResponse;
    cancel_schedule: CancelScheduleRequest -> CancelScheduleResponse;
    get_schedule_cancellation: GetScheduleCancellationRequest -> GetScheduleCancellationResponse;
    cancel_reservation: CancelReservationRequest -> CancelReservationResponse;
    complete_refund: CompleteRefundRequest -> CompleteRefundResponse;
    list_reservations_to_refund: ListReservationsToRefundRequest -> ListReservationsToRefundResponse;
    list_paid_reservations: ListPaidReservationsRequest -> ListPaidReservationsResponse;
}

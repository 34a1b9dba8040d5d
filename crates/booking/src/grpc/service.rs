//! The booking service's contract, call by call.

use std::sync::Arc;

use contracts::booking as proto;
use contracts::booking::booking_service_server::BookingService;
use contracts::{optional_id, parse_id, time_of, timestamp};
use service_kit::grpc::several;
use service_kit::problem::Problem;
use tonic::{Request, Response, Status};
use vocabulary::ScheduleId;

use super::{convert, outcomes};
use crate::app::{AppError, Booking};
use crate::domain::ScheduleOpening;

const DEFAULT_PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;
const DEFAULT_REFUND_PAGE: u32 = 100;
const MAX_PAID_PAGE: u32 = 1_000;
const DEFAULT_EXPIRE_BATCH: u32 = 200;
const MAX_EXPIRE_BATCH: u32 = 1_000;
const MAX_COUNTED_SCHEDULES: usize = 100;

/// Serves [`Booking`] over gRPC.
#[derive(Debug, Clone)]
pub struct BookingGrpc {
    booking: Arc<Booking>,
}

impl BookingGrpc {
    /// The service on these use cases.
    #[must_use]
    pub const fn new(booking: Arc<Booking>) -> Self {
        Self { booking }
    }
}

#[tonic::async_trait]
impl BookingService for BookingGrpc {
    async fn open_schedule(
        &self,
        request: Request<proto::OpenScheduleRequest>,
    ) -> Result<Response<proto::OpenScheduleResponse>, Status> {
        let parts = convert::opening(request.into_inner())?;
        let opening = ScheduleOpening::new(
            parts.schedule_id,
            parts.concert_id,
            parts.currency,
            parts.refund_terms,
            parts.seats,
        )
        .map_err(AppError::from)?;
        self.booking.open_schedule(&opening).await?;
        Ok(Response::new(proto::OpenScheduleResponse {}))
    }

    async fn close_schedule(
        &self,
        request: Request<proto::CloseScheduleRequest>,
    ) -> Result<Response<proto::CloseScheduleResponse>, Status> {
        let schedule_id = parse_id("scheduleId", &request.into_inner().schedule_id)?;
        let closed_at = self.booking.close_schedule(schedule_id).await?;
        Ok(Response::new(proto::CloseScheduleResponse {
            closed_at: Some(timestamp(closed_at)),
        }))
    }

    async fn get_seat_states(
        &self,
        request: Request<proto::GetSeatStatesRequest>,
    ) -> Result<Response<proto::GetSeatStatesResponse>, Status> {
        let schedule_id = parse_id("scheduleId", &request.into_inner().schedule_id)?;
        let map = self.booking.seat_states(schedule_id).await?;
        Ok(Response::new(convert::seat_states(&map)))
    }

    async fn count_seats(
        &self,
        request: Request<proto::CountSeatsRequest>,
    ) -> Result<Response<proto::CountSeatsResponse>, Status> {
        let ids = request.into_inner().schedule_ids;
        if ids.is_empty() || ids.len() > MAX_COUNTED_SCHEDULES {
            let rule = format!("must be 1 to {MAX_COUNTED_SCHEDULES} ids");
            return Err(Problem::field("scheduleIds", rule).into());
        }
        let ids = ids.iter().enumerate();
        let ids = ids.map(|(position, id)| parse_id(&format!("scheduleIds[{position}]"), id));
        let ids = ids.collect::<Result<Vec<ScheduleId>, Problem>>()?;
        let counts = self.booking.count_seats(&ids).await?;
        Ok(Response::new(proto::CountSeatsResponse {
            schedules: counts.iter().map(convert::counts).collect(),
        }))
    }

    async fn hold_seats(
        &self,
        request: Request<proto::HoldSeatsRequest>,
    ) -> Result<Response<proto::HoldSeatsResponse>, Status> {
        let request = convert::hold(request.into_inner())?;
        let held = self.booking.hold_seats(request).await?;
        Ok(Response::new(proto::HoldSeatsResponse {
            reservation: Some(convert::own_reservation(&held)),
        }))
    }

    async fn get_reservation(
        &self,
        request: Request<proto::GetReservationRequest>,
    ) -> Result<Response<proto::GetReservationResponse>, Status> {
        let request = request.into_inner();
        let user_id = parse_id("userId", &request.user_id)?;
        let id = parse_id("reservationId", &request.reservation_id)?;
        let own = self.booking.get_reservation(user_id, id).await?;
        Ok(Response::new(proto::GetReservationResponse {
            reservation: Some(convert::own_reservation(&own)),
        }))
    }

    async fn list_reservations(
        &self,
        request: Request<proto::ListReservationsRequest>,
    ) -> Result<Response<proto::ListReservationsResponse>, Status> {
        let request = request.into_inner();
        let user_id = parse_id("userId", &request.user_id)?;
        let limit = bounded("limit", request.limit, DEFAULT_PAGE, MAX_PAGE)?;
        let cursor = Some(request.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let page = self.booking.list_reservations(user_id, cursor, limit).await?;
        Ok(Response::new(proto::ListReservationsResponse {
            reservations: page.reservations.iter().map(convert::own_reservation).collect(),
            next_cursor: page.next_cursor.unwrap_or_default(),
        }))
    }

    async fn release_reservation(
        &self,
        request: Request<proto::ReleaseReservationRequest>,
    ) -> Result<Response<proto::ReleaseReservationResponse>, Status> {
        let request = request.into_inner();
        let user_id = parse_id("userId", &request.user_id)?;
        let id = parse_id("reservationId", &request.reservation_id)?;
        self.booking.release_reservation(user_id, id).await?;
        Ok(Response::new(proto::ReleaseReservationResponse {}))
    }

    async fn get_payables(
        &self,
        request: Request<proto::GetPayablesRequest>,
    ) -> Result<Response<proto::GetPayablesResponse>, Status> {
        let wanted = several("payables", request.into_inner().payables)?;
        let payables = outcomes::of_each("GetPayables", wanted, outcomes::payable_to_get, async |wanted| {
            self.booking.payables(&wanted).await
        });
        Ok(Response::new(proto::GetPayablesResponse {
            outcomes: payables.await.into_iter().map(outcomes::payable).collect(),
        }))
    }

    async fn begin_payments(
        &self,
        request: Request<proto::BeginPaymentsRequest>,
    ) -> Result<Response<proto::BeginPaymentsResponse>, Status> {
        let beginning = several("payments", request.into_inner().payments)?;
        let begun = outcomes::of_each(
            "BeginPayments",
            beginning,
            outcomes::payment_to_begin,
            async |beginning| self.booking.begin_payments(&beginning).await,
        );
        Ok(Response::new(proto::BeginPaymentsResponse {
            outcomes: begun.await.into_iter().map(outcomes::begun).collect(),
        }))
    }

    async fn mark_payment_unknown(
        &self,
        request: Request<proto::MarkPaymentUnknownRequest>,
    ) -> Result<Response<proto::MarkPaymentUnknownResponse>, Status> {
        let request = request.into_inner();
        let id = parse_id("reservationId", &request.reservation_id)?;
        let payment = parse_id("paymentId", &request.payment_id)?;
        self.booking
            .mark_payment_unknown(id, payment, convert::fence(request.version)?)
            .await?;
        Ok(Response::new(proto::MarkPaymentUnknownResponse {}))
    }

    async fn confirm_reservations(
        &self,
        request: Request<proto::ConfirmReservationsRequest>,
    ) -> Result<Response<proto::ConfirmReservationsResponse>, Status> {
        let paid = several("reservations", request.into_inner().reservations)?;
        let confirmed = outcomes::of_each(
            "ConfirmReservations",
            paid,
            outcomes::reservation_to_confirm,
            async |paid| self.booking.confirm_reservations(&paid).await,
        );
        Ok(Response::new(proto::ConfirmReservationsResponse {
            outcomes: confirmed.await.into_iter().map(outcomes::confirmed).collect(),
        }))
    }

    async fn release_payment(
        &self,
        request: Request<proto::ReleasePaymentRequest>,
    ) -> Result<Response<proto::ReleasePaymentResponse>, Status> {
        let request = request.into_inner();
        let id = parse_id("reservationId", &request.reservation_id)?;
        let payment = parse_id("paymentId", &request.payment_id)?;
        let reservation = self
            .booking
            .release_payment(id, payment, convert::fence(request.version)?)
            .await?;
        Ok(Response::new(proto::ReleasePaymentResponse {
            reservation: Some(convert::reservation(&reservation)),
        }))
    }

    async fn expire_due(
        &self,
        request: Request<proto::ExpireDueRequest>,
    ) -> Result<Response<proto::ExpireDueResponse>, Status> {
        let limit = bounded(
            "limit",
            request.into_inner().limit,
            DEFAULT_EXPIRE_BATCH,
            MAX_EXPIRE_BATCH,
        )?;
        let batch = self.booking.expire_due(limit).await?;
        Ok(Response::new(proto::ExpireDueResponse {
            expired: batch.expired,
            next_due_at: batch.next_due_at.map(timestamp),
        }))
    }

    async fn cancel_schedule(
        &self,
        request: Request<proto::CancelScheduleRequest>,
    ) -> Result<Response<proto::CancelScheduleResponse>, Status> {
        let schedule_id = parse_id("scheduleId", &request.into_inner().schedule_id)?;
        let canceled_at = self.booking.cancel_schedule(schedule_id).await?;
        Ok(Response::new(proto::CancelScheduleResponse {
            canceled_at: Some(timestamp(canceled_at)),
        }))
    }

    async fn get_schedule_cancellation(
        &self,
        request: Request<proto::GetScheduleCancellationRequest>,
    ) -> Result<Response<proto::GetScheduleCancellationResponse>, Status> {
        let schedule_id = parse_id("scheduleId", &request.into_inner().schedule_id)?;
        let cancellation = self.booking.schedule_cancellation(schedule_id).await?;
        Ok(Response::new(convert::schedule_cancellation(&cancellation)))
    }

    async fn cancel_reservation(
        &self,
        request: Request<proto::CancelReservationRequest>,
    ) -> Result<Response<proto::CancelReservationResponse>, Status> {
        let request = request.into_inner();
        let user_id = parse_id("userId", &request.user_id)?;
        let id = parse_id("reservationId", &request.reservation_id)?;
        let refund_id = parse_id("refundId", &request.refund_id)?;
        let asked_at = request.asked_at.map(|at| time_of("askedAt", &at)).transpose()?;
        let asked_at = asked_at.map(convert::asked_at).transpose()?;
        let canceled = self
            .booking
            .cancel_reservation(user_id, id, refund_id, asked_at)
            .await?;
        Ok(Response::new(proto::CancelReservationResponse {
            reservation: Some(convert::reservation(&canceled.reservation)),
            payment_id: canceled.cancellation.payment.to_string(),
            schedule_canceled: canceled.cancellation.with_schedule,
        }))
    }

    async fn complete_refund(
        &self,
        request: Request<proto::CompleteRefundRequest>,
    ) -> Result<Response<proto::CompleteRefundResponse>, Status> {
        let request = request.into_inner();
        let id = parse_id("reservationId", &request.reservation_id)?;
        let refund_id = parse_id("refundId", &request.refund_id)?;
        self.booking.complete_refund(id, refund_id).await?;
        Ok(Response::new(proto::CompleteRefundResponse {}))
    }

    async fn list_reservations_to_refund(
        &self,
        request: Request<proto::ListReservationsToRefundRequest>,
    ) -> Result<Response<proto::ListReservationsToRefundResponse>, Status> {
        let request = request.into_inner();
        let after = optional_id("afterReservationId", &request.after_reservation_id)?;
        let limit = bounded("limit", request.limit, DEFAULT_REFUND_PAGE, MAX_PAID_PAGE)?;
        let reservations = self.booking.reservations_to_refund(after, limit).await?;
        Ok(Response::new(proto::ListReservationsToRefundResponse {
            reservations: reservations.iter().map(convert::paid_reservation).collect(),
        }))
    }

    async fn list_paid_reservations(
        &self,
        request: Request<proto::ListPaidReservationsRequest>,
    ) -> Result<Response<proto::ListPaidReservationsResponse>, Status> {
        let request = request.into_inner();
        let after = optional_id("afterReservationId", &request.after_reservation_id)?;
        let limit = bounded("limit", request.limit, MAX_PAID_PAGE, MAX_PAID_PAGE)?;
        let reservations = self.booking.paid_reservations(after, limit).await?;
        Ok(Response::new(proto::ListPaidReservationsResponse {
            reservations: reservations.iter().map(convert::paid_reservation).collect(),
        }))
    }
}

/// A number that may be left out.
fn bounded(field: &str, given: u32, default: u32, max: u32) -> Result<u32, Problem> {
    match given {
        0 => Ok(default),
        given if given <= max => Ok(given),
        _ => Err(Problem::field(field, format!("must be 1 to {max}"))),
    }
}

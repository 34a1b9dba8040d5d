//! The contract's calls, answered by the rows; what is no business of a payment's is not there.

use contracts::booking::booking_service_server::BookingService;
use contracts::booking::payment_credential::Credential;
use contracts::booking::*;
use contracts::time_of;
use futures::future::join_all;
use service_kit::grpc::error_of_one;
use tonic::{Request, Response, Status};
use vocabulary::ProblemCode;

use super::{Call, Fault, Handle};

impl Handle {
    async fn payable(&self, wanted: &PayableToGet) -> Result<Reservation, Status> {
        let payable = self.0.answer(Call::Payable, &wanted.reservation_id, |row| {
            let credential = wanted.credential.as_ref();
            match credential.and_then(|credential| credential.credential.as_ref()) {
                Some(Credential::PaymentToken(token))
                    if *token == format!("token-{}", row.reservation_id) =>
                {
                    Ok(())
                }
                Some(Credential::Queue(queue)) if queue.user_id == row.user_id.to_string() => Ok(()),
                Some(Credential::Queue(_)) => Err(ProblemCode::NotFound),
                _ => Err(ProblemCode::PaymentTokenInvalid),
            }
        });
        payable.await
    }
}

#[tonic::async_trait]
impl BookingService for Handle {
    async fn get_payables(
        &self,
        request: Request<GetPayablesRequest>,
    ) -> Result<Response<GetPayablesResponse>, Status> {
        use payable_outcome::Outcome;
        let wanted = request.into_inner().payables.into_iter();
        let outcomes = join_all(wanted.map(async |wanted| {
            let outcome = match self.payable(&wanted).await {
                Ok(found) => Outcome::Payable(Payable {
                    user_id: found.user_id,
                    status: found.status,
                    total: found.total,
                    currency: found.currency,
                    order_id: found.order_id,
                }),
                Err(status) => Outcome::Error(error_of_one(&status)),
            };
            PayableOutcome {
                outcome: Some(outcome),
            }
        }));
        Ok(Response::new(GetPayablesResponse {
            outcomes: outcomes.await,
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

    async fn begin_payments(
        &self,
        request: Request<BeginPaymentsRequest>,
    ) -> Result<Response<BeginPaymentsResponse>, Status> {
        use begin_payment_outcome::Outcome;
        let beginning = request.into_inner().payments.into_iter();
        let outcomes = join_all(beginning.map(async |beginning| {
            let begun = self.0.answer(Call::Begin, &beginning.reservation_id, |row| {
                row.begin(&beginning.payment_id)
            });
            let outcome = match begun.await {
                Ok(begun) => Outcome::Begun(BegunPayment {
                    version: begun.version,
                    order_id: begun.order_id,
                }),
                Err(status) => Outcome::Error(error_of_one(&status)),
            };
            BeginPaymentOutcome {
                outcome: Some(outcome),
            }
        }));
        Ok(Response::new(BeginPaymentsResponse {
            outcomes: outcomes.await,
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
                let wanted = !row.date_canceled;
                wanted.then_some(()).ok_or(ProblemCode::ScheduleCanceled)
            })
            .await?;
        Ok(Response::new(MarkPaymentUnknownResponse {}))
    }

    async fn confirm_reservations(
        &self,
        request: Request<ConfirmReservationsRequest>,
    ) -> Result<Response<ConfirmReservationsResponse>, Status> {
        use confirmation_outcome::Outcome;
        let paid = request.into_inner().reservations.into_iter();
        let outcomes = join_all(paid.map(async |paid| {
            let confirmed = self.0.answer(Call::Confirm, &paid.reservation_id, |row| {
                row.confirm(&paid.payment_id, paid.version)
            });
            let outcome = match confirmed.await {
                Ok(reservation) => Outcome::Reservation(reservation),
                Err(status) => Outcome::Error(error_of_one(&status)),
            };
            ConfirmationOutcome {
                outcome: Some(outcome),
            }
        }));
        Ok(Response::new(ConfirmReservationsResponse {
            outcomes: outcomes.await,
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
        let asked_at = request.asked_at.as_ref();
        let asked_at = asked_at.map(|at| time_of("askedAt", at).unwrap());
        let reservation = self
            .0
            .answer(Call::Cancel, &request.reservation_id, |row| {
                row.cancel(&request.user_id, &request.refund_id, asked_at)
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

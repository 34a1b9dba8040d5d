//! Queue and booking as a test wants them: they remember what they were asked, and fail when told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use contracts::booking::booking_service_server::BookingService;
use contracts::queue::queue_service_server::{QueueService, QueueServiceServer};
use contracts::{booking as bk, queue as qu};
use service_kit::problem::Problem;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

const CANCELED_AT: prost_types::Timestamp = prost_types::Timestamp {
    seconds: 1_800_000_000,
    nanos: 0,
};

/// What the peers hold, and how they are to behave.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) rooms: HashMap<String, qu::RoomSettings>,
    pub(crate) rooms_put: usize,
    pub(crate) opened: HashMap<String, bk::OpenScheduleRequest>,
    pub(crate) openings: usize,
    pub(crate) closings: usize,
    /// Dates canceled, with how often each was asked for.
    pub(crate) canceled: HashMap<String, usize>,
    pub(crate) visits: Vec<qu::CheckVisitRequest>,
    pub(crate) queue_down: bool,
    pub(crate) booking_down: bool,
    /// What every visit is refused with.
    pub(crate) refuse_visits: Option<Problem>,
}

#[derive(Clone, Default)]
pub(crate) struct Peers(Arc<Mutex<Script>>);

impl Peers {
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(QueueServiceServer::new(self.clone()))
            .add_service(contracts::booking_server(self.clone()))
    }

    fn queue(&self) -> Result<MutexGuard<'_, Script>, Status> {
        let script = self.script();
        if script.queue_down {
            return Err(Status::unavailable("scripted"));
        }
        Ok(script)
    }

    fn booking(&self) -> Result<MutexGuard<'_, Script>, Status> {
        let script = self.script();
        if script.booking_down {
            return Err(Status::unavailable("scripted"));
        }
        Ok(script)
    }
}

#[tonic::async_trait]
impl QueueService for Peers {
    type WatchRoomsStream = tokio_stream::Empty<Result<qu::WatchRoomsResponse, Status>>;
    type ListLeavesStream = tokio_stream::Empty<Result<qu::ListLeavesResponse, Status>>;

    async fn put_room(&self, request: Request<qu::PutRoomRequest>) -> Answer<qu::PutRoomResponse> {
        let request = request.into_inner();
        let mut script = self.queue()?;
        script.rooms_put += 1;
        script
            .rooms
            .insert(request.concert_id.clone(), request.settings.unwrap());
        Ok(Response::new(qu::PutRoomResponse {
            room: Some(qu::Room {
                concert_id: request.concert_id,
                settings: request.settings,
                ..Default::default()
            }),
        }))
    }

    async fn get_room(&self, _: Request<qu::GetRoomRequest>) -> Answer<qu::GetRoomResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get_room_stats(
        &self,
        request: Request<qu::GetRoomStatsRequest>,
    ) -> Answer<qu::GetRoomStatsResponse> {
        let script = self.queue()?;
        let settings = script.rooms.get(&request.into_inner().concert_id);
        Ok(Response::new(qu::GetRoomStatsResponse {
            room: Some(qu::Room {
                settings: settings.copied(),
                waiting: 7,
                serving_number: 120,
                inside: 3,
                called: 2,
                ..Default::default()
            }),
            paying: 4,
            completed: 50,
            expired: 6,
            lapsed: 8,
            admitted: 63,
            admitted_last_minute: 9,
        }))
    }

    async fn check_visit(&self, request: Request<qu::CheckVisitRequest>) -> Answer<qu::CheckVisitResponse> {
        let mut script = self.queue()?;
        script.visits.push(request.into_inner());
        match &script.refuse_visits {
            Some(problem) => Err(problem.clone().into()),
            None => Ok(Response::new(qu::CheckVisitResponse::default())),
        }
    }

    async fn watch_rooms(&self, _: Request<qu::WatchRoomsRequest>) -> Answer<Self::WatchRoomsStream> {
        Err(Status::unimplemented("not asked"))
    }

    async fn join(&self, _: Request<qu::JoinRequest>) -> Answer<qu::JoinResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get_token(&self, _: Request<qu::GetTokenRequest>) -> Answer<qu::GetTokenResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn leave(&self, _: Request<qu::LeaveRequest>) -> Answer<qu::LeaveResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get_proof(&self, _: Request<qu::GetProofRequest>) -> Answer<qu::GetProofResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn list_leaves(&self, _: Request<qu::ListLeavesRequest>) -> Answer<Self::ListLeavesStream> {
        Err(Status::unimplemented("not asked"))
    }

    async fn end_page(&self, _: Request<qu::EndPageRequest>) -> Answer<qu::EndPageResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn end_visits(&self, _: Request<qu::EndVisitsRequest>) -> Answer<qu::EndVisitsResponse> {
        Err(Status::unimplemented("not asked"))
    }
}

#[tonic::async_trait]
impl BookingService for Peers {
    async fn open_schedule(
        &self,
        request: Request<bk::OpenScheduleRequest>,
    ) -> Answer<bk::OpenScheduleResponse> {
        let request = request.into_inner();
        let mut script = self.booking()?;
        script.openings += 1;
        let opened = script
            .opened
            .entry(request.schedule_id.clone())
            .or_insert_with(|| request.clone());
        if *opened != request {
            return Err(Status::already_exists("another content"));
        }
        Ok(Response::new(bk::OpenScheduleResponse {}))
    }

    async fn close_schedule(
        &self,
        request: Request<bk::CloseScheduleRequest>,
    ) -> Answer<bk::CloseScheduleResponse> {
        let mut script = self.booking()?;
        script.closings += 1;
        if !script.opened.contains_key(&request.into_inner().schedule_id) {
            return Err(Status::not_found("never opened"));
        }
        Ok(Response::new(bk::CloseScheduleResponse {
            closed_at: Some(prost_types::Timestamp {
                seconds: 1_800_000_000,
                nanos: 0,
            }),
        }))
    }

    async fn get_seat_states(
        &self,
        request: Request<bk::GetSeatStatesRequest>,
    ) -> Answer<bk::GetSeatStatesResponse> {
        let script = self.booking()?;
        let opened = script
            .opened
            .get(&request.into_inner().schedule_id)
            .ok_or_else(|| Status::not_found("never opened"))?;
        Ok(Response::new(bk::GetSeatStatesResponse {
            version: 42,
            statuses: vec![b'A'; opened.seats.len()],
        }))
    }

    // One seat of each grade is held, one sold, as far as there are any.
    async fn count_seats(&self, request: Request<bk::CountSeatsRequest>) -> Answer<bk::CountSeatsResponse> {
        let script = self.booking()?;
        let asked = request.into_inner().schedule_ids;
        let known = asked.iter().filter_map(|id| script.opened.get(id));
        let schedules = known.map(|opened| {
            let mut grades: Vec<bk::GradeCounts> = Vec::new();
            for seat in &opened.seats {
                match grades.iter_mut().find(|counts| counts.grade == seat.grade) {
                    Some(counts) => counts.total += 1,
                    None => grades.push(bk::GradeCounts {
                        grade: seat.grade.clone(),
                        price: seat.price,
                        total: 1,
                        ..Default::default()
                    }),
                }
            }
            for counts in &mut grades {
                counts.pending = counts.total.min(1);
                counts.occupied = (counts.total - counts.pending).min(1);
                counts.available = counts.total - counts.pending - counts.occupied;
            }
            bk::ScheduleCounts {
                schedule_id: opened.schedule_id.clone(),
                grades,
            }
        });
        Ok(Response::new(bk::CountSeatsResponse {
            schedules: schedules.collect(),
        }))
    }

    async fn hold_seats(&self, _: Request<bk::HoldSeatsRequest>) -> Answer<bk::HoldSeatsResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get_reservation(
        &self,
        _: Request<bk::GetReservationRequest>,
    ) -> Answer<bk::GetReservationResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn list_reservations(
        &self,
        _: Request<bk::ListReservationsRequest>,
    ) -> Answer<bk::ListReservationsResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn release_reservation(
        &self,
        _: Request<bk::ReleaseReservationRequest>,
    ) -> Answer<bk::ReleaseReservationResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get_payables(&self, _: Request<bk::GetPayablesRequest>) -> Answer<bk::GetPayablesResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn begin_payments(
        &self,
        _: Request<bk::BeginPaymentsRequest>,
    ) -> Answer<bk::BeginPaymentsResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn mark_payment_unknown(
        &self,
        _: Request<bk::MarkPaymentUnknownRequest>,
    ) -> Answer<bk::MarkPaymentUnknownResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn confirm_reservations(
        &self,
        _: Request<bk::ConfirmReservationsRequest>,
    ) -> Answer<bk::ConfirmReservationsResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn release_payment(
        &self,
        _: Request<bk::ReleasePaymentRequest>,
    ) -> Answer<bk::ReleasePaymentResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn expire_due(&self, _: Request<bk::ExpireDueRequest>) -> Answer<bk::ExpireDueResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn cancel_schedule(
        &self,
        request: Request<bk::CancelScheduleRequest>,
    ) -> Answer<bk::CancelScheduleResponse> {
        let mut script = self.booking()?;
        let schedule_id = request.into_inner().schedule_id;
        if !script.opened.contains_key(&schedule_id) {
            return Err(Status::not_found("never opened"));
        }
        *script.canceled.entry(schedule_id).or_default() += 1;
        Ok(Response::new(bk::CancelScheduleResponse {
            canceled_at: Some(CANCELED_AT),
        }))
    }

    async fn get_schedule_cancellation(
        &self,
        request: Request<bk::GetScheduleCancellationRequest>,
    ) -> Answer<bk::GetScheduleCancellationResponse> {
        let script = self.booking()?;
        if !script.canceled.contains_key(&request.into_inner().schedule_id) {
            return Err(Status::not_found("not canceled"));
        }
        Ok(Response::new(bk::GetScheduleCancellationResponse {
            canceled_at: Some(CANCELED_AT),
            unpaid_left: 1,
            reservations: 3,
            refunded: 2,
            amount: 3_900_000_000_000,
            amount_refunded: 240_000,
            currency: "KRW".to_owned(),
        }))
    }

    async fn cancel_reservation(
        &self,
        _: Request<bk::CancelReservationRequest>,
    ) -> Result<Response<bk::CancelReservationResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn complete_refund(
        &self,
        _: Request<bk::CompleteRefundRequest>,
    ) -> Result<Response<bk::CompleteRefundResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn list_reservations_to_refund(
        &self,
        _: Request<bk::ListReservationsToRefundRequest>,
    ) -> Result<Response<bk::ListReservationsToRefundResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn list_paid_reservations(
        &self,
        _: Request<bk::ListPaidReservationsRequest>,
    ) -> Result<Response<bk::ListPaidReservationsResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }
}

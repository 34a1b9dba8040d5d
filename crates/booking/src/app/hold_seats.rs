//! Holds seats: the one use case that everybody runs at the same second.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use vocabulary::{Amount, ReservationId, ScheduleId, SeatId, UserId};

use super::{AppError, Booking, OwnReservation};
use crate::domain::{Lifecycle, Refused, Reservation, ReservedSeat, Schedule, ScheduledSeat, SeatSelection};
use crate::grpc::queue::Visit;
use crate::messaging::trace;
use crate::store::{HoldOutcome, LockOutcome, LockOwner, NewHold, Notice, VisitNotice};

/// Who wants which seats.
#[derive(Debug)]
pub struct HoldRequest {
    /// Who.
    pub user_id: UserId,
    /// The proof of an admitted visit; queue judges it.
    pub queue_token: SecretString,
    /// Of which date.
    pub schedule_id: ScheduleId,
    /// Which seats, in the order that the user named them.
    pub seat_ids: Vec<SeatId>,
    /// Under which key the request may be sent again.
    pub idempotency_key: Option<String>,
}

/// A hold that was asked for and made, or made by an earlier request with the same key.
enum Made {
    Now(Box<Reservation>, VisitNotice),
    Before(ReservationId),
}

impl Booking {
    /// Holds all the seats asked for, or none.
    ///
    /// # Errors
    /// What was asked for is wrong or taken, the visit is not on its page, the user would have too many seats; or a part
    /// of the system is away.
    pub async fn hold_seats(&self, request: HoldRequest) -> Result<OwnReservation, AppError> {
        let made = self.make(&request).await;
        metrics::counter!("booking_holds_total", "outcome" => outcome_word(&made)).increment(1);
        match made? {
            Made::Now(reservation, page_ended) => {
                self.messages_wait.notify_one();
                let owner = lock_owner(reservation.id, &request);
                let notices = [page_ended];
                // Each is bounded by itself, and neither decides anything: the locks spare Postgres the losers, and
                // what queue does not hear now it hears from the relay.
                tokio::join!(
                    self.seat_locks
                        .keep(&owner, request.schedule_id, &request.seat_ids, self.times.hold),
                    self.notices.tell(&notices),
                );
                self.own(*reservation)
            }
            Made::Before(id) => self.own(self.load(id).await?.reservation),
        }
    }

    async fn make(&self, request: &HoldRequest) -> Result<Made, AppError> {
        let selection = SeatSelection::new(&request.seat_ids)?;
        let schedule = self.schedules.get(request.schedule_id).await?;
        let foreign = request
            .seat_ids
            .iter()
            .enumerate()
            .filter(|(_, seat)| schedule.seat(**seat).is_none());
        let foreign: Vec<usize> = foreign.map(|(position, _)| position).collect();
        if !foreign.is_empty() {
            return Err(AppError::ForeignSeats(foreign));
        }

        let request_hash = request_hash(request.schedule_id, &selection);
        if let Some(key) = &request.idempotency_key {
            let answer = self
                .store
                .idempotent_answer(request.user_id, key, &request_hash)
                .await?;
            match answer {
                Some(HoldOutcome::Answered(id)) => return Ok(Made::Before(id)),
                Some(_) => return Err(AppError::IdempotencyKeyReused),
                None => {}
            }
        }

        let id = ReservationId::new();
        let deadline = Instant::now() + self.times.hold_deadline;
        let in_time = self.admit_lock_and_write(id, request, &schedule, &selection, request_hash, deadline);
        match tokio::time::timeout_at(deadline, in_time).await {
            Ok(made) => made,
            Err(_) => {
                // Whether Postgres has committed is not known; without the lock it answers for itself.
                self.seat_locks
                    .give_back(id, request.schedule_id, selection.seats())
                    .await;
                Err(AppError::HoldDeadline)
            }
        }
    }

    async fn admit_lock_and_write(
        &self,
        id: ReservationId,
        request: &HoldRequest,
        schedule: &Schedule,
        selection: &SeatSelection,
        request_hash: [u8; 32],
        deadline: Instant,
    ) -> Result<Made, AppError> {
        let visit = self
            .queue
            .check_visit(
                request.queue_token.expose_secret(),
                request.user_id,
                schedule.concert_id(),
            )
            .await
            .map_err(AppError::Queue)?;

        // A lock lives for as long as this request may; it is prolonged when the hold is there.
        let owner = lock_owner(id, request);
        let ttl = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        let locked = self
            .seat_locks
            .take(&owner, request.schedule_id, selection.seats(), ttl)
            .await;
        if let LockOutcome::Taken(seats) = locked {
            return Err(AppError::SeatUnavailable(seats));
        }

        let made = self
            .write(id, request, schedule, selection, request_hash, visit)
            .await;
        if locked == LockOutcome::Locked && !matches!(made, Ok(Made::Now(..))) {
            self.seat_locks
                .give_back(id, request.schedule_id, selection.seats())
                .await;
        }
        made
    }

    async fn write(
        &self,
        id: ReservationId,
        request: &HoldRequest,
        schedule: &Schedule,
        selection: &SeatSelection,
        request_hash: [u8; 32],
        visit: Visit,
    ) -> Result<Made, AppError> {
        let seats: Vec<&ScheduledSeat> = selection
            .seats()
            .iter()
            .filter_map(|seat| schedule.seat(*seat))
            .collect();
        let total = seats
            .iter()
            .try_fold(Amount::ZERO, |total, seat| total.checked_add(seat.price))
            // A date with such prices can't be opened.
            .unwrap_or(Amount::MAX);
        let trace_parent = trace::current();
        let hold = NewHold {
            reservation_id: id,
            user_id: request.user_id,
            visit_id: visit.visit_id,
            queue_number: visit.number,
            schedule,
            seats: &seats,
            total,
            keep: self.times.hold,
            idempotency: request.idempotency_key.as_deref().map(|key| (key, request_hash)),
            trace_parent: trace_parent.as_deref(),
        };
        match self.store.hold(&hold).await? {
            HoldOutcome::Held {
                created_at,
                expires_at,
                page_ended,
            } => {
                let mut by_index = seats;
                by_index.sort_unstable_by_key(|seat| seat.index);
                let reservation = Reservation {
                    id,
                    user_id: request.user_id,
                    schedule_id: request.schedule_id,
                    concert_id: schedule.concert_id(),
                    visit_id: visit.visit_id,
                    queue_number: visit.number,
                    seats: by_index.into_iter().map(reserved).collect(),
                    total,
                    currency: schedule.currency(),
                    created_at,
                    lifecycle: Lifecycle::held_until(expires_at),
                };
                let page_ended = VisitNotice {
                    id: page_ended,
                    visit_id: visit.visit_id,
                    notice: Notice::PageEnded,
                };
                Ok(Made::Now(Box::new(reservation), page_ended))
            }
            HoldOutcome::Answered(id) => Ok(Made::Before(id)),
            HoldOutcome::KeyReused => Err(AppError::IdempotencyKeyReused),
            HoldOutcome::SaleClosed => Err(AppError::SaleClosed),
            HoldOutcome::ScheduleCanceled => Err(Refused::ScheduleCanceled.into()),
            HoldOutcome::VisitUsed => Err(AppError::PageLeft),
            HoldOutcome::CapExceeded => Err(AppError::SeatCapExceeded),
            HoldOutcome::Taken(seats) => Err(AppError::SeatUnavailable(seats)),
        }
    }
}

fn reserved(seat: &ScheduledSeat) -> ReservedSeat {
    ReservedSeat {
        seat_id: seat.seat_id,
        grade: seat.grade.clone(),
        price: seat.price,
    }
}

fn lock_owner(id: ReservationId, request: &HoldRequest) -> LockOwner {
    LockOwner::new(id, request.user_id, request.idempotency_key.as_deref())
}

/// The queue token is no part of it: it is who asks, not what is asked for.
fn request_hash(schedule_id: ScheduleId, selection: &SeatSelection) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(schedule_id.as_uuid().as_bytes());
    for seat in selection.seats() {
        hash.update(seat.as_uuid().as_bytes());
    }
    hash.finalize().into()
}

fn outcome_word(made: &Result<Made, AppError>) -> &'static str {
    match made {
        Ok(Made::Now(..)) => "held",
        Ok(Made::Before(_)) => "answered_again",
        Err(AppError::SeatUnavailable(_)) => "seat_unavailable",
        Err(AppError::SeatCapExceeded) => "seat_cap_exceeded",
        Err(AppError::SaleClosed) => "sale_closed",
        Err(AppError::Refused(Refused::ScheduleCanceled)) => "schedule_canceled",
        Err(AppError::PageLeft) => "page_left",
        Err(AppError::IdempotencyKeyReused) => "key_reused",
        Err(AppError::Queue(_)) => "visit_refused",
        Err(AppError::NotFound(_) | AppError::Selection(_) | AppError::ForeignSeats(_)) => "invalid",
        Err(_) => "failed",
    }
}

//! Seats for sale, of the booking service.

use std::collections::HashMap;
use std::time::Duration;

use contracts::{BookingClient, booking};
use service_kit::grpc::client::{Channel, DEFAULT_DEADLINE};
use service_kit::problem::Problem;
use time::OffsetDateTime;
use tonic::Request;
use vocabulary::{ConcertId, Currency, ProblemCode, ScheduleId};

use crate::domain::layout::Layout;
use crate::domain::refund_policy::RefundPolicy;

/// How long the booking service may take to write the seats of the largest hall; the channel's own deadline.
pub const OPEN_SCHEDULE_DEADLINE: Duration = Duration::from_secs(12);
/// The most dates that one call counts.
const COUNT_AT_ONCE: usize = 100;

/// A date whose seats are to be sold.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// The date.
    pub schedule_id: ScheduleId,
    /// Its concert.
    pub concert_id: ConcertId,
    /// Its seats, with their prices.
    pub layout: &'a Layout,
    /// When it begins.
    pub starts_at: OffsetDateTime,
    /// What goes back to whoever cancels.
    pub refund_policy: &'a RefundPolicy,
}

/// Status of every seat of a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatStates {
    /// Equal versions mean equal states.
    pub version: u64,
    /// One byte a seat in the order of the layout.
    pub statuses: Vec<u8>,
}

/// Seats of one grade at one date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GradeCounts {
    /// The price class.
    pub grade: String,
    /// In all.
    pub total: u32,
    /// On sale.
    pub available: u32,
    /// Held, not paid.
    pub pending: u32,
    /// Sold.
    pub occupied: u32,
}

/// How far the cancellation of a date has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationProgress {
    /// When it began.
    pub canceled_at: OffsetDateTime,
    /// Holds and payments under way that still have to end.
    pub unpaid_left: u32,
    /// Paid reservations whose money goes back.
    pub reservations: u32,
    /// Those whose money is back.
    pub refunded: u32,
    /// What goes back in all, in the currency's smallest unit; more than one amount may hold.
    pub amount: i64,
    /// What is back.
    pub amount_refunded: i64,
    /// What both are in.
    pub currency: Currency,
}

/// The booking service.
#[derive(Debug, Clone)]
pub struct Booking {
    client: BookingClient,
}

impl Booking {
    /// Calls over `channel`, whose deadline is that of the longest call.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            client: contracts::booking_client(channel),
        }
    }

    /// Puts the seats of a date on sale. A retry is harmless.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn open_schedule(&self, opening: Opening<'_>) -> Result<(), Problem> {
        let seats = opening.layout.seats().map(|seat| booking::SeatForSale {
            seat_id: seat.seat.seat_id.to_string(),
            index: seat.index.0,
            grade: seat.price.grade.to_string(),
            price: seat.price.amount.get(),
        });
        let tiers = opening
            .refund_policy
            .tiers()
            .iter()
            .map(|tier| booking::RefundTier {
                hours_before_start: tier.hours_before_start,
                percent: tier.percent,
            });
        let request = booking::OpenScheduleRequest {
            schedule_id: opening.schedule_id.to_string(),
            concert_id: opening.concert_id.to_string(),
            currency: opening.layout.currency().to_string(),
            seats: seats.collect(),
            starts_at: Some(contracts::timestamp(opening.starts_at)),
            refund_policy: Some(booking::RefundPolicy {
                tiers: tiers.collect(),
            }),
        };
        self.client.clone().open_schedule(request).await?;
        Ok(())
    }

    /// Ends the sale of a date; answers when it was first ended. A retry is harmless.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn close_schedule(&self, schedule_id: ScheduleId) -> Result<OffsetDateTime, Problem> {
        let request = read(booking::CloseScheduleRequest {
            schedule_id: schedule_id.to_string(),
        });
        let answer = self.client.clone().close_schedule(request).await?.into_inner();
        told_time("closedAt", answer.closed_at)
    }

    /// Cancels a date; answers when it was first canceled. A retry is harmless.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn cancel_schedule(&self, schedule_id: ScheduleId) -> Result<OffsetDateTime, Problem> {
        let request = read(booking::CancelScheduleRequest {
            schedule_id: schedule_id.to_string(),
        });
        let answer = self.client.clone().cancel_schedule(request).await?.into_inner();
        told_time("canceledAt", answer.canceled_at)
    }

    /// How far the cancellation of a date has come.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn schedule_cancellation(
        &self,
        schedule_id: ScheduleId,
    ) -> Result<CancellationProgress, Problem> {
        let request = read(booking::GetScheduleCancellationRequest {
            schedule_id: schedule_id.to_string(),
        });
        let answer = self.client.clone().get_schedule_cancellation(request).await?;
        let answer = answer.into_inner();
        Ok(CancellationProgress {
            canceled_at: told_time("canceledAt", answer.canceled_at)?,
            unpaid_left: answer.unpaid_left,
            reservations: answer.reservations,
            refunded: answer.refunded,
            amount: answer.amount,
            amount_refunded: answer.amount_refunded,
            currency: answer
                .currency
                .parse()
                .map_err(|_| Problem::of(ProblemCode::Internal))?,
        })
    }

    /// Counts by grade for each date; dates that the booking service does not know are left out.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn count_seats(
        &self,
        schedule_ids: impl ExactSizeIterator<Item = ScheduleId>,
    ) -> Result<HashMap<ScheduleId, Vec<GradeCounts>>, Problem> {
        let mut counts = HashMap::with_capacity(schedule_ids.len());
        let ids: Vec<_> = schedule_ids.map(|id| id.to_string()).collect();
        for ids in ids.chunks(COUNT_AT_ONCE) {
            let request = read(booking::CountSeatsRequest {
                schedule_ids: ids.to_vec(),
            });
            let answer = self.client.clone().count_seats(request).await?.into_inner();
            counts.extend(answer.schedules.into_iter().filter_map(|schedule| {
                let schedule_id = schedule.schedule_id.parse().ok()?;
                let grades = schedule.grades.into_iter().map(|counts| GradeCounts {
                    grade: counts.grade,
                    total: counts.total,
                    available: counts.available,
                    pending: counts.pending,
                    occupied: counts.occupied,
                });
                Some((schedule_id, grades.collect()))
            }));
        }
        Ok(counts)
    }

    /// Status of every seat of a date.
    ///
    /// # Errors
    /// The peer's problem.
    pub async fn seat_states(&self, schedule_id: ScheduleId) -> Result<SeatStates, Problem> {
        let request = read(booking::GetSeatStatesRequest {
            schedule_id: schedule_id.to_string(),
        });
        let answer = self.client.clone().get_seat_states(request).await?.into_inner();
        Ok(SeatStates {
            version: answer.version,
            statuses: answer.statuses,
        })
    }
}

fn told_time(name: &str, at: Option<prost_types::Timestamp>) -> Result<OffsetDateTime, Problem> {
    let at = at.ok_or_else(|| Problem::of(ProblemCode::Internal))?;
    contracts::time_of(name, &at)
}

// Reads and small changes wait no longer than calls do in general.
fn read<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEFAULT_DEADLINE);
    request
}

//! Generated types to our own and back.

use contracts::{concert as pb, time_of, timestamp};
use service_kit::problem::{FieldError, Problem};
use time::OffsetDateTime;

use crate::app::Stats;
use crate::domain::audit::AuditPage;
use crate::domain::concert::{Concert, Schedule, SeatsLeft};
use crate::domain::layout::Layout;
use crate::domain::page::Page;
use crate::domain::refund_policy::{RefundPolicy, RefundTier};
use crate::domain::text::fault;
use crate::domain::waiting_room::{RoomMode, WaitingRoom};
use crate::peers::CancellationProgress;

/// `path` is where the public API has the room; empty = it is the body itself.
pub(super) fn waiting_room(
    path: &str,
    room: Option<pb::WaitingRoom>,
) -> Result<WaitingRoom, Vec<FieldError>> {
    let Some(room) = room else {
        let name = if path.is_empty() { "waitingRoom" } else { path };
        return Err(vec![fault(name, "is required")]);
    };
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}.")
    };
    let opens_at = room
        .opens_at
        .map(|at| time_of(&format!("{prefix}opensAt"), &at))
        .transpose()
        .map_err(|problem| problem.fields)?;
    let mode = match pb::WaitingRoomMode::try_from(room.mode) {
        Ok(pb::WaitingRoomMode::Unspecified | pb::WaitingRoomMode::Open) => Ok(RoomMode::Open),
        Ok(pb::WaitingRoomMode::Paused) => Ok(RoomMode::Paused),
        Ok(pb::WaitingRoomMode::Draining) => Ok(RoomMode::Draining),
        Err(_) => Err(vec![fault(
            format!("{prefix}mode"),
            "must be OPEN, PAUSED or DRAINING",
        )]),
    };
    match (
        WaitingRoom::new(&prefix, room.capacity, room.admit_per_second, opens_at),
        mode,
    ) {
        (Ok(room), Ok(mode)) => Ok(room.in_mode(mode)),
        (room, mode) => Err(room.err().into_iter().chain(mode.err()).flatten().collect()),
    }
}

/// Absent = everything until the beginning.
pub(super) fn refund_policy(policy: Option<pb::RefundPolicy>) -> Result<RefundPolicy, Vec<FieldError>> {
    let Some(policy) = policy else {
        return Ok(RefundPolicy::default());
    };
    let tiers = policy.tiers.into_iter().map(|tier| RefundTier {
        hours_before_start: tier.hours_before_start,
        percent: tier.percent,
    });
    RefundPolicy::new(tiers.collect())
}

pub(super) fn required_time(
    field: &str,
    at: Option<&prost_types::Timestamp>,
) -> Result<OffsetDateTime, Problem> {
    at.map_or_else(
        || Err(Problem::field(field, "is required")),
        |at| time_of(field, at),
    )
}

impl From<Page> for pb::SearchConcertsResponse {
    fn from(page: Page) -> Self {
        Self {
            concerts: page.concerts.into_iter().map(Into::into).collect(),
            next_cursor: page.next_cursor.unwrap_or_default(),
        }
    }
}

impl From<Concert> for pb::Concert {
    fn from(concert: Concert) -> Self {
        let prices = concert.prices.into_iter().map(|price| pb::Price {
            grade: price.grade.into(),
            amount: price.amount.get(),
        });
        let tiers = concert.refund_policy.tiers().iter().map(|tier| pb::RefundTier {
            hours_before_start: tier.hours_before_start,
            percent: tier.percent,
        });
        Self {
            concert_id: concert.concert_id.to_string(),
            title: concert.title,
            venue_id: concert.venue_id.to_string(),
            venue_name: concert.venue_name,
            currency: concert.currency.into(),
            prices: prices.collect(),
            schedules: concert.schedules.into_iter().map(Into::into).collect(),
            refund_policy: Some(pb::RefundPolicy {
                tiers: tiers.collect(),
            }),
        }
    }
}

impl From<Schedule> for pb::Schedule {
    fn from(schedule: Schedule) -> Self {
        Self {
            schedule_id: schedule.schedule_id.to_string(),
            starts_at: Some(timestamp(schedule.starts_at)),
            closed_at: schedule.closed_at.map(timestamp),
            canceled_at: schedule.canceled_at.map(timestamp),
        }
    }
}

impl From<CancellationProgress> for pb::GetScheduleCancellationResponse {
    fn from(progress: CancellationProgress) -> Self {
        Self {
            canceled_at: Some(timestamp(progress.canceled_at)),
            unpaid_left: progress.unpaid_left,
            reservations: progress.reservations,
            refunded: progress.refunded,
            amount: progress.amount,
            amount_refunded: progress.amount_refunded,
            currency: progress.currency.into(),
        }
    }
}

impl From<SeatsLeft> for pb::ScheduleSeatsLeft {
    fn from(left: SeatsLeft) -> Self {
        let grades = left.grades.into_iter().map(|seats| pb::GradeSeats {
            grade: seats.price.grade.into(),
            price: seats.price.amount.get(),
            total: seats.total,
            available: seats.available,
        });
        Self {
            schedule: Some(left.schedule.into()),
            grades: grades.collect(),
        }
    }
}

impl From<&Layout> for pb::Layout {
    fn from(layout: &Layout) -> Self {
        let seats = layout.seats().map(|seat| pb::LayoutSeat {
            seat_id: seat.seat.seat_id.to_string(),
            index: seat.index.0,
            section: seat.section.to_owned(),
            row: seat.row.to_owned(),
            number: seat.seat.number.clone(),
            grade: seat.price.grade.to_string(),
            price: seat.price.amount.get(),
            x: seat.seat.x,
            y: seat.seat.y,
        });
        let (width, height) = layout.size();
        Self {
            version: layout.version().to_owned(),
            currency: layout.currency().to_string(),
            seats: seats.collect(),
            width,
            height,
        }
    }
}

impl From<WaitingRoom> for pb::WaitingRoom {
    fn from(room: WaitingRoom) -> Self {
        let mode = match room.mode() {
            RoomMode::Open => pb::WaitingRoomMode::Open,
            RoomMode::Paused => pb::WaitingRoomMode::Paused,
            RoomMode::Draining => pb::WaitingRoomMode::Draining,
        };
        Self {
            capacity: room.capacity(),
            admit_per_second: room.admit_per_second(),
            opens_at: room.opens_at().map(timestamp),
            mode: mode.into(),
        }
    }
}

impl From<Stats> for pb::GetStatsResponse {
    fn from(stats: Stats) -> Self {
        let schedules = stats.schedules.into_iter().map(|seats| pb::ScheduleStats {
            schedule_id: seats.schedule_id.to_string(),
            available: seats.available,
            pending: seats.pending,
            occupied: seats.occupied,
        });
        Self {
            waiting: stats.room.waiting,
            serving_number: stats.room.serving_number,
            inside: stats.room.inside,
            schedules: schedules.collect(),
            called: stats.room.called,
            paying: stats.room.paying,
            completed: stats.room.completed,
            expired: stats.room.expired,
            lapsed: stats.room.lapsed,
            admitted: stats.room.admitted,
            admitted_last_minute: stats.room.admitted_last_minute,
        }
    }
}

impl From<AuditPage> for pb::ListAuditLogResponse {
    fn from(page: AuditPage) -> Self {
        let next_cursor = page.next_cursor().unwrap_or_default();
        let entries = page.entries.into_iter().map(|entry| pb::AuditEntry {
            act: entry.act,
            target_id: entry.target_id.to_string(),
            at: Some(timestamp(entry.at)),
            details_json: entry.details.to_string(),
        });
        Self {
            entries: entries.collect(),
            next_cursor,
        }
    }
}

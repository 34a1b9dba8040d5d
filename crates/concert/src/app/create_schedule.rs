//! Puts a date on sale.

use service_kit::problem::FieldError;
use time::OffsetDateTime;
use vocabulary::{ConcertId, ScheduleId, UserId};

use super::{App, AppError, LEASE};
use crate::domain::text::fault;
use crate::store::{Creation, IdempotencyKey, NewSchedule, Once, Route, ScheduleRef};

/// A date to be put on sale.
#[derive(Debug, Clone)]
pub struct CreateSchedule {
    organiser_id: UserId,
    concert_id: ConcertId,
    starts_at: OffsetDateTime,
    key: Option<IdempotencyKey>,
}

impl CreateSchedule {
    /// # Errors
    /// Every field that is wrong by itself; whether the date is in the future is decided when it is made.
    pub fn new(
        organiser_id: UserId,
        concert_id: ConcertId,
        starts_at: OffsetDateTime,
        key: &str,
    ) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        // Beyond these years stores and calendars disagree.
        if starts_at.year() < 1970 {
            faults.push(fault("startsAt", "must be in the future"));
        }
        match IdempotencyKey::parse(key).map_err(|fault| faults.push(fault)) {
            Ok(key) if faults.is_empty() => Ok(Self {
                organiser_id,
                concert_id,
                starts_at,
                key,
            }),
            _ => Err(faults),
        }
    }

    fn once(&self) -> Option<Once> {
        let key = self.key.clone()?;
        let starts_at = self.starts_at.unix_timestamp_nanos().to_be_bytes();
        let concert_id = self.concert_id.as_uuid();
        let parts = [&concert_id.as_bytes()[..], &starts_at];
        Some(Once::new(self.organiser_id, Route::CreateSchedule, key, parts))
    }
}

impl App {
    /// Puts a date on sale: kept, its seats opened, then shown. Where the booking service is away the date is kept and
    /// put on sale later by itself; a repetition is as that of a concert.
    ///
    /// # Errors
    /// There is no such concert of this organiser, a field is wrong, the key was used for another request or is in use,
    /// or the store or the booking service failed.
    pub async fn create_schedule(&self, request: CreateSchedule) -> Result<ScheduleId, AppError> {
        let once = request.once();
        if let Some(once) = &once
            && let Some(id) = self.store.made_before(once).await?
        {
            return self.finish_schedule_made_before(ScheduleId::from_uuid(id)).await;
        }

        let schedule = NewSchedule {
            schedule_id: ScheduleId::new(),
            concert_id: request.concert_id,
            organiser_id: request.organiser_id,
            starts_at: request.starts_at,
        };
        match self
            .store
            .create_schedule(once.as_ref(), &schedule, LEASE)
            .await?
        {
            Creation::Before(schedule_id) => self.finish_schedule_made_before(schedule_id).await,
            Creation::Now => {
                let unfinished = ScheduleRef {
                    schedule_id: schedule.schedule_id,
                    concert_id: schedule.concert_id,
                };
                self.finish_schedule(&unfinished).await?;
                Ok(schedule.schedule_id)
            }
        }
    }
}

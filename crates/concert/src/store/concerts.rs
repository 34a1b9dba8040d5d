//! Concerts: made, then listed.

use std::time::Duration;

use serde_json::json;
use service_kit::database::begin;
use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{ConcertId, Currency, ScheduleId, UserId, VenueId};

use super::audit::note;
use super::idempotency::claim;
use super::{Creation, Lease, Once, Store, StoreError, Unreadable, interval};
use crate::domain::audit::Act;
use crate::domain::concert::Price;
use crate::domain::lifecycle::ConcertState;
use crate::domain::refund_policy::RefundPolicy;
use crate::domain::waiting_room::WaitingRoom;

/// A concert to be kept.
#[derive(Debug)]
pub struct NewConcert {
    /// Its id.
    pub concert_id: ConcertId,
    /// Whose it is.
    pub organiser_id: UserId,
    /// A venue of the same organiser.
    pub venue_id: VenueId,
    /// Its title.
    pub title: String,
    /// What its prices are in.
    pub currency: Currency,
    /// One for each grade of the venue.
    pub prices: Vec<Price>,
    /// What goes back to whoever cancels.
    pub refund_policy: RefundPolicy,
    /// Names its layout.
    pub layout_version: String,
    /// How its waiting room is to work at the beginning.
    pub room: WaitingRoom,
}

/// A concert whose waiting room may not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedConcert {
    /// Its id.
    pub concert_id: ConcertId,
    /// The room to be made.
    pub room: WaitingRoom,
}

/// A concert as its organiser has it.
#[derive(Debug)]
pub struct OwnedConcert {
    /// Where it stands.
    pub state: ConcertState,
    /// Its dates on sale.
    pub schedules: Vec<ScheduleId>,
}

struct RoomRow {
    concert_id: Uuid,
    room_capacity: i32,
    room_admit_per_second: i32,
    room_opens_at: Option<OffsetDateTime>,
    room_mode: String,
}

impl TryFrom<RoomRow> for UnfinishedConcert {
    type Error = StoreError;

    fn try_from(row: RoomRow) -> Result<Self, Self::Error> {
        let wrong = Unreadable::Other("a waiting room's settings");
        let (Ok(capacity), Ok(admit_per_second), Ok(mode)) = (
            row.room_capacity.try_into(),
            row.room_admit_per_second.try_into(),
            row.room_mode.parse(),
        ) else {
            return Err(wrong.into());
        };
        let room = WaitingRoom::new("", capacity, admit_per_second, row.room_opens_at).map_err(|_| wrong)?;
        Ok(Self {
            concert_id: ConcertId::from_uuid(row.concert_id),
            room: room.in_mode(mode),
        })
    }
}

impl Store {
    /// Keeps a concert in state CREATING, leased to the caller for `lease`.
    ///
    /// # Errors
    /// The key was used for another request, or the database failed.
    pub async fn create_concert(
        &self,
        once: Option<&Once>,
        concert: &NewConcert,
        lease: Duration,
    ) -> Result<Creation<ConcertId>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        if let Creation::Before(id) = claim(&mut transaction, once, concert.concert_id.as_uuid()).await? {
            return Ok(Creation::Before(ConcertId::from_uuid(id)));
        }
        let (refund_hours, refund_percents): (Vec<_>, Vec<_>) = concert
            .refund_policy
            .tiers()
            .iter()
            .map(|tier| (column(tier.hours_before_start), column(tier.percent)))
            .unzip();
        sqlx::query!(
            "INSERT INTO concerts (concert_id, organiser_id, venue_id, title, currency, layout_version,
                                   room_capacity, room_admit_per_second, room_opens_at, room_mode,
                                   refund_hours, refund_percents, state, leased_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'CREATING', frontrow_now() + $13)",
            concert.concert_id.as_uuid(),
            concert.organiser_id.as_uuid(),
            concert.venue_id.as_uuid(),
            concert.title,
            concert.currency.as_str(),
            concert.layout_version,
            column(concert.room.capacity()),
            column(concert.room.admit_per_second()),
            concert.room.opens_at(),
            concert.room.mode().as_str(),
            &refund_hours,
            &refund_percents,
            interval(lease),
        )
        .execute(&mut *transaction)
        .await?;
        let (grades, amounts): (Vec<_>, Vec<_>) = concert
            .prices
            .iter()
            .map(|price| (price.grade.as_str().to_owned(), price.amount.get()))
            .unzip();
        sqlx::query!(
            "INSERT INTO concert_prices (concert_id, venue_id, grade, amount)
             SELECT $1, $2, grade, amount FROM unnest($3::text[], $4::bigint[]) AS asked (grade, amount)",
            concert.concert_id.as_uuid(),
            concert.venue_id.as_uuid(),
            &grades,
            &amounts,
        )
        .execute(&mut *transaction)
        .await?;
        let details = json!({
            "title": concert.title,
            "venueId": concert.venue_id,
            "currency": concert.currency.as_str(),
            "waitingRoom": concert.room.details(),
            "refundPolicy": concert.refund_policy.details(),
        });
        note(
            &mut transaction,
            concert.organiser_id,
            Act::ConcertCreated,
            concert.concert_id.as_uuid(),
            details,
        )
        .await?;
        transaction.commit().await?;
        Ok(Creation::Now)
    }

    /// Leases the making of one concert's room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_concert(
        &self,
        concert_id: ConcertId,
        lease: Duration,
    ) -> Result<Lease<UnfinishedConcert>, StoreError> {
        let row = sqlx::query_as!(
            RoomRow,
            "UPDATE concerts SET leased_until = frontrow_now() + $2
             WHERE concert_id = $1 AND state = 'CREATING' AND leased_until <= frontrow_now()
             RETURNING concert_id, room_capacity, room_admit_per_second, room_opens_at, room_mode",
            concert_id.as_uuid(),
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(row) = row {
            return Ok(Lease::Taken(row.try_into()?));
        }
        let unfinished = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM concerts WHERE concert_id = $1 AND state = 'CREATING') AS "unfinished!""#,
            concert_id.as_uuid(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(if unfinished { Lease::Busy } else { Lease::Finished })
    }

    /// Leases the making of the room that waited longest; `None` when none waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease_next_concert(&self, lease: Duration) -> Result<Option<UnfinishedConcert>, StoreError> {
        sqlx::query_as!(
            RoomRow,
            "UPDATE concerts SET leased_until = frontrow_now() + $1
             WHERE concert_id = (SELECT concert_id FROM concerts
                                 WHERE state = 'CREATING' AND leased_until <= frontrow_now()
                                 ORDER BY leased_until LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING concert_id, room_capacity, room_admit_per_second, room_opens_at, room_mode",
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?
        .map(TryInto::try_into)
        .transpose()
    }

    /// Gives the lease back; the next try may begin after `pause`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_concert(&self, concert_id: ConcertId, pause: Duration) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE concerts SET leased_until = frontrow_now() + $2 WHERE concert_id = $1 AND state = 'CREATING'",
            concert_id.as_uuid(),
            interval(pause),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// CREATING -> LISTED.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_concert(&self, concert_id: ConcertId) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE concerts SET state = 'LISTED' WHERE concert_id = $1 AND state = 'CREATING'",
            concert_id.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A concert of this organiser; `None` also when it is somebody else's.
    ///
    /// # Errors
    /// The database failed.
    pub async fn owned_concert(
        &self,
        organiser_id: UserId,
        concert_id: ConcertId,
    ) -> Result<Option<OwnedConcert>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT state, ARRAY(SELECT schedule_id FROM schedules
                                   WHERE schedules.concert_id = concerts.concert_id AND schedules.state = 'ON_SALE'
                                   ORDER BY starts_at, schedule_id) AS "schedules!"
               FROM concerts WHERE concert_id = $1 AND organiser_id = $2"#,
            concert_id.as_uuid(),
            organiser_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(OwnedConcert {
            state: concert_state(&row.state)?,
            schedules: row.schedules.into_iter().map(ScheduleId::from_uuid).collect(),
        }))
    }
}

// Domain types keep these within the column's range.
fn column(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn concert_state(word: &str) -> Result<ConcertState, Unreadable> {
    match word {
        "CREATING" => Ok(ConcertState::Creating),
        "LISTED" => Ok(ConcertState::Listed),
        _ => Err(Unreadable::Other("a concert's state")),
    }
}

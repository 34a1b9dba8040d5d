//! Dates on sale: written once, read once by each process and then kept.

use service_kit::database::begin;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use vocabulary::{Amount, ConcertId, Grade, ScheduleId, SeatId, SeatIndex};

use super::{Store, StoreError, unsigned};
use crate::domain::{RefundPolicy, RefundTerms, Schedule, ScheduleOpening, ScheduledSeat};

/// What opening a date came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It is on sale now.
    Now,
    /// It was on sale before, with the same content.
    Before,
    /// It was on sale before, with another content; nothing changed.
    Differently,
}

impl Store {
    /// Puts a date on sale, whole or not at all.
    pub async fn open_schedule(&self, opening: &ScheduleOpening) -> Result<Opened, StoreError> {
        let schedule_id = opening.schedule_id().as_uuid();
        let hash = content_hash(opening);
        let currency = opening.currency();
        let mut transaction = begin(&self.pool).await?;

        // A second opening waits here for the first one's end.
        let inserted = sqlx::query!(
            "INSERT INTO schedules (schedule_id, concert_id, currency, seats, starts_at, content_hash) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            schedule_id,
            opening.concert_id().as_uuid(),
            currency.as_str(),
            i32::try_from(opening.seats().len()).unwrap_or(i32::MAX),
            opening.refund_terms().starts_at,
            hash.as_slice(),
        )
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            let same = sqlx::query_scalar!(
                r#"SELECT content_hash = $2 AS "same!" FROM schedules WHERE schedule_id = $1"#,
                schedule_id,
                hash.as_slice(),
            )
            .fetch_one(&mut *transaction)
            .await?;
            transaction.rollback().await?;
            return Ok(if same { Opened::Before } else { Opened::Differently });
        }

        let tiers = opening.refund_terms().policy.tiers().iter();
        let (hours, percents): (Vec<_>, Vec<_>) = tiers
            .map(|tier| {
                let hours = i32::try_from(tier.hours_before_start).unwrap_or(i32::MAX);
                (hours, i32::from(tier.percent.get()))
            })
            .unzip();
        sqlx::query!(
            "INSERT INTO refund_tiers (schedule_id, hours_before_start, percent) \
             SELECT $1, * FROM unnest($2::integer[], $3::integer[])",
            schedule_id,
            &hours,
            &percents,
        )
        .execute(&mut *transaction)
        .await?;

        // In portions, so that the largest hall stays within the time of one statement.
        for seats in opening.seats().chunks(SEATS_PER_STATEMENT) {
            let seat_ids: Vec<_> = seats.iter().map(|seat| seat.seat_id.as_uuid()).collect();
            let indexes: Vec<_> = seats
                .iter()
                .map(|seat| i32::try_from(seat.index.0).unwrap_or(i32::MAX))
                .collect();
            let grades: Vec<_> = seats.iter().map(|seat| seat.grade.as_str().to_owned()).collect();
            let prices: Vec<_> = seats.iter().map(|seat| seat.price.get()).collect();
            sqlx::query!(
                "INSERT INTO seats (schedule_id, seat_id, seat_index, grade, price) \
                 SELECT $1, * FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::bigint[])",
                schedule_id,
                &seat_ids,
                &indexes,
                &grades,
                &prices,
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(Opened::Now)
    }

    /// Ends the sale of a date; answers when it was first ended, `None` when it was never opened.
    ///
    /// Waits for holds that are being made, and keeps out those that come after.
    pub async fn close_schedule(
        &self,
        schedule_id: ScheduleId,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(sale_lock($1))",
            schedule_id.as_uuid()
        )
        .execute(&mut *transaction)
        .await?;
        let closed_at = sqlx::query_scalar!(
            r#"UPDATE schedules SET closed_at = coalesce(closed_at, frontrow_now()) WHERE schedule_id = $1
               RETURNING closed_at AS "closed_at!""#,
            schedule_id.as_uuid(),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(closed_at)
    }

    /// What goes back of a date, and when it begins; `None` when it was never opened.
    pub async fn refund_terms(&self, schedule_id: ScheduleId) -> Result<Option<RefundTerms>, StoreError> {
        let Some(row) = sqlx::query!(
            r#"SELECT starts_at, tiers.hours AS "hours!", tiers.percents AS "percents!"
               FROM schedules, LATERAL (
                   SELECT coalesce(array_agg(hours_before_start), '{}') AS hours,
                          coalesce(array_agg(percent), '{}') AS percents
                   FROM refund_tiers WHERE refund_tiers.schedule_id = schedules.schedule_id
               ) AS tiers
               WHERE schedule_id = $1"#,
            schedule_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?
        else {
            return Ok(None);
        };
        let tiers = row.hours.into_iter().zip(row.percents);
        let tiers = tiers
            .map(|(hours, percent)| {
                Ok((
                    unsigned(hours, "refund_tiers.hours_before_start")?,
                    unsigned(percent, "refund_tiers.percent")?,
                ))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Some(RefundTerms {
            starts_at: row.starts_at,
            policy: RefundPolicy::new(&tiers).map_err(|_| StoreError::Row("refund_tiers"))?,
        }))
    }

    /// A date with all its seats; `None` when it was never opened.
    pub async fn load_schedule(&self, schedule_id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        let Some(schedule) = sqlx::query!(
            "SELECT concert_id, currency FROM schedules WHERE schedule_id = $1",
            schedule_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?
        else {
            return Ok(None);
        };
        let rows = sqlx::query!(
            "SELECT seat_id, seat_index, grade, price FROM seats WHERE schedule_id = $1",
            schedule_id.as_uuid(),
        )
        .fetch_all(&self.pool)
        .await?;
        let seats = rows
            .into_iter()
            .map(|row| {
                Ok(ScheduledSeat {
                    seat_id: SeatId::from_uuid(row.seat_id),
                    index: SeatIndex(unsigned(row.seat_index, "seats.seat_index")?),
                    grade: Grade::try_from(row.grade).map_err(|_| StoreError::Row("seats.grade"))?,
                    price: Amount::new(row.price).map_err(|_| StoreError::Row("seats.price"))?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(Schedule::new(
            schedule_id,
            ConcertId::from_uuid(schedule.concert_id),
            schedule
                .currency
                .parse()
                .map_err(|_| StoreError::Row("schedules.currency"))?,
            seats,
        )))
    }
}

const SEATS_PER_STATEMENT: usize = 10_000;

/// Every value with its length in front, so that two different openings never read alike.
fn content_hash(opening: &ScheduleOpening) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(opening.concert_id().as_uuid().as_bytes());
    hash.update(opening.currency().as_str());
    let terms = opening.refund_terms();
    // What Postgres keeps of a time.
    hash.update((terms.starts_at.unix_timestamp_nanos() / 1_000).to_be_bytes());
    hash.update((terms.policy.tiers().len() as u64).to_be_bytes());
    for tier in terms.policy.tiers() {
        hash.update(tier.hours_before_start.to_be_bytes());
        hash.update([tier.percent.get()]);
    }
    for seat in opening.seats() {
        hash.update(seat.seat_id.as_uuid().as_bytes());
        hash.update(seat.price.get().to_be_bytes());
        hash.update((seat.grade.as_str().len() as u64).to_be_bytes());
        hash.update(seat.grade.as_str());
    }
    hash.finalize().into()
}

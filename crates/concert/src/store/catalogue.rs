//! Concerts as everybody finds them: listed, with their prices and their dates.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::{Amount, ConcertId, Grade, VenueId};

use super::endings::DateRow;
use super::{Store, StoreError, Unreadable};
use crate::domain::concert::{Concert, Price, Schedule};
use crate::domain::page::{Cursor, Page, Search};
use crate::domain::refund_policy::{RefundPolicy, RefundTier};

struct ConcertRow {
    concert_id: Uuid,
    title: String,
    venue_id: Uuid,
    venue_name: String,
    currency: String,
    refund_hours: Vec<i32>,
    refund_percents: Vec<i32>,
    created_at: OffsetDateTime,
}

impl Store {
    /// A listed concert with its dates on sale.
    ///
    /// # Errors
    /// The database failed.
    pub async fn concert(&self, concert_id: ConcertId) -> Result<Option<Concert>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let row = sqlx::query_as!(
            ConcertRow,
            "SELECT concert_id, title, venue_id, venues.name AS venue_name, currency,
                    refund_hours, refund_percents, concerts.created_at
             FROM concerts JOIN venues USING (venue_id) WHERE concert_id = $1 AND state = 'LISTED'",
            concert_id.as_uuid(),
        )
        .fetch_optional(&mut *connection)
        .await?;
        let concerts = with_prices_and_dates(&mut connection, row.into_iter().collect()).await?;
        Ok(concerts.into_iter().next())
    }

    /// A page of listed concerts, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn search(&self, search: &Search) -> Result<Page, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let after = search.after.unwrap_or(Cursor::START);
        // One more than asked for tells whether there is a next page.
        let limit = i64::from(search.limit) + 1;
        // Two statements, so that each has the plan of its own index.
        let mut rows = if search.query.is_empty() {
            sqlx::query_as!(
                ConcertRow,
                "SELECT concert_id, title, venue_id, venues.name AS venue_name, currency,
                    refund_hours, refund_percents, concerts.created_at
                 FROM concerts JOIN venues USING (venue_id)
                 WHERE state = 'LISTED'
                   AND (concerts.created_at, concert_id) < ($1, $2)
                 ORDER BY concerts.created_at DESC, concert_id DESC LIMIT $3",
                after.created_at,
                after.concert_id.as_uuid(),
                limit,
            )
            .fetch_all(&mut *connection)
            .await?
        } else {
            sqlx::query_as!(
                ConcertRow,
                "SELECT concert_id, title, venue_id, venues.name AS venue_name, currency,
                    refund_hours, refund_percents, concerts.created_at
                 FROM concerts JOIN venues USING (venue_id)
                 WHERE state = 'LISTED' AND title ILIKE $4
                   AND (concerts.created_at, concert_id) < ($1, $2)
                 ORDER BY concerts.created_at DESC, concert_id DESC LIMIT $3",
                after.created_at,
                after.concert_id.as_uuid(),
                limit,
                containing(&search.query),
            )
            .fetch_all(&mut *connection)
            .await?
        };
        let more = rows.len() > search.limit as usize;
        rows.truncate(search.limit as usize);
        let next_cursor = rows.last().filter(|_| more).map(|last| {
            Cursor {
                created_at: last.created_at,
                concert_id: ConcertId::from_uuid(last.concert_id),
            }
            .encode()
        });
        Ok(Page {
            concerts: with_prices_and_dates(&mut connection, rows).await?,
            next_cursor,
        })
    }
}

/// The ILIKE pattern of titles that contain `text`, taken literally.
fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

async fn with_prices_and_dates(
    connection: &mut PgConnection,
    rows: Vec<ConcertRow>,
) -> Result<Vec<Concert>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = rows.iter().map(|row| row.concert_id).collect();
    let mut prices = prices_of(connection, &ids).await?;
    let mut schedules: HashMap<Uuid, Vec<Schedule>> = HashMap::new();
    let dates = sqlx::query!(
        "SELECT concert_id, schedule_id, starts_at, closed_at, canceled_at FROM schedules
         WHERE concert_id = ANY($1) AND state = 'ON_SALE' ORDER BY concert_id, starts_at, schedule_id",
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    for date in dates {
        let row = DateRow {
            schedule_id: date.schedule_id,
            starts_at: date.starts_at,
            closed_at: date.closed_at,
            canceled_at: date.canceled_at,
        };
        schedules.entry(date.concert_id).or_default().push(row.into());
    }
    rows.into_iter()
        .map(|row| {
            Ok(Concert {
                concert_id: ConcertId::from_uuid(row.concert_id),
                title: row.title,
                venue_id: VenueId::from_uuid(row.venue_id),
                venue_name: row.venue_name,
                currency: row.currency.parse()?,
                refund_policy: refund_policy(&row.refund_hours, &row.refund_percents)?,
                prices: prices.remove(&row.concert_id).unwrap_or_default(),
                schedules: schedules.remove(&row.concert_id).unwrap_or_default(),
            })
        })
        .collect()
}

/// Prices of each concert, in the order of its plan.
pub(super) async fn prices_of(
    connection: &mut PgConnection,
    concert_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Price>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT concert_id, grade, amount FROM concert_prices JOIN venue_grades USING (venue_id, grade)
         WHERE concert_id = ANY($1) ORDER BY concert_id, position",
        concert_ids,
    )
    .fetch_all(connection)
    .await?;
    let mut prices: HashMap<Uuid, Vec<Price>> = HashMap::new();
    for row in rows {
        prices.entry(row.concert_id).or_default().push(Price {
            grade: Grade::try_from(row.grade)?,
            amount: Amount::new(row.amount)?,
        });
    }
    Ok(prices)
}

/// A refund policy from its two columns.
pub(super) fn refund_policy(hours: &[i32], percents: &[i32]) -> Result<RefundPolicy, Unreadable> {
    let wrong = || Unreadable::Other("a refund policy");
    let tiers = hours.iter().zip(percents).map(|(hours, percent)| {
        Ok(RefundTier {
            hours_before_start: u32::try_from(*hours)?,
            percent: u32::try_from(*percent)?,
        })
    });
    let tiers: Result<_, std::num::TryFromIntError> = tiers.collect();
    RefundPolicy::new(tiers.map_err(|_| wrong())?).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_taken_literally() {
        assert_eq!(containing(r"100%_\"), r"%100\%\_\\%");
    }
}

//! Visits, counted: those on a page all the time, the rest for an operator and only when asked. Each is a scan of an index
//! alone.

use std::collections::BTreeMap;

use vocabulary::ConcertId;

use super::visits::{StoreError, VisitStore};

/// Visits of a room by what became of them. Places that were given up before their turn are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitCounts {
    /// In phase PAYMENT.
    pub paying: u64,
    /// Ended with a purchase.
    pub completed: u64,
    /// Ended without one.
    pub expired: u64,
    /// Ever let in.
    pub admitted: u64,
    /// Of these, in the last 60 s.
    pub admitted_last_minute: u64,
}

impl VisitStore {
    /// How many visits are on a page, as it is kept.
    ///
    /// # Errors
    /// The database is away.
    pub async fn count_pages(&self, concert: ConcertId) -> Result<u64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM visits WHERE concert_id = $1 AND state = 'PAGE'"#,
            concert.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// How many visits are on a page, in every room that has any.
    ///
    /// # Errors
    /// The database is away.
    pub async fn count_all_pages(&self) -> Result<BTreeMap<ConcertId, u64>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT concert_id, count(*) AS "count!" FROM visits WHERE state = 'PAGE' GROUP BY concert_id"#
        )
        .fetch_all(&self.pool)
        .await?;
        let counts = rows
            .into_iter()
            .map(|row| (ConcertId::from_uuid(row.concert_id), row.count.unsigned_abs()));
        Ok(counts.collect())
    }

    /// Counts a room's visits. The time is asked once, not for each of a million.
    ///
    /// # Errors
    /// The database is away.
    pub async fn count_visits(&self, concert: ConcertId) -> Result<VisitCounts, StoreError> {
        let row = sqlx::query!(
            r#"SELECT count(*) FILTER (WHERE state = 'PAYMENT') AS "paying!",
                count(*) FILTER (WHERE state = 'COMPLETED') AS "completed!",
                count(*) FILTER (WHERE state = 'EXPIRED') AS "expired!",
                count(*) AS "admitted!",
                count(*) FILTER (WHERE admitted_at > (SELECT frontrow_now() - interval '60 seconds')) AS "admitted_last_minute!"
            FROM visits WHERE concert_id = $1 AND admitted_at IS NOT NULL"#,
            concert.as_uuid(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(VisitCounts {
            paying: row.paying.unsigned_abs(),
            completed: row.completed.unsigned_abs(),
            expired: row.expired.unsigned_abs(),
            admitted: row.admitted.unsigned_abs(),
            admitted_last_minute: row.admitted_last_minute.unsigned_abs(),
        })
    }
}

//! What is under way, and for how long.

use crate::domain::reconcile::OpenFacts;
use crate::store::{Store, StoreError};

/// The most open sagas beyond their bound that one run names.
const MOST_STUCK: i64 = 1_000;

/// How many sagas of one kind are under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// `payment`, `charge` or `refund`.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// How long the oldest has been.
    pub oldest_seconds: i64,
}

impl Store {
    /// How many sagas of each kind are under way.
    ///
    /// # Errors
    /// The database.
    pub async fn under_way(&self) -> Result<Vec<UnderWay>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT what AS "what!", count(*) AS "count!",
                      extract(epoch FROM frontrow_now() - min(created_at))::bigint AS "oldest!"
               FROM (
                   SELECT 'payment' AS what, created_at FROM payments WHERE resume_at IS NOT NULL
                   UNION ALL SELECT 'charge', created_at FROM charges WHERE resume_at IS NOT NULL
                   UNION ALL SELECT 'refund', created_at FROM refunds WHERE resume_at IS NOT NULL
               ) AS open GROUP BY what ORDER BY what"#,
        )
        .fetch_all(&self.pool)
        .await?;
        let under_way = rows.into_iter().map(|row| UnderWay {
            what: word(&row.what),
            count: u64::try_from(row.count).unwrap_or(0),
            oldest_seconds: row.oldest,
        });
        Ok(under_way.collect())
    }

    /// Sagas that have been under way for longer than this, the oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn open_longer_than(&self, seconds: i64) -> Result<Vec<OpenFacts>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT what AS "what!", id AS "id!", state AS "state!",
                      extract(epoch FROM frontrow_now() - created_at)::bigint AS "age!"
               FROM (
                   SELECT 'payment' AS what, payment_id AS id, state, created_at FROM payments WHERE resume_at IS NOT NULL
                   UNION ALL
                   SELECT 'charge', charge_id, state, created_at FROM charges WHERE resume_at IS NOT NULL
                   UNION ALL
                   SELECT 'refund', refund_id, state, created_at FROM refunds WHERE resume_at IS NOT NULL
               ) AS open
               WHERE created_at < frontrow_now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2"#,
            seconds as f64,
            MOST_STUCK,
        )
        .fetch_all(&self.pool)
        .await?;
        let open = rows.into_iter().map(|row| OpenFacts {
            what: word(&row.what),
            id: row.id,
            state: row.state,
            age_seconds: row.age,
        });
        Ok(open.collect())
    }
}

fn word(what: &str) -> &'static str {
    match what {
        "charge" => "charge",
        "refund" => "refund",
        _ => "payment",
    }
}

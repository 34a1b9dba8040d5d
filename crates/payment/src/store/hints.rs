//! Hints that something happened at the provider: they bring a wait forward, and nothing else.

use std::time::Duration;

use super::{Store, StoreError};
use crate::domain::OrderId;

impl Store {
    /// Ends the wait of what waits for the provider to tell about this order, unless a hint did so less than `pause` ago.
    /// What has ended is left alone. A driver that is trying again at that moment is taken over, and changes nothing any more.
    /// Answers how many sagas that was.
    ///
    /// # Errors
    /// The database.
    pub async fn take_hint(&self, order_id: &OrderId, pause: Duration) -> Result<i64, StoreError> {
        let woken = sqlx::query_scalar!(
            r#"WITH moment AS (
                   SELECT frontrow_now() AS now, frontrow_now() - make_interval(secs => $2) AS long_ago
               ), woken_payments AS (
                   UPDATE payments SET resume_at = moment.now, hinted_at = moment.now FROM moment
                   WHERE order_id = $1 AND state IN ('UNKNOWN', 'REFUNDING') AND tries > 0
                     AND resume_at > moment.now AND (hinted_at IS NULL OR hinted_at <= moment.long_ago)
                   RETURNING 1
               ), woken_charges AS (
                   UPDATE charges SET resume_at = moment.now, hinted_at = moment.now FROM moment
                   WHERE order_id = $1 AND state = 'UNKNOWN' AND tries > 0
                     AND resume_at > moment.now AND (hinted_at IS NULL OR hinted_at <= moment.long_ago)
                   RETURNING 1
               ), woken_refunds AS (
                   UPDATE refunds SET resume_at = moment.now, hinted_at = moment.now FROM moment
                   WHERE order_id = $1 AND state = 'REFUNDING' AND tries > 0
                     AND resume_at > moment.now AND (hinted_at IS NULL OR hinted_at <= moment.long_ago)
                   RETURNING 1
               )
               SELECT (SELECT count(*) FROM woken_payments) + (SELECT count(*) FROM woken_charges)
                    + (SELECT count(*) FROM woken_refunds) AS "woken!""#,
            order_id.as_str(),
            pause.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(woken)
    }
}

//! `PENDING -> PAYING`, for all payments that begin together in one statement.

use std::time::Duration;

use service_kit::database::{Batcher, by_position};
use sqlx::PgPool;
use time::OffsetDateTime;
use vocabulary::{PaymentId, ReservationId, ScheduleId};

use super::transitions::fence;
use super::{Store, StoreError, unsigned};
use crate::domain::{Lifecycle, Reservation, State};

/// A payment that is about to begin.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    schedule_id: ScheduleId,
    id: ReservationId,
    version: i64,
    payment: PaymentId,
    grace: Duration,
}

/// What the row says afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    version: i64,
    lapses_at: Option<OffsetDateTime>,
}

impl Store {
    /// `PENDING -> PAYING`, each for its payment; `None` for a reservation that is no longer as it was read.
    pub async fn begin_payments(
        &self,
        befores: &[(Reservation, PaymentId)],
        grace: Duration,
    ) -> Vec<Result<Option<Lifecycle>, StoreError>> {
        let beginnings = befores.iter().map(|(before, payment)| Beginning {
            schedule_id: before.schedule_id,
            id: before.id,
            version: fence(before.lifecycle.version),
            payment: *payment,
            grace,
        });
        let begun = self.beginnings.call_all(beginnings.collect()).await;
        let begun = begun.into_iter().zip(befores).map(|(begun, (before, payment))| {
            let Some(begun) = begun? else { return Ok(None) };
            Ok(Some(Lifecycle {
                state: State::Paying {
                    payment: *payment,
                    lapses_at: begun.lapses_at,
                },
                version: unsigned(begun.version, "reservations.version")?,
                ..before.lifecycle
            }))
        });
        begun.collect()
    }
}

/// Begins payments that meet; `None` for one whose reservation is no longer as it was read.
pub(super) fn beginnings(pool: PgPool) -> Batcher<Beginning, Option<Begun>> {
    let key = |beginning: &Beginning| (beginning.schedule_id, beginning.id);
    Batcher::new("booking_beginnings", key, move |batch| {
        let pool = pool.clone();
        async move { begin(&pool, &batch).await }
    })
}

async fn begin(pool: &PgPool, batch: &[Beginning]) -> Result<Vec<Option<Begun>>, sqlx::Error> {
    let ids: Vec<_> = batch.iter().map(|one| one.id.as_uuid()).collect();
    let versions: Vec<_> = batch.iter().map(|one| one.version).collect();
    let payments: Vec<_> = batch.iter().map(|one| one.payment.as_uuid()).collect();
    let graces: Vec<_> = batch.iter().map(|one| one.grace.as_secs_f64()).collect();
    let dates: Vec<_> = batch.iter().map(|one| one.schedule_id.as_uuid()).collect();
    // The sale of each date is locked once, before any row: they are counted first. The state comes with the batch, so that no plan looks for all that are in it.
    let rows = sqlx::query!(
        r#"WITH wanted AS MATERIALIZED (
               SELECT *, 'PENDING' AS from_state
               FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::double precision[], $5::uuid[]) WITH ORDINALITY
                    AS wanted (reservation_id, version, payment_id, grace, schedule_id, item)
           ), dates AS MATERIALIZED (
               SELECT schedule_id, date_is_canceled(schedule_id) AS canceled
               FROM (SELECT DISTINCT schedule_id FROM wanted ORDER BY schedule_id) AS theirs
           )
           UPDATE reservations AS r
           SET state = 'PAYING', version = r.version + 1, payment_id = wanted.payment_id,
               paying_since = (SELECT frontrow_now()),
               lapses_at = greatest(expires_at, (SELECT frontrow_now()) + make_interval(secs => wanted.grace))
           FROM wanted JOIN dates USING (schedule_id)
           WHERE r.reservation_id = wanted.reservation_id AND r.state = wanted.from_state AND r.version = wanted.version
                 AND expires_at > (SELECT frontrow_now()) AND released_payment_id IS DISTINCT FROM wanted.payment_id
                 AND NOT dates.canceled AND (SELECT count(*) FROM dates) > 0
           RETURNING item AS "item!", r.version, lapses_at"#,
        &ids,
        &versions,
        &payments,
        &graces,
        &dates,
    )
    .fetch_all(pool)
    .await?;
    let begun = rows.into_iter().map(|row| {
        let begun = Begun {
            version: row.version,
            lapses_at: row.lapses_at,
        };
        (row.item, begun)
    });
    Ok(by_position(batch.len(), begun))
}

//! `PAYING -> CONFIRMED`, and the seats `OCCUPIED`, for all payments that settle together in one statement.

use service_kit::database::{Batcher, by_position};
use sqlx::PgPool;
use vocabulary::{PaymentId, ReservationId, ScheduleId};

use super::transitions::fence;
use super::visit_outbox::HELD_BY_ITS_WRITER;
use super::{Notice, NoticeId, Store, StoreError, VisitNotice, unsigned};
use crate::domain::{Lifecycle, Reservation, State};

/// A payment that is about to settle.
#[derive(Debug, Clone)]
pub(super) struct Confirmation {
    schedule_id: ScheduleId,
    id: ReservationId,
    version: i64,
    payment: PaymentId,
}

/// What the rows say afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirmed {
    version: i64,
    notice: NoticeId,
}

impl Store {
    /// `PAYING -> CONFIRMED`, each for its payment, and the seats `OCCUPIED`; `None` for a reservation that is no longer as
    /// it was read.
    pub async fn confirm(
        &self,
        befores: &[(Reservation, PaymentId)],
    ) -> Vec<Result<Option<(Lifecycle, VisitNotice)>, StoreError>> {
        let confirmations = befores.iter().map(|(before, payment)| Confirmation {
            schedule_id: before.schedule_id,
            id: before.id,
            version: fence(before.lifecycle.version),
            payment: *payment,
        });
        let confirmed = self.confirmations.call_all(confirmations.collect()).await;
        let confirmed = confirmed
            .into_iter()
            .zip(befores)
            .map(|(confirmed, (before, payment))| {
                let Some(confirmed) = confirmed? else {
                    return Ok(None);
                };
                let after = Lifecycle {
                    state: State::Confirmed { payment: *payment },
                    version: unsigned(confirmed.version, "reservations.version")?,
                    ..before.lifecycle
                };
                let notice = VisitNotice {
                    id: confirmed.notice,
                    visit_id: before.visit_id,
                    notice: Notice::Completed,
                };
                Ok(Some((after, notice)))
            });
        confirmed.collect()
    }
}

/// Confirms payments that meet; `None` for one whose reservation is no longer as it was read.
pub(super) fn confirmations(pool: PgPool) -> Batcher<Confirmation, Option<Confirmed>> {
    let key = |confirmation: &Confirmation| (confirmation.schedule_id, confirmation.id);
    Batcher::new("booking_confirmations", key, move |batch| {
        let pool = pool.clone();
        async move { confirm(&pool, &batch).await }
    })
}

async fn confirm(pool: &PgPool, batch: &[Confirmation]) -> Result<Vec<Option<Confirmed>>, sqlx::Error> {
    let ids: Vec<_> = batch.iter().map(|one| one.id.as_uuid()).collect();
    let versions: Vec<_> = batch.iter().map(|one| one.version).collect();
    let payments: Vec<_> = batch.iter().map(|one| one.payment.as_uuid()).collect();
    let dates: Vec<_> = batch.iter().map(|one| one.schedule_id.as_uuid()).collect();
    // The sale of each date is locked once, before any row: they are counted first. The state comes with the batch, so that no plan looks for all that are in it.
    let rows = sqlx::query!(
        r#"WITH wanted AS MATERIALIZED (
               SELECT *, 'PAYING' AS from_state
               FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[]) WITH ORDINALITY
                    AS wanted (reservation_id, version, payment_id, schedule_id, item)
           ), dates AS MATERIALIZED (
               SELECT schedule_id, date_is_canceled(schedule_id) AS canceled
               FROM (SELECT DISTINCT schedule_id FROM wanted ORDER BY schedule_id) AS theirs
           ), confirmed AS (
               UPDATE reservations AS r
               SET state = 'CONFIRMED', version = r.version + 1, lapses_at = NULL, paying_since = NULL,
                   payment_unknown = false
               FROM wanted JOIN dates USING (schedule_id)
               WHERE r.reservation_id = wanted.reservation_id AND r.state = wanted.from_state AND r.version = wanted.version
                     AND r.payment_id = wanted.payment_id AND NOT dates.canceled AND (SELECT count(*) FROM dates) > 0
               RETURNING item, r.reservation_id, visit_id, r.version
           ), sold AS (
               UPDATE reservation_seats AS s SET state = 'OCCUPIED', version = s.version + 1
               FROM confirmed WHERE s.reservation_id = confirmed.reservation_id AND s.state = 'PENDING'
           ), told AS (
               INSERT INTO visit_outbox (visit_id, notice, leased_until)
               SELECT visit_id, 'COMPLETED', (SELECT frontrow_now()) + make_interval(secs => $5) FROM confirmed
               RETURNING visit_id, notice_id
           )
           SELECT item AS "item!", version AS "version!", notice_id AS "notice_id!"
           FROM confirmed JOIN told USING (visit_id)"#,
        &ids,
        &versions,
        &payments,
        &dates,
        HELD_BY_ITS_WRITER.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    let confirmed = rows.into_iter().map(|row| {
        let confirmed = Confirmed {
            version: row.version,
            notice: NoticeId(row.notice_id),
        };
        (row.item, confirmed)
    });
    Ok(by_position(batch.len(), confirmed))
}

//! Seats that go back on sale when their reservation ends, in the transaction that ends it.

use sqlx::PgConnection;
use uuid::Uuid;
use vocabulary::{ReservationId, ScheduleId, SeatId, VisitId};

use super::visit_outbox::HELD_BY_ITS_WRITER;
use super::{Notice, NoticeId, StoreError, VisitNotice};

/// A reservation that ended, with the seats that are back on sale.
#[derive(Debug, PartialEq, Eq)]
pub struct Freed {
    /// Which.
    pub reservation_id: ReservationId,
    /// Its date.
    pub schedule_id: ScheduleId,
    /// Its seats.
    pub seat_ids: Vec<SeatId>,
    /// What queue must be told; nothing of a visit that ended with its purchase.
    pub notice: Option<VisitNotice>,
}

/// Gives the seats of reservations back that this transaction ended: the counts, the seats, the word to queue. The visit
/// of one that was paid has ended with its purchase, and stays so.
pub(super) async fn give_seats_back(
    connection: &mut PgConnection,
    reservation_ids: &[Uuid],
) -> Result<Vec<Freed>, StoreError> {
    sqlx::query!(
        "WITH given AS ( \
             SELECT user_id, s.schedule_id, count(*)::integer AS seats \
             FROM reservations JOIN reservation_seats AS s USING (reservation_id) \
             WHERE reservation_id = ANY($1) AND s.state <> 'RELEASED' GROUP BY 1, 2 \
         ), locked AS ( \
             SELECT counted.user_id, counted.schedule_id, given.seats \
             FROM user_schedule_seats AS counted JOIN given USING (user_id, schedule_id) \
             ORDER BY 1, 2 FOR UPDATE OF counted \
         ) \
         UPDATE user_schedule_seats AS counted SET held = held - locked.seats FROM locked \
         WHERE counted.user_id = locked.user_id AND counted.schedule_id = locked.schedule_id",
        reservation_ids,
    )
    .execute(&mut *connection)
    .await?;

    let rows = sqlx::query!(
        r#"WITH released AS (
               UPDATE reservation_seats SET state = 'RELEASED', version = version + 1
               WHERE reservation_id = ANY($1) AND state <> 'RELEASED'
               RETURNING reservation_id, schedule_id, seat_id
           ), freed AS (
               SELECT reservation_id, schedule_id, array_agg(seat_id) AS seat_ids FROM released GROUP BY 1, 2
           ), told AS (
               INSERT INTO visit_outbox (visit_id, notice, leased_until)
               SELECT visit_id, 'EXPIRED', frontrow_now() + make_interval(secs => $2)
               FROM freed JOIN reservations USING (reservation_id)
               WHERE refund_id IS NULL
               RETURNING notice_id, visit_id
           )
           SELECT freed.reservation_id AS "reservation_id!", freed.schedule_id AS "schedule_id!",
                  seat_ids AS "seat_ids!", notice_id AS "notice_id?", visit_id AS "visit_id!"
           FROM freed JOIN reservations USING (reservation_id) LEFT JOIN told USING (visit_id)"#,
        reservation_ids,
        HELD_BY_ITS_WRITER.as_secs_f64(),
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Freed {
            reservation_id: ReservationId::from_uuid(row.reservation_id),
            schedule_id: ScheduleId::from_uuid(row.schedule_id),
            seat_ids: row.seat_ids.into_iter().map(SeatId::from_uuid).collect(),
            notice: row.notice_id.map(|id| VisitNotice {
                id: NoticeId(id),
                visit_id: VisitId::from_uuid(row.visit_id),
                notice: Notice::Expired,
            }),
        })
        .collect())
}

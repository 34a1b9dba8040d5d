//! How the seats of a date stand, whole and counted.

use std::collections::HashMap;

use vocabulary::{Amount, Grade, ScheduleId, SeatIndex, SeatStatus};

use super::{Store, StoreError, unsigned};

/// Every seat of a date that is not available, as of one instant.
#[derive(Debug, PartialEq, Eq)]
pub struct SeatStates {
    /// Grows with every committed change of a seat of this date; equal versions mean equal states.
    pub version: u64,
    /// The seats that somebody has, by index.
    pub taken: Vec<(SeatIndex, SeatStatus)>,
}

impl Store {
    /// How the seats of a date stand, read from one snapshot.
    ///
    /// The version is the sum over all rows, released ones too: each committed change of a seat adds 1 to one of them.
    pub async fn seat_states(&self, schedule_id: ScheduleId) -> Result<SeatStates, StoreError> {
        let row = sqlx::query!(
            r#"SELECT coalesce(sum(version), 0)::bigint AS "version!",
                      coalesce(array_agg(seat_index) FILTER (WHERE state = 'PENDING'), '{}') AS "pending!",
                      coalesce(array_agg(seat_index) FILTER (WHERE state = 'OCCUPIED'), '{}') AS "occupied!"
               FROM reservation_seats WHERE schedule_id = $1"#,
            schedule_id.as_uuid(),
        )
        .fetch_one(&self.pool)
        .await?;
        let pending = row.pending.into_iter().map(|index| (index, SeatStatus::Pending));
        let occupied = row
            .occupied
            .into_iter()
            .map(|index| (index, SeatStatus::Occupied));
        let taken = pending.chain(occupied).map(|(index, status)| {
            Ok((
                SeatIndex(unsigned(index, "reservation_seats.seat_index")?),
                status,
            ))
        });
        Ok(SeatStates {
            version: unsigned(row.version, "the version of a schedule")?,
            taken: taken.collect::<Result<_, StoreError>>()?,
        })
    }

    /// Seats that somebody has, counted by date, grade and price: first those pending, then those occupied.
    pub async fn count_taken(
        &self,
        schedule_ids: &[ScheduleId],
    ) -> Result<HashMap<(ScheduleId, Grade, Amount), (u32, u32)>, StoreError> {
        let schedule_ids: Vec<_> = schedule_ids.iter().map(ScheduleId::as_uuid).collect();
        let rows = sqlx::query!(
            r#"SELECT schedule_id, grade, price, count(*) FILTER (WHERE state = 'PENDING') AS "pending!",
                      count(*) FILTER (WHERE state = 'OCCUPIED') AS "occupied!"
               FROM reservation_seats WHERE schedule_id = ANY($1) AND state <> 'RELEASED' GROUP BY 1, 2, 3"#,
            &schedule_ids,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let key = (
                    ScheduleId::from_uuid(row.schedule_id),
                    Grade::try_from(row.grade).map_err(|_| StoreError::Row("reservation_seats.grade"))?,
                    Amount::new(row.price).map_err(|_| StoreError::Row("reservation_seats.price"))?,
                );
                let counts = (
                    unsigned(row.pending, "pending seats")?,
                    unsigned(row.occupied, "occupied seats")?,
                );
                Ok((key, counts))
            })
            .collect()
    }
}

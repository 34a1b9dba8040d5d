//! A user's own reservations.

use vocabulary::{ReservationId, UserId};

use super::{AppError, Booking, OwnReservation};

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub reservations: Vec<OwnReservation>,
    /// Where the next part begins; `None` when there is none.
    pub next_cursor: Option<String>,
}

impl Booking {
    /// One reservation of this user.
    ///
    /// # Errors
    /// There is none, also when it belongs to somebody else; or the store failed.
    pub async fn get_reservation(
        &self,
        user_id: UserId,
        id: ReservationId,
    ) -> Result<OwnReservation, AppError> {
        let reservation = self.load(id).await?.reservation;
        if reservation.user_id != user_id {
            return Err(AppError::NotFound("reservation"));
        }
        self.own(reservation)
    }

    /// This user's reservations, newest first, `limit` of them from `cursor` on.
    ///
    /// # Errors
    /// The cursor is none of ours; or the store failed.
    pub async fn list_reservations(
        &self,
        user_id: UserId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, AppError> {
        let after = cursor
            .map(str::parse::<ReservationId>)
            .transpose()
            .map_err(|_| AppError::Cursor)?;
        let mut reservations = self.store.reservations_of(user_id, after, limit + 1).await?;
        let has_more = reservations.len() > limit as usize;
        reservations.truncate(limit as usize);
        let last = reservations.last().filter(|_| has_more);
        let next_cursor = last.map(|last| last.id.to_string());
        Ok(Page {
            reservations: reservations
                .into_iter()
                .map(|reservation| self.own(reservation))
                .collect::<Result<_, _>>()?,
            next_cursor,
        })
    }
}

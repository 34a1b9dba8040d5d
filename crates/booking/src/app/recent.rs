//! Reservations as they were last seen here: a payment takes its steps within moments, and need not read before each.

use std::time::Duration;

use moka::future::Cache;
use vocabulary::ReservationId;

use super::{AppError, Booking};
use crate::domain::{Event, Lifecycle, Reservation, Step};
use crate::store::{Loaded, StoreError};

/// Longer than a payment takes that goes well.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
const MOST_REMEMBERED: u64 = 20_000;

/// What was seen. It may be out of date at any moment.
#[derive(Debug)]
pub(super) struct Recent(Cache<ReservationId, Loaded>);

impl Recent {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(REMEMBERED_FOR)
                .build(),
        )
    }
}

impl Booking {
    /// A reservation as it stands, for whoever is about to pay it.
    pub(super) async fn load_to_pay(&self, id: ReservationId) -> Result<Reservation, AppError> {
        let loaded = self.load(id).await?;
        self.recent.0.insert(id, loaded.clone()).await;
        Ok(loaded.reservation)
    }

    /// As [`Booking::apply`], first on the reservation as it was last seen here. That alone decides nothing: what the
    /// store's guard confirms is so, and everything else is looked at anew.
    pub(super) async fn apply_to_recent<T, F>(
        &self,
        id: ReservationId,
        event: Event,
        carry_out: impl Fn(Reservation) -> F,
    ) -> Result<(Reservation, Option<T>), AppError>
    where
        F: Future<Output = Result<Option<(Lifecycle, T)>, StoreError>>,
    {
        if let Some(Loaded { mut reservation, at }) = self.recent.0.remove(&id).await
            && let Ok(Step::Moved(_)) = reservation.lifecycle.apply(event, at)
            && let Some((after, gained)) = carry_out(reservation.clone()).await?
        {
            reservation.lifecycle = after;
            let seen = Loaded {
                reservation: reservation.clone(),
                at,
            };
            self.recent.0.insert(id, seen).await;
            return Ok((reservation, Some(gained)));
        }
        self.apply(id, event, carry_out).await
    }
}

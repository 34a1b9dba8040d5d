//! Reservations as they were last seen here: a payment takes its steps within moments, and need not read before each.

use std::time::Duration;

use futures::future::join_all;
use moka::future::Cache;
use vocabulary::{PaymentId, ReservationId};

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

/// What a payment does to a reservation.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaymentStep {
    pub(super) id: ReservationId,
    pub(super) payment: PaymentId,
    pub(super) event: Event,
}

/// What came of one of several changes.
type Changed<T> = Result<Option<(Lifecycle, T)>, StoreError>;
/// The reservation after a step, and what the store's change gave; `None` when the step had been taken before.
type Taken<T> = Result<(Reservation, Option<T>), AppError>;

impl Booking {
    /// Reservations as they stand, for whoever is about to pay them.
    pub(super) async fn load_to_pay(&self, ids: Vec<ReservationId>) -> Vec<Result<Reservation, AppError>> {
        let mut reservations = Vec::with_capacity(ids.len());
        for loaded in self.store.reservations(ids).await {
            reservations.push(match loaded {
                Ok(Some(loaded)) => {
                    let reservation = loaded.reservation.clone();
                    self.recent.0.insert(reservation.id, loaded).await;
                    Ok(reservation)
                }
                Ok(None) => Err(AppError::NotFound("reservation")),
                Err(error) => Err(error.into()),
            });
        }
        reservations
    }

    /// Takes steps as [`Booking::apply`] does, first all together on the reservations as they were last seen here. That alone
    /// decides nothing: what the store's guard confirms is so, and everything else is looked at anew, each for itself.
    pub(super) async fn take_steps<T, F>(
        &self,
        steps: &[PaymentStep],
        carry_out: impl Fn(Vec<(Reservation, PaymentId)>) -> F,
    ) -> Vec<Taken<T>>
    where
        F: Future<Output = Vec<Changed<T>>>,
    {
        let mut taken: Vec<Option<Taken<T>>> = steps.iter().map(|_| None).collect();
        let mut seen = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            if let Some(loaded) = self.recent.0.remove(&step.id).await
                && let Ok(Step::Moved(_)) = loaded.reservation.lifecycle.apply(step.event, loaded.at)
            {
                seen.push((place, loaded));
            }
        }
        let befores = seen
            .iter()
            .map(|(place, loaded)| (loaded.reservation.clone(), steps[*place].payment));
        let changes = carry_out(befores.collect()).await;
        for ((place, mut loaded), changed) in seen.into_iter().zip(changes) {
            taken[place] = match changed {
                Ok(Some((after, gained))) => {
                    loaded.reservation.lifecycle = after;
                    let reservation = loaded.reservation.clone();
                    self.recent.0.insert(reservation.id, loaded).await;
                    Some(Ok((reservation, Some(gained))))
                }
                Ok(None) => None,
                Err(error) => Some(Err(error.into())),
            };
        }
        let all = taken.into_iter().zip(steps).map(|(taken, step)| async {
            if let Some(taken) = taken {
                return taken;
            }
            let carry_out = |before| async {
                let mut changes = carry_out(vec![(before, step.payment)]).await;
                changes.pop().unwrap_or(Ok(None))
            };
            self.apply(step.id, step.event, carry_out).await
        });
        join_all(all).await
    }
}

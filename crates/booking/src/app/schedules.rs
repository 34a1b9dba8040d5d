//! Dates on sale, kept in memory: they never change once they are opened.

use std::sync::Arc;

use moka::future::Cache;
use vocabulary::ScheduleId;

use super::AppError;
use crate::domain::Schedule;
use crate::store::{Store, StoreError};

/// The largest halls weigh some 10 MB; small ones are many.
const MAX_SEATS_IN_MEMORY: u64 = 2_000_000;

#[derive(Debug)]
pub(super) struct Schedules {
    store: Store,
    known: Cache<ScheduleId, Arc<Schedule>>,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("never opened")]
    NeverOpened,
    #[error(transparent)]
    Store(StoreError),
}

impl Schedules {
    pub(super) fn new(store: Store) -> Self {
        let weight = |_: &ScheduleId, schedule: &Arc<Schedule>| {
            u32::try_from(schedule.seat_count()).unwrap_or(u32::MAX).max(1)
        };
        Self {
            store,
            known: Cache::builder()
                .max_capacity(MAX_SEATS_IN_MEMORY)
                .weigher(weight)
                .build(),
        }
    }

    /// A date; whoever asks while it is being read waits for that reading. One that is unknown is not remembered, as it
    /// may be opened at any moment.
    pub(super) async fn get(&self, id: ScheduleId) -> Result<Arc<Schedule>, AppError> {
        let load = async {
            match self.store.load_schedule(id).await {
                Ok(Some(schedule)) => Ok(Arc::new(schedule)),
                Ok(None) => Err(LoadError::NeverOpened),
                Err(error) => Err(LoadError::Store(error)),
            }
        };
        self.known
            .try_get_with(id, load)
            .await
            .map_err(|error| match error.as_ref() {
                LoadError::NeverOpened => AppError::NotFound("schedule"),
                LoadError::Store(error) => AppError::Store(error.clone()),
            })
    }
}

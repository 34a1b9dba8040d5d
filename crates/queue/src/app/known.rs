//! What never changes of a room once it is known.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use vocabulary::ConcertId;

/// One value a room, kept for the life of the process.
#[derive(Debug)]
pub(super) struct Known<T>(RwLock<HashMap<ConcertId, Arc<T>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Known<T> {
    pub(super) fn get(&self, concert: ConcertId) -> Option<Arc<T>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&concert)
            .cloned()
    }

    pub(super) fn keep(&self, concert: ConcertId, value: T) -> Arc<T> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(concert).or_insert_with(|| Arc::new(value)))
    }
}

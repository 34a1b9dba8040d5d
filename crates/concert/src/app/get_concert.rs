//! One concert with its dates.

use vocabulary::ConcertId;

use super::{App, AppError};
use crate::domain::concert::Concert;
use crate::store::cache::{Lookup, Subject};

impl App {
    /// A listed concert.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn get_concert(&self, concert_id: ConcertId) -> Result<Concert, AppError> {
        let subject = Subject::Concert(concert_id);
        let generation = match self.cache.get(subject).await {
            Lookup::Hit(concert) => return Ok(concert),
            Lookup::Miss(generation) => Some(generation),
            Lookup::Away => None,
        };
        let concert = self.store.concert(concert_id).await?;
        let concert = concert.ok_or(AppError::NotFound("concert"))?;
        if let Some(generation) = generation {
            self.cache.put(subject, generation, &concert).await;
        }
        Ok(concert)
    }
}

//! Concerts by title, newest first.

use super::{App, AppError};
use crate::domain::page::{Page, Search};
use crate::store::cache::{Lookup, Subject};

impl App {
    /// A page of listed concerts.
    ///
    /// # Errors
    /// The store failed.
    pub async fn search_concerts(&self, search: &Search) -> Result<Page, AppError> {
        let subject = Subject::Search(search);
        let generation = match self.cache.get(subject).await {
            Lookup::Hit(page) => return Ok(page),
            Lookup::Miss(generation) => Some(generation),
            Lookup::Away => None,
        };
        let page = self.store.search(search).await?;
        if let Some(generation) = generation {
            self.cache.put(subject, generation, &page).await;
        }
        Ok(page)
    }
}

//! What never changes, kept in memory: dates on sale and their layouts.

use std::sync::Arc;

use moka::future::Cache;
use vocabulary::{ConcertId, Currency, ScheduleId, VenueId};

use super::catalogue::prices_of;
use super::{Store, StoreError, Unreadable};
use crate::domain::concert::Price;
use crate::domain::layout::Layout;
use crate::domain::lifecycle::{ScheduleEvent, ScheduleState};
use crate::domain::plan::SeatPlan;

/// Dates kept at once; one takes less than a kilobyte.
const DATES: u64 = 20_000;

/// A date whose seats are for sale.
#[derive(Debug)]
pub struct OnSale {
    /// Its id.
    pub schedule_id: ScheduleId,
    /// Its concert.
    pub concert_id: ConcertId,
    /// Names its layout.
    pub layout_version: String,
    venue_id: VenueId,
    currency: Currency,
    prices: Vec<Price>,
}

/// Dates on sale and plans, read once.
#[derive(Debug, Clone)]
pub struct Layouts {
    store: Store,
    dates: Cache<ScheduleId, Arc<OnSale>>,
    plans: Cache<VenueId, Arc<SeatPlan>>,
}

impl Layouts {
    /// Keeps plans of at most `seats` seats together.
    #[must_use]
    pub fn new(store: Store, seats: u64) -> Self {
        Self {
            store,
            dates: Cache::new(DATES),
            plans: Cache::builder()
                .max_capacity(seats)
                .weigher(|_, plan: &Arc<SeatPlan>| u32::try_from(plan.seats().len()).unwrap_or(u32::MAX))
                .build(),
        }
    }

    /// A date on sale; `None` when there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn on_sale(&self, schedule_id: ScheduleId) -> Result<Option<Arc<OnSale>>, StoreError> {
        if let Some(date) = self.dates.get(&schedule_id).await {
            return Ok(Some(date));
        }
        let Some((state, date)) = self.store.date(schedule_id).await? else {
            return Ok(None);
        };
        // What is not on sale yet may change: it is not kept.
        if state.apply(ScheduleEvent::SeatsAsked).is_err() {
            return Ok(None);
        }
        let date = Arc::new(date);
        self.dates.insert(schedule_id, Arc::clone(&date)).await;
        Ok(Some(date))
    }

    /// The layout of a date on sale.
    ///
    /// # Errors
    /// The database failed.
    pub async fn layout(&self, date: &OnSale) -> Result<Layout, StoreError> {
        let plan = match self.plans.get(&date.venue_id).await {
            Some(plan) => plan,
            None => self.load_plan(date.venue_id).await?,
        };
        Layout::new(date.layout_version.clone(), date.currency, &date.prices, plan)
            .ok_or_else(|| Unreadable::Other("the prices of a plan").into())
    }

    /// The layout that a date will have when it is on sale.
    ///
    /// # Errors
    /// The database failed.
    pub async fn layout_to_be(&self, schedule_id: ScheduleId) -> Result<Layout, StoreError> {
        let (_, date) = self
            .store
            .date(schedule_id)
            .await?
            .ok_or(Unreadable::Other("a date that was there"))?;
        self.layout(&date).await
    }

    async fn load_plan(&self, venue_id: VenueId) -> Result<Arc<SeatPlan>, StoreError> {
        // Two readers may load the same plan once each; its id keeps it the same.
        let plan = self.store.plan(venue_id).await?;
        let plan = Arc::new(plan.ok_or(Unreadable::Other("a venue that was there"))?);
        self.plans.insert(venue_id, Arc::clone(&plan)).await;
        Ok(plan)
    }
}

impl Store {
    async fn date(&self, schedule_id: ScheduleId) -> Result<Option<(ScheduleState, OnSale)>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let row = sqlx::query!(
            "SELECT schedules.state, concert_id, venue_id, currency, layout_version
             FROM schedules JOIN concerts USING (concert_id) WHERE schedule_id = $1",
            schedule_id.as_uuid(),
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut prices = prices_of(&mut connection, &[row.concert_id]).await?;
        let state = match row.state.as_str() {
            "OPENING" => ScheduleState::Opening,
            "ON_SALE" => ScheduleState::OnSale,
            _ => return Err(Unreadable::Other("a date's state").into()),
        };
        Ok(Some((
            state,
            OnSale {
                schedule_id,
                concert_id: ConcertId::from_uuid(row.concert_id),
                layout_version: row.layout_version,
                venue_id: VenueId::from_uuid(row.venue_id),
                currency: row.currency.parse()?,
                prices: prices.remove(&row.concert_id).unwrap_or_default(),
            },
        )))
    }
}

//! Imports a seating plan.

use service_kit::problem::FieldError;
use vocabulary::{UserId, VenueId};

use super::{App, AppError};
use crate::domain::plan;
use crate::domain::text::{fault, line};
use crate::store::{Creation, IdempotencyKey, NewVenue, Once, Route, StoreError};

/// The longest name of a venue, in characters.
const NAME_MAX_CHARS: usize = 200;
/// The largest plan, in bytes.
const PLAN_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A venue to be made.
#[derive(Debug, Clone)]
pub struct CreateVenue {
    organiser_id: UserId,
    name: String,
    plan_json: Vec<u8>,
    key: Option<IdempotencyKey>,
}

impl CreateVenue {
    /// `plan_json` is read when the venue is made.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn new(
        organiser_id: UserId,
        name: &str,
        plan_json: Vec<u8>,
        key: &str,
    ) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let name = line("name", name, NAME_MAX_CHARS).map_err(|fault| faults.push(fault));
        if plan_json.len() > PLAN_MAX_BYTES {
            faults.push(fault("plan", "must be at most 16 MiB"));
        }
        let key = IdempotencyKey::parse(key).map_err(|fault| faults.push(fault));
        match (name, key) {
            (Ok(name), Ok(key)) if faults.is_empty() => Ok(Self {
                organiser_id,
                name,
                plan_json,
                key,
            }),
            _ => Err(faults),
        }
    }

    fn once(&self) -> Option<Once> {
        let key = self.key.clone()?;
        let parts = [self.name.as_bytes(), &self.plan_json];
        Some(Once::new(self.organiser_id, Route::CreateVenue, key, parts))
    }
}

/// A venue that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueMade {
    /// Its id.
    pub venue_id: VenueId,
    /// How many seats it has.
    pub seats: u32,
}

/// A plan read, or why not.
enum Read {
    Venue(NewVenue),
    Refused(Vec<FieldError>),
}

impl App {
    /// Makes a venue of a plan. With an idempotency key a repetition answers the first one's venue.
    ///
    /// # Errors
    /// The plan is wrong, the key was used for another request, or the store failed.
    pub async fn create_venue(&self, request: CreateVenue) -> Result<VenueMade, AppError> {
        // The plan is hashed and read off the async threads, a few at a time.
        let permit = self.imports.acquire().await;
        let organiser_id = request.organiser_id;
        let (once, request) = tokio::task::spawn_blocking(move || (request.once(), request)).await?;
        if let Some(once) = &once
            && let Some(id) = self.store.made_before(once).await?
        {
            return self.venue_made(organiser_id, VenueId::from_uuid(id)).await;
        }
        let read = tokio::task::spawn_blocking(move || {
            Ok::<_, StoreError>(match plan::import(&request.plan_json) {
                Ok(plan) => Read::Venue(NewVenue::new(request.organiser_id, request.name, &plan)?),
                Err(faults) => Read::Refused(faults),
            })
        });
        let venue = match read.await?? {
            Read::Venue(venue) => venue,
            Read::Refused(faults) => return Err(faults.into()),
        };
        drop(permit);

        let venue_id = match self.store.create_venue(once.as_ref(), &venue).await? {
            Creation::Now => venue.venue_id(),
            Creation::Before(venue_id) => venue_id,
        };
        self.venue_made(organiser_id, venue_id).await
    }

    async fn venue_made(&self, organiser_id: UserId, venue_id: VenueId) -> Result<VenueMade, AppError> {
        let seats = self.store.venue_seats(organiser_id, venue_id).await?;
        let seats = seats.ok_or(AppError::NotFound("venue"))?;
        Ok(VenueMade { venue_id, seats })
    }
}

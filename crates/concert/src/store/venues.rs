//! Venues and their plans.

use serde_json::json;
use service_kit::database::begin;
use sha2::{Digest as _, Sha256};
use vocabulary::{Grade, UserId, VenueId};

use super::audit::note;
use super::idempotency::claim;
use super::{Creation, Once, Store, StoreError};
use crate::domain::audit::Act;
use crate::domain::layout::PlanHash;
use crate::domain::plan::SeatPlan;

/// A venue to be kept.
#[derive(Debug)]
pub struct NewVenue {
    venue_id: VenueId,
    organiser_id: UserId,
    name: String,
    grades: Vec<Grade>,
    seats: usize,
    plan: Vec<u8>,
    plan_hash: PlanHash,
}

impl NewVenue {
    /// With an id of its own. Writing a large plan out takes a while: not for the async threads.
    ///
    /// # Errors
    /// The plan cannot be written as JSON.
    pub fn new(organiser_id: UserId, name: String, plan: &SeatPlan) -> Result<Self, StoreError> {
        let json = serde_json::to_vec(plan)?;
        Ok(Self {
            venue_id: VenueId::new(),
            organiser_id,
            name,
            grades: plan.grades().to_vec(),
            seats: plan.seats().len(),
            plan_hash: Sha256::digest(&json).into(),
            plan: json,
        })
    }

    /// Its id.
    #[must_use]
    pub const fn venue_id(&self) -> VenueId {
        self.venue_id
    }
}

/// What a concert needs of its venue.
#[derive(Debug)]
pub struct VenueTerms {
    /// The grades to be priced, in the plan's order.
    pub grades: Vec<Grade>,
    /// Names the plan in layout versions.
    pub plan_hash: PlanHash,
}

impl Store {
    /// Keeps a venue.
    ///
    /// # Errors
    /// The key was used for another request, or the database failed.
    pub async fn create_venue(
        &self,
        once: Option<&Once>,
        venue: &NewVenue,
    ) -> Result<Creation<VenueId>, StoreError> {
        let mut transaction = begin(&self.pool).await?;
        if let Creation::Before(id) = claim(&mut transaction, once, venue.venue_id.as_uuid()).await? {
            return Ok(Creation::Before(VenueId::from_uuid(id)));
        }
        sqlx::query!(
            "INSERT INTO venues (venue_id, organiser_id, name, plan, plan_hash, seats) VALUES ($1, $2, $3, $4, $5, $6)",
            venue.venue_id.as_uuid(),
            venue.organiser_id.as_uuid(),
            venue.name,
            venue.plan,
            &venue.plan_hash[..],
            i32::try_from(venue.seats).unwrap_or(i32::MAX),
        )
        .execute(&mut *transaction)
        .await?;
        let grades: Vec<_> = venue
            .grades
            .iter()
            .map(|grade| grade.as_str().to_owned())
            .collect();
        sqlx::query!(
            "INSERT INTO venue_grades (venue_id, grade, position)
             SELECT $1, grade, (ordinality - 1)::integer FROM unnest($2::text[]) WITH ORDINALITY AS asked (grade, ordinality)",
            venue.venue_id.as_uuid(),
            &grades,
        )
        .execute(&mut *transaction)
        .await?;
        note(
            &mut transaction,
            venue.organiser_id,
            Act::VenueCreated,
            venue.venue_id.as_uuid(),
            json!({ "name": venue.name, "seats": venue.seats }),
        )
        .await?;
        transaction.commit().await?;
        Ok(Creation::Now)
    }

    /// How many seats a venue has; `None` when it is not this organiser's.
    ///
    /// # Errors
    /// The database failed.
    pub async fn venue_seats(
        &self,
        organiser_id: UserId,
        venue_id: VenueId,
    ) -> Result<Option<u32>, StoreError> {
        let seats = sqlx::query_scalar!(
            "SELECT seats FROM venues WHERE venue_id = $1 AND organiser_id = $2",
            venue_id.as_uuid(),
            organiser_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(seats.and_then(|seats| u32::try_from(seats).ok()))
    }

    /// What a concert needs of a venue; `None` when it is not this organiser's.
    ///
    /// # Errors
    /// The database failed.
    pub async fn venue_terms(
        &self,
        organiser_id: UserId,
        venue_id: VenueId,
    ) -> Result<Option<VenueTerms>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT plan_hash, ARRAY(SELECT grade FROM venue_grades WHERE venue_grades.venue_id = venues.venue_id
                                       ORDER BY position) AS "grades!"
               FROM venues WHERE venue_id = $1 AND organiser_id = $2"#,
            venue_id.as_uuid(),
            organiser_id.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(VenueTerms {
            grades: row
                .grades
                .into_iter()
                .map(Grade::try_from)
                .collect::<Result<_, _>>()?,
            plan_hash: row
                .plan_hash
                .try_into()
                .map_err(|_| super::Unreadable::Other("a plan's hash"))?,
        }))
    }

    /// The plan of a venue; `None` when there is no such venue.
    ///
    /// # Errors
    /// The database failed.
    pub(super) async fn plan(&self, venue_id: VenueId) -> Result<Option<SeatPlan>, StoreError> {
        let json = sqlx::query_scalar!("SELECT plan FROM venues WHERE venue_id = $1", venue_id.as_uuid())
            .fetch_optional(&self.pool)
            .await?;
        let Some(json) = json else { return Ok(None) };
        // A large plan takes a while to read: not on the async threads.
        let read = tokio::task::spawn_blocking(move || serde_json::from_slice(&json)).await;
        match read {
            Ok(plan) => Ok(Some(plan?)),
            Err(_) => Err(super::Unreadable::Other("a seating plan, whose reading was cut short").into()),
        }
    }
}

//! Makes a concert and its waiting room.

use service_kit::problem::FieldError;
use vocabulary::{ConcertId, Currency, UserId, VenueId};

use super::{App, AppError, LEASE};
use crate::domain::concert::{TITLE_MAX_CHARS, price_list};
use crate::domain::layout::layout_version;
use crate::domain::refund_policy::RefundPolicy;
use crate::domain::text::{fault, line};
use crate::domain::waiting_room::WaitingRoom;
use crate::store::{Creation, IdempotencyKey, NewConcert, Once, Route, UnfinishedConcert};

/// A concert as it was asked for.
#[derive(Debug)]
pub struct ConcertForm<'a> {
    /// Who makes it.
    pub organiser_id: UserId,
    /// Its title.
    pub title: &'a str,
    /// A venue of the same organiser.
    pub venue_id: VenueId,
    /// ISO 4217.
    pub currency: &'a str,
    /// What each grade costs.
    pub prices: Vec<(String, i64)>,
    /// How its waiting room is to work, or why not.
    pub room: Result<WaitingRoom, Vec<FieldError>>,
    /// What goes back to whoever cancels, or why not.
    pub refund_policy: Result<RefundPolicy, Vec<FieldError>>,
    /// The caller's idempotency key; empty = none.
    pub key: &'a str,
}

/// A concert to be made.
#[derive(Debug, Clone)]
pub struct CreateConcert {
    organiser_id: UserId,
    title: String,
    venue_id: VenueId,
    currency: Currency,
    prices: Vec<(String, i64)>,
    room: WaitingRoom,
    refund_policy: RefundPolicy,
    key: Option<IdempotencyKey>,
}

impl CreateConcert {
    /// # Errors
    /// Every field that is wrong by itself; prices are compared with the venue when the concert is made.
    pub fn new(form: ConcertForm<'_>) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let title = line("title", form.title, TITLE_MAX_CHARS).map_err(|fault| faults.push(fault));
        let currency = form
            .currency
            .parse()
            .map_err(|error: vocabulary::MoneyError| faults.push(fault("currency", error.to_string())));
        let room = form.room.map_err(|room_faults| faults.extend(room_faults));
        let refund_policy = form
            .refund_policy
            .map_err(|policy_faults| faults.extend(policy_faults));
        let key = IdempotencyKey::parse(form.key).map_err(|fault| faults.push(fault));
        match (title, currency, room, refund_policy, key) {
            (Ok(title), Ok(currency), Ok(room), Ok(refund_policy), Ok(key)) => Ok(Self {
                organiser_id: form.organiser_id,
                title,
                venue_id: form.venue_id,
                currency,
                prices: form.prices,
                room,
                refund_policy,
                key,
            }),
            _ => Err(faults),
        }
    }

    fn once(&self) -> Option<Once> {
        let key = self.key.clone()?;
        let mut prices = self.prices.clone();
        prices.sort();
        let mut parts = vec![
            self.title.clone().into_bytes(),
            self.venue_id.as_uuid().as_bytes().to_vec(),
            self.currency.as_str().as_bytes().to_vec(),
            self.room.capacity().to_be_bytes().to_vec(),
            self.room.admit_per_second().to_be_bytes().to_vec(),
            self.room
                .opens_at()
                .map(|at| at.unix_timestamp_nanos().to_be_bytes().to_vec())
                .unwrap_or_default(),
            self.room.mode().as_str().as_bytes().to_vec(),
            self.refund_policy
                .tiers()
                .iter()
                .flat_map(|tier| [tier.hours_before_start.to_be_bytes(), tier.percent.to_be_bytes()])
                .flatten()
                .collect(),
        ];
        for (grade, units) in prices {
            parts.push(grade.into_bytes());
            parts.push(units.to_be_bytes().to_vec());
        }
        let parts = parts.iter().map(Vec::as_slice);
        Some(Once::new(self.organiser_id, Route::CreateConcert, key, parts))
    }
}

impl App {
    /// Makes a concert: kept, its waiting room made, then listed. Where the queue service is away the concert is kept
    /// and listed later by itself; the answer is the peer's problem, and a repetition with the same idempotency key
    /// answers the same concert as soon as it is listed. Without a key a repetition is another concert.
    ///
    /// # Errors
    /// A field is wrong, the key was used for another request or is in use, or the store or the queue service failed.
    pub async fn create_concert(&self, request: CreateConcert) -> Result<ConcertId, AppError> {
        let once = request.once();
        if let Some(once) = &once
            && let Some(id) = self.store.made_before(once).await?
        {
            return self.finish_concert_made_before(ConcertId::from_uuid(id)).await;
        }

        let terms = self
            .store
            .venue_terms(request.organiser_id, request.venue_id)
            .await?;
        let terms = terms.ok_or_else(|| AppError::field("venueId", "does not exist"))?;
        let prices = price_list(&terms.grades, &request.prices)?;
        let concert = NewConcert {
            concert_id: ConcertId::new(),
            organiser_id: request.organiser_id,
            venue_id: request.venue_id,
            title: request.title,
            currency: request.currency,
            layout_version: layout_version(&terms.plan_hash, request.currency, &prices),
            prices,
            refund_policy: request.refund_policy,
            room: request.room,
        };
        match self.store.create_concert(once.as_ref(), &concert, LEASE).await? {
            Creation::Before(concert_id) => self.finish_concert_made_before(concert_id).await,
            Creation::Now => {
                let unfinished = UnfinishedConcert {
                    concert_id: concert.concert_id,
                    room: concert.room,
                };
                self.finish_concert(&unfinished).await?;
                Ok(concert.concert_id)
            }
        }
    }
}

//! What Postgres has of a room at one committed instant.

use std::collections::BTreeMap;

use queue::domain::{RoomMode, VisitState};
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;
use vocabulary::ConcertId;

/// Times in milliseconds, as a history's clock has them.
pub(super) type Millis = i64;

pub(super) const CLOCK: &str = "
    -- Time stands still between two steps: what happens then is always the same.
    CREATE OR REPLACE FUNCTION frontrow_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT timestamptz '2030-01-01 00:00:00Z' + step FROM clock_step $$;
    CREATE FUNCTION ms(timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE
        AS $$ SELECT round(extract(epoch FROM $1 - timestamptz '2030-01-01 00:00:00Z') * 1000)::bigint $$";

const QUERY: &str = "SELECT json_build_object(
    'now', ms(frontrow_now()), 'clock', ms(room_clock(r)), 'capacity', capacity, 'pace', admit_per_second, 'mode', mode, 'serving', serving, 'issued_to', issued_to,
    'reserved_to', reserved_to, 'epoch', epoch,
    'visits', (SELECT coalesce(json_agg(json_build_object('visit_id', visit_id, 'user', user_id, 'number', number,
            'state', state, 'admitted_at', ms(admitted_at), 'page_ends_at', ms(page_ends_at),
            'lease_until', ms(hold_lease_until))), '[]')
        FROM visits v WHERE v.concert_id = r.concert_id),
    'calls', (SELECT coalesce(json_agg(json_build_array(after_number, to_number, ms(called_at))), '[]')
        FROM calls c WHERE c.concert_id = r.concert_id),
    'doubtful', (SELECT coalesce(json_agg(json_build_array(after_number, to_number)), '[]')
        FROM doubtful_numbers d WHERE d.concert_id = r.concert_id))
    FROM rooms r WHERE concert_id = $1";

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Seen {
    pub(super) now: Millis,
    /// The room's own, which stands still while it is paused.
    pub(super) clock: Millis,
    pub(super) capacity: usize,
    pub(super) pace: u32,
    mode: String,
    pub(super) serving: u64,
    pub(super) issued_to: u64,
    pub(super) reserved_to: u64,
    pub(super) epoch: i64,
    #[serde(deserialize_with = "by_number")]
    pub(super) visits: BTreeMap<u64, Visit>,
    /// After which number, to which, when.
    pub(super) calls: Vec<(u64, u64, Millis)>,
    doubtful: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Visit {
    pub(super) visit_id: Uuid,
    pub(super) user: Uuid,
    number: u64,
    state: String,
    pub(super) admitted_at: Option<Millis>,
    pub(super) page_ends_at: Option<Millis>,
    lease_until: Option<Millis>,
}

fn by_number<'de, D: serde::Deserializer<'de>>(rows: D) -> Result<BTreeMap<u64, Visit>, D::Error> {
    let rows = Vec::<Visit>::deserialize(rows)?;
    Ok(rows.into_iter().map(|visit| (visit.number, visit)).collect())
}

impl Seen {
    pub(super) async fn of(pool: &PgPool, concert: ConcertId) -> Self {
        let row = sqlx::query(QUERY)
            .bind(concert.as_uuid())
            .fetch_one(pool)
            .await
            .unwrap();
        row.get::<Json<Self>, _>(0).0
    }

    pub(super) fn mode(&self) -> RoomMode {
        self.mode.parse().unwrap()
    }

    /// What promise 11 bounds.
    pub(super) fn pages(&self) -> usize {
        let on_page = |visit: &&Visit| visit.state() == VisitState::Page;
        self.visits.values().filter(on_page).count()
    }

    /// A lost Redis may have given it, for all that Postgres knows.
    pub(super) fn is_in_doubt(&self, number: u64) -> bool {
        self.doubtful
            .iter()
            .any(|(after, to)| (after + 1..=*to).contains(&number))
    }

    pub(super) fn visit_of(&self, user: Uuid) -> impl Iterator<Item = (&u64, &Visit)> {
        self.visits.iter().filter(move |(_, visit)| visit.user == user)
    }

    pub(super) fn live_visits_of(&self, user: Uuid) -> usize {
        self.visit_of(user)
            .filter(|(_, visit)| !visit.state().is_over())
            .count()
    }
}

impl Visit {
    /// As it is kept.
    pub(super) fn state(&self) -> VisitState {
        self.state.parse().unwrap()
    }

    /// When the sweep ends the page.
    pub(super) fn page_is_over_at(&self, now: Millis) -> bool {
        self.page_ends_at
            .max(self.lease_until)
            .is_none_or(|end| end <= now)
    }

    pub(super) fn state_at(&self, now: Millis) -> VisitState {
        match self.state() {
            VisitState::Page if self.page_is_over_at(now) => VisitState::Expired,
            state => state,
        }
    }
}

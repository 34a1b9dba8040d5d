//! What is on sale.

use axum::Json;
use axum::extract::State;
use contracts::concert::{self, GetConcertRequest, ListSchedulesRequest, SearchConcertsRequest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P};

use super::check_limit;
use crate::extract::{Broken, PathId, Query, Rules, Visitor};
use crate::openapi::{VISIT, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(search_concerts))
        .routes(routes!(get_concert))
        .routes(routes!(list_schedules))
}

/// A date of a concert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schedule {
    #[schema(format = Uuid)]
    schedule_id: String,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    /// When its sale ended; absent while it goes on.
    #[serde(
        serialize_with = "time::serde::rfc3339::option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    closed_at: Option<OffsetDateTime>,
    /// When it was canceled; absent unless it was.
    #[serde(
        serialize_with = "time::serde::rfc3339::option::serialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    canceled_at: Option<OffsetDateTime>,
}

impl TryFrom<concert::Schedule> for Schedule {
    type Error = BrokenContract;

    fn try_from(schedule: concert::Schedule) -> Result<Self, Self::Error> {
        Ok(Self {
            starts_at: wire::time("Schedule.starts_at", schedule.starts_at)?,
            closed_at: wire::optional_time("Schedule.closed_at", schedule.closed_at)?,
            canceled_at: wire::optional_time("Schedule.canceled_at", schedule.canceled_at)?,
            schedule_id: schedule.schedule_id,
        })
    }
}

/// What a grade costs.
#[derive(Serialize, ToSchema)]
struct Price {
    /// The price class.
    grade: String,
    /// In the currency's smallest unit.
    amount: i64,
}

/// Who cancels a paid reservation at least this long before the beginning gets this share back.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundTier {
    #[schema(minimum = 0, maximum = 87_600)]
    hours_before_start: u32,
    #[schema(minimum = 1, maximum = 100)]
    percent: u32,
}

impl From<RefundTier> for concert::RefundTier {
    fn from(tier: RefundTier) -> Self {
        Self {
            hours_before_start: tier.hours_before_start,
            percent: tier.percent,
        }
    }
}

/// A concert with its dates.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Concert {
    #[schema(format = Uuid)]
    concert_id: String,
    title: String,
    #[schema(format = Uuid)]
    venue_id: String,
    venue_name: String,
    /// ISO 4217.
    currency: String,
    prices: Vec<Price>,
    /// The longest time first; empty = nothing can be canceled. Where a date is canceled, everything goes back.
    refund_policy: Vec<RefundTier>,
    /// In the order of their beginning; only those that are or were on sale.
    schedules: Vec<Schedule>,
}

impl TryFrom<concert::Concert> for Concert {
    type Error = BrokenContract;

    fn try_from(concert: concert::Concert) -> Result<Self, Self::Error> {
        let prices = concert.prices.into_iter().map(|price| Price {
            grade: price.grade,
            amount: price.amount,
        });
        let policy = wire::required("Concert.refund_policy", concert.refund_policy)?;
        let tiers = policy.tiers.into_iter().map(|tier| RefundTier {
            hours_before_start: tier.hours_before_start,
            percent: tier.percent,
        });
        Ok(Self {
            concert_id: concert.concert_id,
            title: concert.title,
            venue_id: concert.venue_id,
            venue_name: concert.venue_name,
            currency: concert.currency,
            prices: prices.collect(),
            refund_policy: tiers.collect(),
            schedules: concert
                .schedules
                .into_iter()
                .map(Schedule::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Any part of a title, in any case; absent = all.
    #[param(max_length = 100)]
    #[serde(default)]
    query: String,
    /// `nextCursor` of the answer before; absent = from the start.
    #[param(max_length = 500)]
    #[serde(default)]
    cursor: String,
    /// How many at most; absent = 20.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl Rules for Search {
    fn check(&self, broken: &mut Broken) {
        check_limit(self.limit, broken);
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Concerts {
    concerts: Vec<Concert>,
    /// Absent when there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

problems!(SearchProblems: &[P::InvalidField]);

/// Concerts by title, newest first.
#[utoipa::path(
    get, path = "/v1/concerts", tag = "concerts", params(Search),
    responses((status = 200, body = Concerts, description = "Those that match."), SearchProblems)
)]
async fn search_concerts(
    State(app): State<App>,
    Query(search): Query<Search>,
) -> Result<Json<Concerts>, ApiProblem> {
    let request = SearchConcertsRequest {
        query: search.query,
        cursor: search.cursor,
        limit: search.limit.unwrap_or_default(),
    };
    let answer = app
        .clients
        .concert
        .clone()
        .search_concerts(request)
        .await?
        .into_inner();
    let concerts = answer.concerts.into_iter().map(Concert::try_from);
    Ok(Json(Concerts {
        concerts: concerts.collect::<Result<_, _>>()?,
        next_cursor: wire::non_empty(answer.next_cursor),
    }))
}

problems!(GetProblems: &[P::NotFound]);

/// One concert with its dates.
#[utoipa::path(
    get, path = "/v1/concerts/{concertId}", tag = "concerts",
    params(("concertId" = uuid::Uuid, Path)),
    responses((status = 200, body = Concert, description = "The concert."), GetProblems)
)]
async fn get_concert(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
) -> Result<Json<Concert>, ApiProblem> {
    let request = GetConcertRequest {
        concert_id: concert_id.to_string(),
    };
    let answer = app
        .clients
        .concert
        .clone()
        .get_concert(request)
        .await?
        .into_inner();
    let concert = wire::required("GetConcertResponse.concert", answer.concert)?;
    Ok(Json(concert.try_into()?))
}

/// Seats of one grade.
#[derive(Serialize, ToSchema)]
struct GradeSeats {
    grade: String,
    /// In the currency's smallest unit.
    price: i64,
    /// Seats of the grade in all.
    total: u32,
    /// Seats on sale now.
    available: u32,
}

/// A date with what is left of it.
#[derive(Serialize, ToSchema)]
struct ScheduleSeatsLeft {
    #[serde(flatten)]
    schedule: Schedule,
    grades: Vec<GradeSeats>,
}

impl TryFrom<concert::ScheduleSeatsLeft> for ScheduleSeatsLeft {
    type Error = BrokenContract;

    fn try_from(left: concert::ScheduleSeatsLeft) -> Result<Self, Self::Error> {
        let grades = left.grades.into_iter().map(|grade| GradeSeats {
            grade: grade.grade,
            price: grade.price,
            total: grade.total,
            available: grade.available,
        });
        Ok(Self {
            schedule: wire::required("ScheduleSeatsLeft.schedule", left.schedule)?.try_into()?,
            grades: grades.collect(),
        })
    }
}

#[derive(Serialize, ToSchema)]
struct Schedules {
    schedules: Vec<ScheduleSeatsLeft>,
}

problems!(SchedulesProblems: VISIT, &[P::NotFound]);

/// The dates with seats left by grade, for those who were let in.
#[utoipa::path(
    get, path = "/v1/concerts/{concertId}/schedules", tag = "seats",
    params(("concertId" = uuid::Uuid, Path)),
    responses((status = 200, body = Schedules, description = "The dates."), SchedulesProblems),
    security(("bearer" = [], "queueToken" = []))
)]
async fn list_schedules(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
    visitor: Visitor,
) -> Result<Json<Schedules>, ApiProblem> {
    let request = ListSchedulesRequest {
        concert_id: concert_id.to_string(),
        user_id: visitor.user_id.to_string(),
        queue_token: visitor.queue_token,
    };
    let answer = app
        .clients
        .concert
        .clone()
        .list_schedules(request)
        .await?
        .into_inner();
    let schedules = answer.schedules.into_iter().map(ScheduleSeatsLeft::try_from);
    Ok(Json(Schedules {
        schedules: schedules.collect::<Result<_, _>>()?,
    }))
}

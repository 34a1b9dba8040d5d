//! Live counts.

use axum::Json;
use axum::extract::State;
use contracts::concert::GetStatsRequest;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P};

use crate::extract::{Organiser, PathId};
use crate::openapi::{ORGANISER, problems};
use crate::problem::ApiProblem;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_stats))
}

/// Counts of one date's seats.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduleStats {
    #[schema(format = Uuid)]
    schedule_id: String,
    available: u32,
    pending: u32,
    occupied: u32,
}

/// Live counts of a concert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stats {
    /// Numbers given and not called.
    waiting: u64,
    serving_number: u64,
    /// Called, and expected within the claim window.
    called: u32,
    /// Visits on their page.
    inside: u32,
    /// Visits that made a hold and pay.
    paying: u64,
    /// Visits that ended with a purchase.
    completed: u64,
    /// Visits that ended without one.
    expired: u64,
    /// Turns that were missed, those included whose owners came late after all.
    lapsed: u64,
    /// Visits that were ever let in.
    admitted: u64,
    /// Of these, in the last 60 seconds.
    admitted_last_minute: u64,
    schedules: Vec<ScheduleStats>,
}

problems!(StatsProblems: ORGANISER, &[P::NotFound]);

/// Live counts of a concert.
#[utoipa::path(
    get, path = "/v1/admin/concerts/{concertId}/stats", tag = "admin",
    params(("concertId" = uuid::Uuid, Path)),
    responses((status = 200, body = Stats, description = "The counts now."), StatsProblems),
    security(("bearer" = []))
)]
async fn get_stats(
    State(app): State<App>,
    PathId(concert_id): PathId<ConcertId>,
    Organiser(organiser_id): Organiser,
) -> Result<Json<Stats>, ApiProblem> {
    let request = GetStatsRequest {
        organiser_id: organiser_id.to_string(),
        concert_id: concert_id.to_string(),
    };
    let answer = app
        .clients
        .organiser
        .clone()
        .get_stats(request)
        .await?
        .into_inner();
    let schedules = answer.schedules.into_iter().map(|schedule| ScheduleStats {
        schedule_id: schedule.schedule_id,
        available: schedule.available,
        pending: schedule.pending,
        occupied: schedule.occupied,
    });
    Ok(Json(Stats {
        waiting: answer.waiting,
        serving_number: answer.serving_number,
        called: answer.called,
        inside: answer.inside,
        paying: answer.paying,
        completed: answer.completed,
        expired: answer.expired,
        lapsed: answer.lapsed,
        admitted: answer.admitted,
        admitted_last_minute: answer.admitted_last_minute,
        schedules: schedules.collect(),
    }))
}

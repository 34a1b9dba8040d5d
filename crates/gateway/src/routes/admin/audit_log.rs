//! What organisers did.

use axum::Json;
use axum::extract::State;
use contracts::concert::{self, ListAuditLogRequest};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::ProblemCode as P;

use crate::extract::{Organiser, Query};
use crate::openapi::{ORGANISER, problems};
use crate::problem::ApiProblem;
use crate::routes::Page;
use crate::state::App;
use crate::wire::{self, BrokenContract};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_log))
}

/// What an organiser did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    /// `VENUE_CREATED`, `CONCERT_CREATED`, `SCHEDULE_CREATED`, `WAITING_ROOM_CHANGED`, `SCHEDULE_CLOSED`,
    /// `SCHEDULE_CANCELED`.
    act: String,
    /// What it was done to: a venue, a concert or a schedule.
    #[schema(format = Uuid)]
    target_id: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// What was asked for.
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

impl TryFrom<concert::AuditEntry> for AuditEntry {
    type Error = BrokenContract;

    fn try_from(entry: concert::AuditEntry) -> Result<Self, Self::Error> {
        Ok(Self {
            at: wire::time("AuditEntry.at", entry.at)?,
            details: serde_json::from_str(&entry.details_json)
                .map_err(|_| BrokenContract("AuditEntry.details_json"))?,
            act: entry.act,
            target_id: entry.target_id,
        })
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditLog {
    entries: Vec<AuditEntry>,
    /// Absent when there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

problems!(AuditLogProblems: ORGANISER, &[P::InvalidField]);

/// What you did as an organiser, newest first.
#[utoipa::path(
    get, path = "/v1/admin/audit-log", tag = "admin", params(Page),
    responses((status = 200, body = AuditLog, description = "Some of it."), AuditLogProblems),
    security(("bearer" = []))
)]
async fn list_audit_log(
    State(app): State<App>,
    Organiser(organiser_id): Organiser,
    Query(page): Query<Page>,
) -> Result<Json<AuditLog>, ApiProblem> {
    let request = ListAuditLogRequest {
        organiser_id: organiser_id.to_string(),
        cursor: page.cursor,
        limit: page.limit.unwrap_or_default(),
    };
    let answer = app.clients.organiser.clone().list_audit_log(request).await?;
    let answer = answer.into_inner();
    let entries = answer.entries.into_iter().map(AuditEntry::try_from);
    Ok(Json(AuditLog {
        entries: entries.collect::<Result<_, _>>()?,
        next_cursor: wire::non_empty(answer.next_cursor),
    }))
}

//! What organisers do. Each sees only their own; the concert service says what that is.

use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

mod audit_log;
mod concerts;
mod schedules;
mod stats;
mod venues;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(venues::routes())
        .merge(concerts::routes())
        .merge(schedules::routes())
        .merge(stats::routes())
        .merge(audit_log::routes())
}

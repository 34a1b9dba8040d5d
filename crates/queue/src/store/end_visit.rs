//! The end of visits whose holds ended, for all that end together in one statement.

use std::collections::HashMap;

use service_kit::database::Batcher;
use sqlx::PgPool;
use vocabulary::VisitId;

use super::visits::{Ended, StoreError, Transition, VisitStore, ended};
use crate::domain::{Event, VisitState};

/// A visit that is about to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    visit: VisitId,
    paid: bool,
}

impl VisitStore {
    /// The visit's hold ended, by `event`: [`Event::Paid`] or [`Event::HoldEnded`].
    ///
    /// # Errors
    /// The database is away.
    pub async fn end_visit(&self, visit: VisitId, event: Event) -> Result<Transition, StoreError> {
        let paid = event == Event::Paid;
        match self.ends.call(End { visit, paid }).await? {
            Some(ended) => Ok(Transition::Moved(ended)),
            None => self.too_late_or_unknown(visit).await,
        }
    }
}

/// Ends visits whose ends meet; `None` for one that does not end by this.
pub(super) fn ends(pool: PgPool) -> Batcher<End, Option<Ended>> {
    Batcher::new(
        "queue_visit_ends",
        |end: &End| end.visit,
        move |batch| {
            let pool = pool.clone();
            async move { end(&pool, &batch).await }
        },
    )
}

async fn end(pool: &PgPool, batch: &[End]) -> Result<Vec<Option<Ended>>, sqlx::Error> {
    let visits: Vec<_> = batch.iter().map(|end| end.visit.as_uuid()).collect();
    let paid: Vec<_> = batch.iter().map(|end| end.paid).collect();
    let rows = sqlx::query!(
        r#"UPDATE visits AS v
           SET state = CASE WHEN paid THEN $3 ELSE $4 END, hold_lease_until = NULL, ended_at = (SELECT frontrow_now()),
               version = version + 1
           FROM unnest($1::uuid[], $2::boolean[]) WITH ORDINALITY AS wanted (visit_id, paid, item)
           WHERE v.visit_id = wanted.visit_id AND v.state = ANY(CASE WHEN paid THEN $5::text[] ELSE $6::text[] END)
           RETURNING item AS "item!", concert_id, user_id, number"#,
        &visits,
        &paid,
        VisitState::Completed.as_str(),
        VisitState::Expired.as_str(),
        &VisitState::allowing(Event::Paid),
        &VisitState::allowing(Event::HoldEnded),
    )
    .fetch_all(pool)
    .await?;
    let over: HashMap<i64, Ended> = rows
        .into_iter()
        .map(|row| (row.item, ended(row.concert_id, row.user_id, row.number)))
        .collect();
    Ok((1..)
        .zip(batch)
        .map(|(item, _)| over.get(&item).copied())
        .collect())
}

//! What requests that meet at the database share: [`Batcher`]s of statements.

use std::sync::Arc;

use super::{Failure, classify};
use crate::batch;

/// Why a request was not carried out; shared by all that it befell.
pub type BatchError = Arc<sqlx::Error>;

/// Gathers requests that one statement carries out.
pub type Batcher<T, A> = batch::Batcher<T, A, BatchError>;

impl batch::BatchError for BatchError {
    const BATCHES: &'static str = "database_batches_total";
    const REQUESTS: &'static str = "database_batched_requests_total";

    fn too_many() -> Self {
        Self::new(sqlx::Error::PoolTimedOut)
    }

    fn late() -> Self {
        Self::new(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
    }

    fn crashed() -> Self {
        Self::new(sqlx::Error::WorkerCrashed)
    }

    fn may_be_of_one(&self) -> bool {
        let waited_too_long = self.as_database_error().is_some_and(|error| {
            // lock_not_available, query_canceled: a row that somebody else keeps locked.
            matches!(error.code().as_deref(), Some("55P03" | "57014"))
        });
        waited_too_long || classify(self) != Failure::Unavailable
    }

    /// Whoever got no connection for as long as anybody waits for one.
    fn is_away(&self) -> bool {
        matches!(**self, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
    }
}

/// The answers of a batch of `count` from rows that name the position of theirs, from 1 on as `WITH ORDINALITY` counts; `None`
/// where no row does.
pub fn by_position<A: Clone>(count: usize, rows: impl IntoIterator<Item = (i64, A)>) -> Vec<Option<A>> {
    let mut answers = vec![None; count];
    for (position, answer) in rows {
        if let Some(place) = usize::try_from(position - 1)
            .ok()
            .and_then(|index| answers.get_mut(index))
        {
            *place = Some(answer);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stand_where_their_requests_stood() {
        let rows = [(3, 'c'), (1, 'a'), (0, 'x'), (5, 'y')];
        assert_eq!(by_position(4, rows), [Some('a'), None, Some('c'), None]);
    }
}

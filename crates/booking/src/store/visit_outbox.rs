//! What queue must still be told of visits.

use std::time::Duration;

use vocabulary::VisitId;

use super::{Store, StoreError, unsigned};

/// A notice is born leased to the process that wrote it: that process tells queue at once, and the relay only takes up
/// what it could not tell in this time.
pub(super) const HELD_BY_ITS_WRITER: Duration = Duration::from_secs(2);

/// A row of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId(pub i64);

/// What happened to a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It made a hold: its place in the room is free.
    PageEnded,
    /// Its hold was paid.
    Completed,
    /// Its hold lapsed or was given up.
    Expired,
}

impl Notice {
    /// The word in the outbox and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PageEnded => "PAGE_ENDED",
            Self::Completed => "COMPLETED",
            Self::Expired => "EXPIRED",
        }
    }

    fn parse(word: &str) -> Result<Self, StoreError> {
        [Self::PageEnded, Self::Completed, Self::Expired]
            .into_iter()
            .find(|notice| notice.as_str() == word)
            .ok_or(StoreError::Row("visit_outbox.notice"))
    }
}

/// Something to tell queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitNotice {
    /// Its row.
    pub id: NoticeId,
    /// The visit.
    pub visit_id: VisitId,
    /// What happened to it.
    pub notice: Notice,
}

impl Store {
    /// Takes up at most `limit` notices that nobody works on, oldest first. One that is not told by the end of its
    /// lease is taken up again; the lease grows with every try, and is spread so that tries do not come in waves.
    pub async fn lease_notices(&self, limit: u32) -> Result<Vec<VisitNotice>, StoreError> {
        let mut rows = sqlx::query!(
            "WITH free AS ( \
                 SELECT notice_id FROM visit_outbox WHERE leased_until <= frontrow_now() \
                 ORDER BY leased_until LIMIT $1 FOR UPDATE SKIP LOCKED \
             ) \
             UPDATE visit_outbox AS row \
             SET attempts = attempts + 1, \
                 leased_until = frontrow_now() \
                     + make_interval(secs => least(30, 2 ^ least(attempts, 5)) * (0.75 + random() / 2)) \
             FROM free WHERE row.notice_id = free.notice_id \
             RETURNING row.notice_id, visit_id, notice",
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.sort_unstable_by_key(|row| row.notice_id);
        rows.into_iter()
            .map(|row| {
                Ok(VisitNotice {
                    id: NoticeId(row.notice_id),
                    visit_id: VisitId::from_uuid(row.visit_id),
                    notice: Notice::parse(&row.notice)?,
                })
            })
            .collect()
    }

    /// Forgets notices that queue has heard.
    pub async fn remove_notices(&self, ids: &[NoticeId]) -> Result<(), StoreError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        sqlx::query!("DELETE FROM visit_outbox WHERE notice_id = ANY($1)", &ids)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How many notices and expiry messages wait.
    pub async fn outbox_backlog(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM visit_outbox) AS "notices!",
                      (SELECT count(*) FROM expiry_outbox) AS "messages!""#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((
            unsigned(row.notices, "visit_outbox")?,
            unsigned(row.messages, "expiry_outbox")?,
        ))
    }
}

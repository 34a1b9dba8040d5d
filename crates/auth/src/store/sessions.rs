//! Sessions and the hashes of their refresh tokens. Time is the database's.

use std::time::Duration;

use time::OffsetDateTime;
use vocabulary::{Role, UserId};

use super::users::roles;
use super::{Store, StoreError, seconds};
use crate::domain::{EndReason, RETRIES_PER_TRADE, SessionId, SessionState};
use crate::secrets::TokenHash;

/// The session that a refresh token belongs to, as it stands now.
#[derive(Debug)]
pub struct HeldSession {
    /// Which one.
    pub session_id: SessionId,
    /// How it stands.
    pub state: SessionState,
    /// The generation of the token.
    pub token_generation: i32,
    /// Whose it is.
    pub user_id: UserId,
    /// What that user may do now.
    pub roles: Vec<Role>,
    /// What time it is.
    pub now: OffsetDateTime,
}

impl Store {
    /// Begins a session with its first refresh token; answers the time.
    pub async fn begin_session(
        &self,
        session_id: SessionId,
        user_id: UserId,
        token: TokenHash,
        lifetime: Duration,
    ) -> Result<OffsetDateTime, StoreError> {
        let now = sqlx::query_scalar!(
            r#"
            WITH session AS (
                INSERT INTO sessions (session_id, user_id, created_at, advanced_at, ends_at)
                SELECT $1, $2, now, now, now + make_interval(secs => $4)
                FROM frontrow_now() AS now
                RETURNING session_id, generation, created_at
            ), token AS (
                INSERT INTO refresh_tokens (token_hash, session_id, generation)
                SELECT $3, session_id, generation FROM session
            )
            SELECT created_at FROM session
            "#,
            session_id.as_uuid(),
            user_id.as_uuid(),
            token.as_bytes(),
            seconds(lifetime),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(now)
    }

    /// The session that a refresh token belongs to.
    pub async fn held_session(
        &self,
        token: TokenHash,
        grace: Duration,
    ) -> Result<Option<HeldSession>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT s.session_id, s.user_id, s.generation, s.retries,
                   t.generation AS token_generation,
                   s.ended_at IS NOT NULL AS "ended!",
                   s.ends_at <= now AS "lapsed!",
                   now < s.advanced_at + make_interval(secs => $2) AS "in_grace!",
                   ARRAY(SELECT role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY role) AS "roles!",
                   now AS "now!"
            FROM refresh_tokens t JOIN sessions s USING (session_id), frontrow_now() AS now
            WHERE t.token_hash = $1
            "#,
            token.as_bytes(),
            seconds(grace),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            let state = if row.ended {
                SessionState::Ended
            } else if row.lapsed {
                SessionState::Lapsed
            } else {
                SessionState::Live {
                    generation: row.generation,
                    retries: row.retries,
                    in_grace: row.in_grace,
                }
            };
            Ok(HeldSession {
                session_id: SessionId::from_uuid(row.session_id),
                state,
                token_generation: row.token_generation,
                user_id: UserId::from_uuid(row.user_id),
                roles: roles(&row.roles)?,
                now: row.now,
            })
        })
        .transpose()
    }

    /// Begins the generation after `generation` with this token. `false` when the session has moved on or ended.
    pub async fn advance_session(
        &self,
        session_id: SessionId,
        generation: i32,
        token: TokenHash,
    ) -> Result<bool, StoreError> {
        let added = sqlx::query!(
            r#"
            WITH session AS (
                UPDATE sessions
                SET generation = generation + 1, advanced_at = frontrow_now(), retries = 0
                WHERE session_id = $1 AND generation = $2 AND ended_at IS NULL AND ends_at > frontrow_now()
                RETURNING session_id, generation
            )
            INSERT INTO refresh_tokens (token_hash, session_id, generation)
            SELECT $3, session_id, generation FROM session
            "#,
            session_id.as_uuid(),
            generation,
            token.as_bytes(),
        )
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Adds this token to the newest generation, for a trade of `generation` that is retried. `false` when the session
    /// has moved on or ended, or the grace is over, or it was retried too often.
    pub async fn repeat_trade(
        &self,
        session_id: SessionId,
        generation: i32,
        token: TokenHash,
        grace: Duration,
    ) -> Result<bool, StoreError> {
        let added = sqlx::query!(
            r#"
            WITH session AS (
                UPDATE sessions
                SET retries = retries + 1
                WHERE session_id = $1 AND generation = $2 + 1 AND retries < $5
                  AND ended_at IS NULL AND ends_at > frontrow_now()
                  AND frontrow_now() < advanced_at + make_interval(secs => $4)
                RETURNING session_id, generation
            )
            INSERT INTO refresh_tokens (token_hash, session_id, generation)
            SELECT $3, session_id, generation FROM session
            "#,
            session_id.as_uuid(),
            generation,
            token.as_bytes(),
            seconds(grace),
            RETRIES_PER_TRADE,
        )
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Ends a session. One that was ended before keeps its reason.
    pub async fn end_session(&self, session_id: SessionId, reason: EndReason) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE sessions SET ended_at = frontrow_now(), ended_because = $2
            WHERE session_id = $1 AND ended_at IS NULL
            "#,
            session_id.as_uuid(),
            reason.as_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes up to `limit` sessions whose time is over, with their tokens; answers how many.
    pub async fn delete_lapsed_sessions(&self, limit: u32) -> Result<u64, StoreError> {
        let deleted = sqlx::query!(
            r#"
            DELETE FROM sessions
            WHERE session_id IN (
                SELECT session_id FROM sessions
                WHERE ends_at <= frontrow_now()
                ORDER BY ends_at
                LIMIT $1
                FOR UPDATE SKIP LOCKED
            )
            "#,
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }
}

//! Who gathers, in Postgres: joins are added in batches, one commit each, and have their index once it is committed.

use fair_draw::{Hash, ReceiptKey};
use service_kit::database::begin;
use vocabulary::{ConcertId, UserId};

use super::draws::{DrawStore, hash};
use super::visits::{StoreError, unreadable};

/// A place in the lobby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LobbyPlace {
    /// Whose it is.
    pub user_id: UserId,
    /// The order of arrival, from 0.
    pub index: u64,
    /// Stands for the user in what is published.
    pub commitment: Hash,
    /// Whether it was given up.
    pub left: bool,
    /// Whether the call that answers it made it, or took it again.
    pub joined_now: bool,
}

/// What came of leaving a lobby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The place is given up by this call.
    Now,
    /// There is no such place, or it was given up before.
    Before,
    /// The numbers are drawn: the place is one in line.
    Drawn,
}

impl DrawStore {
    /// Adds these users to the lobby, whoever is not in it, in this order, and takes those back who left. Answers
    /// everybody's place. A room that drains adds nobody and takes nobody back: who has no place is not in the answer.
    /// `None`: the lobby is closed, or its opening has come.
    ///
    /// # Errors
    /// The database is away; they may have been added.
    pub async fn gather(
        &self,
        concert: ConcertId,
        users: &[(UserId, Hash)],
    ) -> Result<Option<Vec<LobbyPlace>>, StoreError> {
        let ids: Vec<_> = users.iter().map(|(user, _)| user.as_uuid()).collect();
        let commitments: Vec<_> = users
            .iter()
            .map(|(_, commitment)| commitment.0.to_vec())
            .collect();
        let mut tx = begin(&self.pool).await?;
        // Of all replicas one adds at a time: the order of arrival has no gap. Settings that change wait for the batch too:
        // what follows sees those of now.
        let count = sqlx::query_scalar!(
            "SELECT d.count FROM draws d JOIN rooms r USING (concert_id)
            WHERE d.concert_id = $1 AND d.state = 'GATHERING' AND r.opens_at > frontrow_now() FOR UPDATE OF d",
            concert.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(count) = count else { return Ok(None) };
        let added = sqlx::query!(
            "INSERT INTO lobby (concert_id, index, user_id, commitment)
            SELECT $1, $4 + row_number() OVER (ORDER BY o) - 1, u, c
            FROM unnest($2::uuid[], $3::bytea[]) WITH ORDINALITY AS t (u, c, o)
            WHERE (SELECT mode <> 'DRAINING' FROM rooms WHERE concert_id = $1)
                AND NOT EXISTS (SELECT FROM lobby l WHERE l.concert_id = $1 AND l.user_id = u)",
            concert.as_uuid(),
            &ids,
            &commitments,
            count,
        )
        .execute(&mut *tx)
        .await?;
        let added = added.rows_affected().cast_signed();
        if added > 0 {
            sqlx::query!(
                "UPDATE draws SET count = count + $2 WHERE concert_id = $1",
                concert.as_uuid(),
                added,
            )
            .execute(&mut *tx)
            .await?;
        }
        let back = sqlx::query_scalar!(
            "UPDATE lobby SET left_at = NULL
            WHERE concert_id = $1 AND user_id = ANY($2) AND left_at IS NOT NULL
                AND (SELECT mode <> 'DRAINING' FROM rooms WHERE concert_id = $1) RETURNING index",
            concert.as_uuid(),
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let rows = sqlx::query!(
            "SELECT user_id, index, commitment FROM lobby
            WHERE concert_id = $1 AND user_id = ANY($2) AND left_at IS NULL",
            concert.as_uuid(),
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let places = rows.into_iter().map(|row| {
            Ok(LobbyPlace {
                user_id: UserId::from_uuid(row.user_id),
                index: row.index.unsigned_abs(),
                commitment: hash(&row.commitment)?,
                left: false,
                joined_now: row.index >= count || back.contains(&row.index),
            })
        });
        places.collect::<Result<_, _>>().map(Some)
    }

    /// The user's place in the lobby of a concert.
    ///
    /// # Errors
    /// The database is away.
    pub async fn lobby_place(
        &self,
        concert: ConcertId,
        user: UserId,
    ) -> Result<Option<LobbyPlace>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT index, commitment, left_at IS NOT NULL AS "left!" FROM lobby
            WHERE concert_id = $1 AND user_id = $2"#,
            concert.as_uuid(),
            user.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(LobbyPlace {
            user_id: user,
            index: row.index.unsigned_abs(),
            commitment: hash(&row.commitment)?,
            left: row.left,
            joined_now: false,
        }))
    }

    /// Gives the user's place in the lobby up.
    ///
    /// # Errors
    /// The database is away.
    pub async fn leave_lobby(&self, concert: ConcertId, user: UserId) -> Result<Left, StoreError> {
        let mut tx = begin(&self.pool).await?;
        let stage = sqlx::query_scalar!(
            "SELECT stage FROM rooms WHERE concert_id = $1 FOR KEY SHARE",
            concert.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if stage.as_deref() == Some("LINE") {
            return Ok(Left::Drawn);
        }
        let left = sqlx::query!(
            "UPDATE lobby SET left_at = frontrow_now()
            WHERE concert_id = $1 AND user_id = $2 AND left_at IS NULL",
            concert.as_uuid(),
            user.as_uuid(),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(if left.rows_affected() > 0 {
            Left::Now
        } else {
            Left::Before
        })
    }

    /// The commitments from the `from`-th on, at most `limit`, in order of arrival.
    ///
    /// # Errors
    /// The database is away; one is missing.
    pub async fn commitments(
        &self,
        concert: ConcertId,
        from: u64,
        limit: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let rows = sqlx::query!(
            "SELECT index, commitment FROM lobby WHERE concert_id = $1 AND index >= $2 AND index < $3 ORDER BY index",
            concert.as_uuid(),
            from.cast_signed(),
            from.saturating_add(limit).cast_signed(),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut commitments = Vec::with_capacity(rows.len());
        for (expected, row) in (from..).zip(rows) {
            if row.index.unsigned_abs() != expected {
                return Err(unreadable("the lobby has a gap"));
            }
            commitments.push(hash(&row.commitment)?);
        }
        Ok(commitments)
    }

    /// What receipts of this room are made with. `None`: it has no lobby.
    ///
    /// # Errors
    /// The database is away.
    pub async fn receipt_key(&self, concert: ConcertId) -> Result<Option<ReceiptKey>, StoreError> {
        let bytes = sqlx::query_scalar!(
            "SELECT receipt_secret FROM draws WHERE concert_id = $1",
            concert.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(bytes) = bytes else { return Ok(None) };
        let bytes: [u8; 64] = bytes.try_into().map_err(|_| unreadable("a receipt key"))?;
        ReceiptKey::new(&bytes).map(Some).map_err(unreadable)
    }
}

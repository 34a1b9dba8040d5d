//! Draws in Postgres: every step is one guarded update, so that of two replicas one takes it and a crash between two
//! steps loses nothing.

use fair_draw::{Bytes, Chunks, Hash};
use service_kit::database::begin;
use sqlx::PgPool;
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber, UserId, VisitId};

use super::visits::{StoreError, unreadable};
use crate::domain::{Announced, Draw, DrawEvent, DrawState, OperatorTrusted, Revealed, advance};

/// Who left, passed over at a time.
const PASS_OVER_LIMIT: i64 = 1_000;

/// Draws and lobbies in Postgres. Clones share the pool.
#[derive(Debug, Clone)]
pub struct DrawStore {
    pub(super) pool: PgPool,
}

/// One who left the lobby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// The order of arrival, from 0.
    pub index: u64,
    /// Who.
    pub user_id: UserId,
}

struct DrawRow {
    concert_id: uuid::Uuid,
    state: String,
    secret: Option<Vec<u8>>,
    commitment: Vec<u8>,
    receipt_key: Vec<u8>,
    beacon_chain: Option<String>,
    beacon_round: Option<i64>,
    beacon_at: Option<OffsetDateTime>,
    count: i64,
    root: Option<Vec<u8>>,
    sealed_at: Option<OffsetDateTime>,
    beacon_value: Option<Vec<u8>>,
    operator_trusted: Option<String>,
    seed: Option<Vec<u8>>,
}

impl TryFrom<DrawRow> for Draw {
    type Error = StoreError;

    fn try_from(row: DrawRow) -> Result<Self, Self::Error> {
        let beacon = match (row.beacon_chain, row.beacon_round, row.beacon_at) {
            (Some(chain), Some(round), Some(at)) => Some(Announced {
                chain,
                round: round.cast_unsigned(),
                at,
            }),
            _ => None,
        };
        let root = row.root.as_deref().map(hash).transpose()?;
        let value = row.beacon_value.as_deref().map(hash).transpose()?;
        let revealed = match (row.secret.as_deref(), row.seed.as_deref()) {
            (Some(secret), Some(seed)) => Some(Revealed {
                secret: hash(secret)?,
                seed: hash(seed)?,
                beacon: match (value, row.operator_trusted.as_deref()) {
                    (Some(value), _) => Ok(value),
                    (None, word) => Err(OperatorTrusted::ALL
                        .into_iter()
                        .find(|reason| Some(reason.as_str()) == word)
                        .ok_or_else(|| unreadable("a reason to trust"))?),
                },
            }),
            _ => None,
        };
        let state = DrawState::ALL
            .into_iter()
            .find(|state| state.as_str() == row.state);
        Ok(Self {
            concert_id: ConcertId::from_uuid(row.concert_id),
            state: state.ok_or_else(|| unreadable("a draw's state"))?,
            receipt_key: hash(&row.receipt_key)?,
            commitment: hash(&row.commitment)?,
            beacon,
            count: row.count.unsigned_abs(),
            sealed: root.zip(row.sealed_at),
            revealed,
        })
    }
}

impl DrawStore {
    /// Kept behind these connections.
    #[must_use]
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Every draw.
    ///
    /// # Errors
    /// The database is away.
    pub async fn draws(&self) -> Result<Vec<Draw>, StoreError> {
        let rows = sqlx::query_as!(
            DrawRow,
            "SELECT concert_id, state, CASE WHEN seed IS NOT NULL THEN secret END AS secret, commitment, receipt_key,
                beacon_chain, beacon_round, beacon_at, count, root, sealed_at, beacon_value, operator_trusted, seed
            FROM draws"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Draw::try_from).collect()
    }

    /// The draw of a room, if it has one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn draw(&self, concert: ConcertId) -> Result<Option<Draw>, StoreError> {
        let row = sqlx::query_as!(
            DrawRow,
            "SELECT concert_id, state, CASE WHEN seed IS NOT NULL THEN secret END AS secret, commitment, receipt_key,
                beacon_chain, beacon_round, beacon_at, count, root, sealed_at, beacon_value, operator_trusted, seed
            FROM draws WHERE concert_id = $1",
            concert.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Draw::try_from).transpose()
    }

    /// The concerts whose draw goes on.
    ///
    /// # Errors
    /// The database is away.
    pub async fn unfinished(&self) -> Result<Vec<ConcertId>, StoreError> {
        let concerts = sqlx::query_scalar!("SELECT concert_id FROM draws WHERE state <> 'OPEN'")
            .fetch_all(&self.pool)
            .await?;
        Ok(concerts.into_iter().map(ConcertId::from_uuid).collect())
    }

    /// Closes a lobby whose opening has come: fixes the count, and lets numbers be given after it. Answers whether this
    /// call did.
    ///
    /// # Errors
    /// The database is away; it may be closed.
    pub async fn close(&self, concert: ConcertId) -> Result<bool, StoreError> {
        let mut tx = begin(&self.pool).await?;
        let due = sqlx::query_scalar!(
            "SELECT concert_id FROM rooms WHERE concert_id = $1 AND stage = 'LOBBY'
                AND (opens_at IS NULL OR opens_at <= frontrow_now()) FOR UPDATE",
            concert.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if due.is_none() {
            return Ok(false);
        }
        // Waits for the batch that is being added: who is in it is in the lobby.
        let count = sqlx::query_scalar!(
            "UPDATE draws SET state = $3 WHERE concert_id = $1 AND state = $2 RETURNING count",
            concert.as_uuid(),
            DrawEvent::Close.from().as_str(),
            after(DrawEvent::Close),
        )
        .fetch_one(&mut *tx)
        .await?;
        // A new epoch: Redis gives no number that it reserved before.
        sqlx::query!(
            "UPDATE rooms SET stage = 'DRAWING', drawn_to = $2, issued_to = $2, reserved_to = $2, epoch = epoch + 1
            WHERE concert_id = $1",
            concert.as_uuid(),
            count,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Publishes the root. Answers whether this call did.
    ///
    /// # Errors
    /// The database is away; it may be published.
    pub async fn seal(&self, concert: ConcertId, chunks: &Chunks) -> Result<bool, StoreError> {
        let root = chunks.root();
        let sealed = sqlx::query!(
            "UPDATE draws SET state = $3, root = $4, chunk_roots = $5, sealed_at = frontrow_now()
            WHERE concert_id = $1 AND state = $2",
            concert.as_uuid(),
            DrawEvent::Seal.from().as_str(),
            after(DrawEvent::Seal),
            root.as_ref(),
            chunks.to_bytes(),
        )
        .execute(&self.pool)
        .await?;
        Ok(sealed.rows_affected() > 0)
    }

    /// The secret of a draw whose root is published.
    ///
    /// # Errors
    /// The database is away.
    pub async fn secret(&self, concert: ConcertId) -> Result<Option<Hash>, StoreError> {
        let secret = sqlx::query_scalar!(
            "SELECT secret FROM draws WHERE concert_id = $1 AND root IS NOT NULL",
            concert.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        secret.as_deref().map(hash).transpose()
    }

    /// Publishes the secret and what follows from it. Answers whether this call did.
    ///
    /// # Errors
    /// The database is away; it may be published.
    pub async fn reveal(
        &self,
        concert: ConcertId,
        seed: &Hash,
        beacon: Result<Hash, OperatorTrusted>,
    ) -> Result<bool, StoreError> {
        let value = beacon.ok();
        let revealed = sqlx::query!(
            "UPDATE draws SET state = $3, seed = $4, beacon_value = $5, operator_trusted = $6
            WHERE concert_id = $1 AND state = $2",
            concert.as_uuid(),
            DrawEvent::Reveal.from().as_str(),
            after(DrawEvent::Reveal),
            seed.as_ref(),
            value.as_ref().map(AsRef::as_ref),
            beacon.err().map(OperatorTrusted::as_str),
        )
        .execute(&self.pool)
        .await?;
        Ok(revealed.rows_affected() > 0)
    }

    /// Some of those who left the lobby and whose numbers are not over yet.
    ///
    /// # Errors
    /// The database is away.
    pub async fn gone(&self, concert: ConcertId) -> Result<Vec<Gone>, StoreError> {
        let rows = sqlx::query!(
            "SELECT index, user_id FROM lobby WHERE concert_id = $1 AND left_at IS NOT NULL AND NOT passed_over
            ORDER BY index LIMIT $2",
            concert.as_uuid(),
            PASS_OVER_LIMIT,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Gone {
                index: row.index.unsigned_abs(),
                user_id: UserId::from_uuid(row.user_id),
            })
            .collect())
    }

    /// Ends the numbers of those who left, so that the line passes over them.
    ///
    /// # Errors
    /// The database is away; it may be done.
    pub async fn pass_over(
        &self,
        concert: ConcertId,
        gone: &[(Gone, QueueNumber)],
    ) -> Result<(), StoreError> {
        let visits: Vec<_> = gone.iter().map(|_| VisitId::new().as_uuid()).collect();
        let users: Vec<_> = gone.iter().map(|(gone, _)| gone.user_id.as_uuid()).collect();
        let numbers: Vec<_> = gone.iter().map(|(_, number)| number.0.cast_signed()).collect();
        let indexes: Vec<_> = gone.iter().map(|(gone, _)| gone.index.cast_signed()).collect();
        let mut tx = begin(&self.pool).await?;
        sqlx::query!(
            "UPDATE lobby SET passed_over = true WHERE concert_id = $1 AND index = ANY($2)",
            concert.as_uuid(),
            &indexes,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "INSERT INTO visits (visit_id, concert_id, user_id, number, state, ended_at)
            SELECT v, $1, u, n, 'EXPIRED', frontrow_now()
            FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS t (v, u, n) ORDER BY n
            ON CONFLICT (concert_id, number) DO NOTHING",
            concert.as_uuid(),
            &visits,
            &users,
            &numbers,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets people be called, unless somebody has left whose number is not over yet. Answers whether this call did.
    ///
    /// # Errors
    /// The database is away; it may be open.
    pub async fn open(&self, concert: ConcertId) -> Result<bool, StoreError> {
        let mut tx = begin(&self.pool).await?;
        // Whoever leaves the lobby holds this row meanwhile.
        sqlx::query!(
            "SELECT stage FROM rooms WHERE concert_id = $1 FOR UPDATE",
            concert.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let opened = sqlx::query!(
            "UPDATE draws SET state = $3 WHERE concert_id = $1 AND state = $2 AND NOT EXISTS (
                SELECT FROM lobby WHERE concert_id = $1 AND left_at IS NOT NULL AND NOT passed_over
            )",
            concert.as_uuid(),
            DrawEvent::Open.from().as_str(),
            after(DrawEvent::Open),
        )
        .execute(&mut *tx)
        .await?;
        if opened.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query!(
            "UPDATE rooms SET stage = 'LINE' WHERE concert_id = $1",
            concert.as_uuid()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The kept tree of a draw; `None` before its root is published.
    ///
    /// # Errors
    /// The database is away.
    pub async fn chunks(&self, concert: ConcertId) -> Result<Option<Chunks>, StoreError> {
        let roots = sqlx::query_scalar!(
            "SELECT chunk_roots FROM draws WHERE concert_id = $1",
            concert.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(roots.flatten().as_deref().map(Chunks::from_bytes))
    }
}

/// The word of the state that an event leads to.
fn after(event: DrawEvent) -> &'static str {
    advance(event.from(), event).map_or("", DrawState::as_str)
}

pub(super) fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    Bytes::from_slice(bytes).ok_or_else(|| unreadable("a hash"))
}

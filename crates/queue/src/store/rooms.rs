//! Rooms in Postgres: their settings and their stage. A room that opens later is made with its draw.

use fair_draw::{Hash, ReceiptKey};
use service_kit::database::begin;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;
use vocabulary::ConcertId;

use super::visits::{StoreError, VisitStore, number, stop_admissions, unreadable};
use crate::domain::{Announced, BeaconChain, Room, RoomSettings};

pub(super) struct RoomRow {
    pub concert_id: uuid::Uuid,
    pub capacity: i32,
    pub admit_per_second: i32,
    pub opens_at: Option<OffsetDateTime>,
    pub mode: String,
    pub stage: String,
    pub drawn_to: i64,
    pub serving: i64,
    pub issued_to: i64,
    pub reserved_to: i64,
    pub epoch: i64,
    pub lapsed: i64,
    pub clock: OffsetDateTime,
    pub now: OffsetDateTime,
}

impl TryFrom<RoomRow> for Room {
    type Error = StoreError;

    fn try_from(row: RoomRow) -> Result<Self, Self::Error> {
        let bound = |value: i32| u32::try_from(value).unwrap_or(0);
        let settings = RoomSettings::new(bound(row.capacity), bound(row.admit_per_second), row.opens_at)
            .map_err(|mut errors| errors.pop().map_or_else(|| unreadable("settings"), unreadable))?;
        let mode = row.mode.parse().map_err(unreadable)?;
        Ok(Self {
            concert_id: ConcertId::from_uuid(row.concert_id),
            settings: settings.in_mode(mode),
            stage: row.stage.parse().map_err(unreadable)?,
            drawn_to: number(row.drawn_to),
            serving: number(row.serving),
            issued_to: number(row.issued_to),
            reserved_to: number(row.reserved_to),
            epoch: row.epoch,
            lapsed: row.lapsed.unsigned_abs(),
            clock: row.clock,
            now: row.now,
        })
    }
}

/// The random bytes of a draw.
pub struct DrawSecrets {
    /// What is committed to.
    pub secret: [u8; 32],
    /// What receipts are signed and salted with.
    pub receipt: [u8; 64],
}

impl std::fmt::Debug for DrawSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrawSecrets").finish_non_exhaustive()
    }
}

impl VisitStore {
    /// Makes a room, or changes its settings. No visit that was let in under the settings before is still being written
    /// when this returns: nobody is let in to a room that is paused by then, nor called. A room that opens later, and
    /// that nobody has joined, is made with a lobby; a lobby whose opening is moved announces another round of the
    /// beacon.
    ///
    /// # Errors
    /// The database is away.
    pub async fn put_room(
        &self,
        concert: ConcertId,
        settings: &RoomSettings,
        secrets: &DrawSecrets,
        beacon: Option<&BeaconChain>,
    ) -> Result<Room, StoreError> {
        let mut tx = begin(&self.pool).await?;
        stop_admissions(&mut tx, concert).await?;
        let opened_at_before = sqlx::query_scalar!(
            "SELECT opens_at FROM rooms WHERE concert_id = $1 FOR NO KEY UPDATE",
            concert.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let row = sqlx::query_as!(
            RoomRow,
            r#"INSERT INTO rooms (concert_id, capacity, admit_per_second, opens_at, mode, paused_at)
            VALUES ($1, $2, $3, $4, $5, CASE WHEN $5 = 'PAUSED' THEN frontrow_now() END)
            ON CONFLICT (concert_id) DO UPDATE SET capacity = excluded.capacity,
                admit_per_second = excluded.admit_per_second, opens_at = excluded.opens_at, mode = excluded.mode,
                paused_at = CASE WHEN excluded.mode = 'PAUSED' THEN coalesce(rooms.paused_at, excluded.paused_at) END,
                paused_ms = rooms.paused_ms + CASE WHEN rooms.paused_at IS NULL OR excluded.mode = 'PAUSED' THEN 0
                    ELSE greatest(0, floor(extract(epoch FROM frontrow_now() - rooms.paused_at) * 1000)) END
            RETURNING concert_id, capacity, admit_per_second, opens_at, mode, stage, drawn_to, serving, issued_to,
                reserved_to, epoch, lapsed, room_clock(rooms) AS "clock!", frontrow_now() AS "now!""#,
            concert.as_uuid(),
            settings.capacity().cast_signed(),
            settings.admit_per_second().cast_signed(),
            settings.opens_at(),
            settings.mode().as_str(),
        )
        .fetch_one(&mut *tx)
        .await?;
        let (now, untouched) = (row.now, row.stage == "LINE" && row.reserved_to == 0);
        let opens_at = settings.opens_at().unwrap_or(now).max(now);
        let round = beacon.map(|chain| chain.round_for(opens_at));
        let mut room = Room::try_from(row)?;
        if room.stage == crate::domain::Stage::Lobby {
            // Who is being added to the lobby came before this change; who comes later sees it.
            sqlx::query!(
                "SELECT concert_id FROM draws WHERE concert_id = $1 FOR UPDATE",
                concert.as_uuid()
            )
            .fetch_optional(&mut *tx)
            .await?;
        }
        if untouched && opens_at > now {
            if make_draw(&mut tx, concert, secrets, round.as_ref()).await? {
                room.stage = crate::domain::Stage::Lobby;
            }
        } else if room.stage == crate::domain::Stage::Lobby && opened_at_before != Some(settings.opens_at()) {
            announce(&mut tx, concert, round.as_ref()).await?;
        }
        tx.commit().await?;
        Ok(room)
    }

    /// A room.
    ///
    /// # Errors
    /// The database is away.
    pub async fn room(&self, concert: ConcertId) -> Result<Option<Room>, StoreError> {
        let row = sqlx::query_as!(
            RoomRow,
            r#"SELECT concert_id, capacity, admit_per_second, opens_at, mode, stage, drawn_to, serving, issued_to,
                reserved_to, epoch, lapsed, room_clock(rooms) AS "clock!", frontrow_now() AS "now!" FROM rooms WHERE concert_id = $1"#,
            concert.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Room::try_from).transpose()
    }

    /// Every room.
    ///
    /// # Errors
    /// The database is away.
    pub async fn rooms(&self) -> Result<Vec<Room>, StoreError> {
        let rows = sqlx::query_as!(
            RoomRow,
            r#"SELECT concert_id, capacity, admit_per_second, opens_at, mode, stage, drawn_to, serving, issued_to,
                reserved_to, epoch, lapsed, room_clock(rooms) AS "clock!", frontrow_now() AS "now!" FROM rooms"#,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Room::try_from).collect()
    }
}

/// Makes the draw and the lobby; false where the room had one before: a draw is never made anew.
async fn make_draw(
    tx: &mut Transaction<'_, Postgres>,
    concert: ConcertId,
    secrets: &DrawSecrets,
    round: Option<&Announced>,
) -> Result<bool, StoreError> {
    let key = ReceiptKey::new(&secrets.receipt).map_err(unreadable)?;
    let public = key.public();
    let commitment = fair_draw::commitment_of_secret(&Hash::from(secrets.secret));
    let made = sqlx::query!(
        "INSERT INTO draws (concert_id, secret, commitment, receipt_secret, receipt_key, beacon_chain, beacon_round,
            beacon_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        concert.as_uuid(),
        secrets.secret.as_slice(),
        commitment.as_ref(),
        secrets.receipt.as_slice(),
        public.as_ref(),
        round.map(|round| round.chain.as_str()),
        round.map(|round| round.round.cast_signed()),
        round.map(|round| round.at),
    )
    .execute(&mut **tx)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE rooms SET stage = 'LOBBY' WHERE concert_id = $1",
        concert.as_uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Announces another round, as long as people gather.
async fn announce(
    tx: &mut Transaction<'_, Postgres>,
    concert: ConcertId,
    round: Option<&Announced>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE draws SET beacon_chain = $2, beacon_round = $3, beacon_at = $4
        WHERE concert_id = $1 AND state = 'GATHERING'",
        concert.as_uuid(),
        round.map(|round| round.chain.as_str()),
        round.map(|round| round.round.cast_signed()),
        round.map(|round| round.at),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

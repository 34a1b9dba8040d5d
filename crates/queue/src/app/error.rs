//! Why a use case was refused.

use crate::domain::SettingsError;
use crate::store::{LineError, StoreError};

/// Why a use case was refused; what a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such room.
    #[error("there is no waiting room for this concert")]
    RoomNotFound,
    /// There is no such visit.
    #[error("there is no such visit")]
    VisitNotFound,
    /// The room takes nobody in who has no place yet.
    #[error("the waiting room takes nobody in any more")]
    RoomClosed,
    /// The room's settings are out of bounds.
    #[error("the settings are out of bounds")]
    Settings(Vec<SettingsError>),
    /// The token is no queue token of ours.
    #[error("the queue token is not valid")]
    TokenInvalid(#[from] queue_token::InvalidToken),
    /// The token is another user's.
    #[error("the queue token belongs to somebody else")]
    TokenForeign,
    /// The token is of another concert's line.
    #[error("the queue token is for another concert")]
    TokenOfOtherConcert,
    /// The token's turn has not come.
    #[error("it is not this token's turn")]
    NotAdmitted,
    /// The token's visit is over.
    #[error("the queue token's time is over")]
    TokenExpired,
    /// The token's visit made a hold.
    #[error("the page was left with a hold")]
    PageLeft,
    /// The token, or the room, has no part in a draw.
    #[error("there was no lobby")]
    NoLobby,
    /// The draw has not come so far.
    #[error("the root is not published yet")]
    DrawPending,
    /// More ask at once than are answered.
    #[error("too many at once")]
    Busy,
    /// The line was being filled or moved the whole time: come again.
    #[error("the line is being rebuilt")]
    Unsettled,
    /// Postgres did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis did not do what was asked.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A token could not be signed.
    #[error(transparent)]
    Sign(#[from] queue_token::SignError),
}

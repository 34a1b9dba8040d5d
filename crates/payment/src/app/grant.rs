//! Points out of nothing, for demonstration and test systems.

use vocabulary::{Amount, UserId};

use crate::store::{GrantOutcome, Store, StoreError};

/// Why points were not granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The operation's name stands for another grant.
    #[error("operation {0:?} was used for another grant")]
    OperationUsed(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives a user points; again with the same `operation`: no effect. Answers whether they are new.
///
/// # Errors
/// The operation was used for another user or amount; the store.
pub async fn grant(
    store: &Store,
    user_id: UserId,
    points: Amount,
    operation: &str,
) -> Result<bool, GrantError> {
    match store.grant(user_id, points, operation).await? {
        GrantOutcome::Granted => {
            tracing::info!(%user_id, points = points.get(), operation, "points granted");
            Ok(true)
        }
        GrantOutcome::AlreadyGranted => Ok(false),
        GrantOutcome::OperationUsed => Err(GrantError::OperationUsed(operation.to_owned())),
    }
}

//! Giving and taking roles: by whoever runs the system, never through the public API.

use vocabulary::{Role, UserId};

use crate::domain::Email;
use crate::store::{Store, StoreError};

/// A role was not given or taken.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The address has no account.
    #[error("{0} has no account")]
    NoAccount(Email),
    /// Every account is a buyer.
    #[error("{} is the role of every account", Role::Buyer)]
    Inalienable,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives a role to the account of an address; access tokens carry it from the next login or refresh on.
///
/// # Errors
/// There is no such account, or the store is away.
pub async fn grant_role(store: &Store, email: &Email, role: Role) -> Result<(), RoleError> {
    let user_id = user_id(store, email).await?;
    Ok(store.grant_role(user_id, role).await?)
}

/// Takes a role from the account of an address; access tokens carry it until they end.
///
/// # Errors
/// There is no such account, the role is [`Role::Buyer`], or the store is away.
pub async fn revoke_role(store: &Store, email: &Email, role: Role) -> Result<(), RoleError> {
    if role == Role::Buyer {
        return Err(RoleError::Inalienable);
    }
    let user_id = user_id(store, email).await?;
    Ok(store.revoke_role(user_id, role).await?)
}

async fn user_id(store: &Store, email: &Email) -> Result<UserId, RoleError> {
    let account = store.account(email).await?;
    account
        .map(|account| account.user.user_id)
        .ok_or_else(|| RoleError::NoAccount(email.clone()))
}

//! The keys that access tokens are signed with: the first one, a new one, and what is published of them.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use vocabulary::access_token::LEEWAY;

use super::{AppError, Auth, Lines};
use crate::secrets::{KeyError, NewSigningKey, SigningKey};
use crate::store::Store;

/// How often a replica looks whether another key signs now.
pub const RELOAD_EVERY: Duration = Duration::from_secs(60);

impl<L: Lines> Auth<L> {
    /// Takes the key that signs from the store. Where there is none yet one is made; of several replicas that do so at
    /// once, all take the same.
    ///
    /// # Errors
    /// The store is away.
    pub async fn load_signing_key(&self) -> Result<Arc<SigningKey>, AppError> {
        let key = match self.store.active_signing_key().await? {
            Some(key) => key,
            None => {
                self.store.offer_signing_key(&NewSigningKey::generate()?).await?;
                self.store.active_signing_key().await?.ok_or(KeyError::Missing)?
            }
        };
        let key = Arc::new(key);
        self.signing_key.store(Some(Arc::clone(&key)));
        Ok(key)
    }

    /// The public keys, of every access token that may still be good.
    ///
    /// # Errors
    /// The store is away.
    pub async fn public_keys(&self) -> Result<JwkSet, AppError> {
        // A replica may sign with a retired key until it looks again.
        let overlap = self.lifetimes.access_token + LEEWAY + 2 * RELOAD_EVERY;
        let keys = self.store.public_keys(overlap).await?;
        Ok(JwkSet { keys })
    }
}

/// Retires the key that signs and makes a new one. Replicas take it up within [`RELOAD_EVERY`]; tokens of the old key
/// stay good until they end.
///
/// # Errors
/// The store is away.
pub async fn rotate_signing_key(store: &Store) -> Result<String, AppError> {
    let key = NewSigningKey::generate()?;
    store.replace_signing_key(&key).await?;
    Ok(key.kid)
}

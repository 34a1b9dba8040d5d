//! The keys that access tokens are signed with. One is active; retired ones are published for a while.

use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use secrecy::{ExposeSecret as _, SecretSlice};
use service_kit::database::begin;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::{Store, StoreError, seconds};
use crate::secrets::{NewSigningKey, SigningKey};

impl Store {
    /// The key that signs.
    pub async fn active_signing_key(&self) -> Result<Option<SigningKey>, StoreError> {
        let row = sqlx::query!("SELECT kid, private_pkcs8 FROM signing_keys WHERE retired_at IS NULL")
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| SigningKey::new(row.kid, &SecretSlice::from(row.private_pkcs8))))
    }

    /// Keeps this key if no key is active. Of several that are offered at once, one is kept.
    pub async fn offer_signing_key(&self, key: &NewSigningKey) -> Result<(), StoreError> {
        insert(&mut *self.pool.acquire().await?, key).await
    }

    /// Retires the active key and makes this one active.
    pub async fn replace_signing_key(&self, key: &NewSigningKey) -> Result<(), StoreError> {
        let mut transaction = begin(&self.pool).await?;
        sqlx::query!("UPDATE signing_keys SET retired_at = frontrow_now() WHERE retired_at IS NULL")
            .execute(&mut *transaction)
            .await?;
        insert(&mut transaction, key).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The public keys of the active key, and of those that were retired less than `overlap` ago; newest first.
    pub async fn public_keys(&self, overlap: Duration) -> Result<Vec<Jwk>, StoreError> {
        let keys = sqlx::query_scalar!(
            r#"
            SELECT public_jwk AS "jwk: Json<Jwk>" FROM signing_keys
            WHERE retired_at IS NULL OR frontrow_now() < retired_at + make_interval(secs => $1)
            ORDER BY created_at DESC
            "#,
            seconds(overlap),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(keys.into_iter().map(|Json(jwk)| jwk).collect())
    }
}

async fn insert(connection: &mut PgConnection, key: &NewSigningKey) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO signing_keys (kid, private_pkcs8, public_jwk) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        key.kid,
        key.private_pkcs8.expose_secret(),
        Json(&key.public_jwk) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

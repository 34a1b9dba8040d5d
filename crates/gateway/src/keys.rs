//! Access tokens, verified here by the keys that `auth` publishes.
//!
//! A key is only ever fetched from `auth`, never from where a token points.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use contracts::AuthClient;
use contracts::auth::GetSigningKeysRequest;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use service_kit::health::Gate;
use service_kit::problem::Problem;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use vocabulary::access_token::{AUDIENCE, ISSUER, LEEWAY};
use vocabulary::{ProblemCode, Role, UserId};

use crate::problem::ApiProblem;

const REFRESH_EVERY: Duration = Duration::from_secs(180);
/// While there are no keys at all.
const FIRST_TRY_EVERY: Duration = Duration::from_millis(250);
/// Tokens with made-up key ids must not become calls to `auth`.
const UNKNOWN_KEY_REFRESH_EVERY: Duration = Duration::from_secs(5);

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user.
    pub user_id: UserId,
    /// What they may do.
    pub roles: Vec<Role>,
}

/// What is read of an access token, beyond what makes it valid.
#[derive(Deserialize)]
struct Claims {
    sub: UserId,
    roles: Vec<Role>,
}

/// Verifies access tokens.
pub(crate) struct AccessTokens {
    auth: AuthClient,
    keys: ArcSwapOption<Keys>,
    /// Held while keys are fetched, so that many requests with a new key become one call.
    last_fetch: Mutex<Option<Fetch>>,
    validation: Validation,
}

struct Keys {
    by_id: HashMap<String, DecodingKey>,
    published: Bytes,
}

struct Fetch {
    at: Instant,
    succeeded: bool,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("auth did not answer")]
    Call(#[from] tonic::Status),
    #[error("the key set cannot be read")]
    KeySet(#[from] serde_json::Error),
    /// Auth has not made its first key yet.
    #[error("the key set is empty")]
    Empty,
    #[error("a key cannot be read")]
    Key(#[from] jsonwebtoken::errors::Error),
}

impl AccessTokens {
    pub(crate) fn new(auth: AuthClient) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY.as_secs();
        Self {
            auth,
            keys: ArcSwapOption::empty(),
            last_fetch: Mutex::new(None),
            validation,
        }
    }

    /// Who a token was signed for.
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, ApiProblem> {
        let invalid = || ApiProblem::from(ProblemCode::Unauthenticated);
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        // Before any key is looked for: an algorithm is not the token's to choose.
        if header.alg != Algorithm::EdDSA {
            return Err(invalid());
        }
        let key_id = header.kid.ok_or_else(invalid)?;
        let key = match self.key(&key_id) {
            Some(key) => key,
            None => {
                self.fetch_for_unknown_key().await?;
                self.key(&key_id).ok_or_else(invalid)?
            }
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.validation)
            .map_err(|error| match error.kind() {
                // Looked at after the signature: only we can have signed what is out of date.
                ErrorKind::ExpiredSignature => ProblemCode::AccessTokenExpired,
                _ => ProblemCode::Unauthenticated,
            })?
            .claims;
        Ok(Identity {
            user_id: claims.sub,
            roles: claims.roles,
        })
    }

    /// The key set as `auth` publishes it.
    pub(crate) async fn published(&self) -> Result<Bytes, ApiProblem> {
        if self.keys.load().is_none() {
            self.fetch_for_unknown_key().await?;
        }
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or_else(keys_unavailable)?;
        Ok(keys.published.clone())
    }

    /// Keeps the keys up to date until `stop`; opens `gate` when there are some.
    pub(crate) async fn keep_fresh(&self, gate: Gate, stop: CancellationToken) {
        loop {
            let wait = match self.fetch().await {
                Ok(()) => {
                    gate.open();
                    REFRESH_EVERY
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no signing keys");
                    FIRST_TRY_EVERY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn key(&self, id: &str) -> Option<DecodingKey> {
        self.keys.load().as_ref()?.by_id.get(id).cloned()
    }

    async fn fetch_for_unknown_key(&self) -> Result<(), ApiProblem> {
        let mut last = self.last_fetch.lock().await;
        let recent = last
            .as_ref()
            .filter(|fetch| fetch.at.elapsed() < UNKNOWN_KEY_REFRESH_EVERY);
        let succeeded = match recent {
            Some(fetch) => fetch.succeeded,
            None => {
                let fetched = self.fetch().await;
                if let Err(error) = &fetched {
                    tracing::warn!(error = error as &dyn std::error::Error, "no signing keys");
                }
                *last = Some(Fetch {
                    at: Instant::now(),
                    succeeded: fetched.is_ok(),
                });
                fetched.is_ok()
            }
        };
        // Without the newest keys nobody can say that the token is wrong.
        if succeeded {
            Ok(())
        } else {
            Err(keys_unavailable())
        }
    }

    async fn fetch(&self) -> Result<(), FetchError> {
        let answer = self
            .auth
            .clone()
            .get_signing_keys(GetSigningKeysRequest {})
            .await?;
        let published = answer.into_inner().jwks_json;
        let set: JwkSet = serde_json::from_str(&published)?;
        let mut by_id = HashMap::new();
        for key in &set.keys {
            if let Some(id) = &key.common.key_id {
                by_id.insert(id.clone(), DecodingKey::from_jwk(key)?);
            }
        }
        if by_id.is_empty() {
            return Err(FetchError::Empty);
        }
        self.keys.store(Some(Arc::new(Keys {
            by_id,
            published: Bytes::from(published),
        })));
        Ok(())
    }
}

fn keys_unavailable() -> ApiProblem {
    Problem::new(
        ProblemCode::Unavailable,
        "Access tokens cannot be verified at the moment",
    )
    .into()
}

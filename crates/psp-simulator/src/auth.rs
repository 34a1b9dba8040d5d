//! Who may call: HTTP Basic with the secret key as the user name and an empty password.

use std::{str::FromStr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::{api::Simulator, errors::ErrorCode};

/// The one secret key that this simulator knows; a test key, so that no live key is ever typed in here.
#[derive(Debug, Clone)]
pub struct SecretKey(SecretString);

/// Refused as a secret key.
#[derive(Debug, thiserror::Error)]
#[error("a secret key here begins with `test_`, contains no colon, and is never a live key")]
pub struct NotATestKey;

impl FromStr for SecretKey {
    type Err = NotATestKey;

    fn from_str(key: &str) -> Result<Self, NotATestKey> {
        if key.starts_with("test_") && !key.contains(':') {
            Ok(Self(key.into()))
        } else {
            Err(NotATestKey)
        }
    }
}

impl SecretKey {
    fn admits(&self, headers: &HeaderMap) -> Result<(), ErrorCode> {
        let credentials = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| BASE64_STANDARD.decode(encoded.trim()).ok())
            .and_then(|decoded| String::from_utf8(decoded).ok())
            .ok_or(ErrorCode::UnauthorizedKey)?;
        let (key, password) = credentials
            .split_once(':')
            .ok_or(ErrorCode::IncorrectBasicAuthFormat)?;

        if bool::from(key.as_bytes().ct_eq(self.0.expose_secret().as_bytes())) && password.is_empty() {
            Ok(())
        } else if ["test_ck_", "test_gck_", "live_"]
            .iter()
            .any(|kind| key.starts_with(kind))
        {
            Err(ErrorCode::InvalidApiKey)
        } else {
            Err(ErrorCode::UnauthorizedKey)
        }
    }
}

/// Lets a request pass when it carries the secret key.
pub(crate) async fn require_secret_key(
    State(simulator): State<Arc<Simulator>>,
    request: Request,
    next: Next,
) -> Response {
    match simulator.secret_key.admits(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

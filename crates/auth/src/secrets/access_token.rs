//! What an access token says.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;
pub use vocabulary::access_token::{AUDIENCE, ISSUER};
use vocabulary::{Role, UserId};

use crate::domain::SessionId;

/// The claims of an access token (RFC 7519; `sid` as OpenID Connect has it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// The session.
    pub sid: Uuid,
    /// This one token.
    pub jti: Uuid,
    /// Since when, in seconds since 1970.
    pub iat: i64,
    /// Until when, in seconds since 1970.
    pub exp: i64,
}

impl Claims {
    /// Of a token for this user and session, issued at `now`, good for `lifetime`.
    #[must_use]
    pub fn new(
        user_id: UserId,
        roles: &[Role],
        session_id: SessionId,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user_id,
            roles: roles.to_vec(),
            sid: session_id.as_uuid(),
            jti: Uuid::new_v4(),
            iat: now.unix_timestamp(),
            exp: (now + lifetime).unix_timestamp(),
        }
    }
}

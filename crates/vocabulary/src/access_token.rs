//! What an access token says: `auth` signs it (JWT, EdDSA, the header's `kid` names the key), the gateway verifies it.

use serde::{Deserialize, Serialize};

use crate::{Role, UserId};

/// `iss` of every access token.
pub const ISSUER: &str = "frontrow-auth";
/// `aud` of every access token.
pub const AUDIENCE: &str = "frontrow";

/// The payload of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// Whose session it is.
    pub sub: UserId,
    /// What they may do.
    pub roles: Vec<Role>,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
}

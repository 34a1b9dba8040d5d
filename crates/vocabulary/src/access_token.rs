//! What `auth`, which signs access tokens (JWT, EdDSA), and the gateway, which verifies them, must mean alike.

use std::time::Duration;

/// A token is taken for so long after its end: a clock that is so much off, of who signs or of who verifies, refuses nobody.
pub const LEEWAY: Duration = Duration::from_secs(60);
/// `iss` of every access token.
pub const ISSUER: &str = "frontrow";
/// `aud` of every access token.
pub const AUDIENCE: &str = "frontrow";

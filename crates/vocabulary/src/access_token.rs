//! What `auth`, which signs access tokens (JWT, EdDSA), and the gateway, which verifies them, must mean alike.

/// `iss` of every access token.
pub const ISSUER: &str = "frontrow";
/// `aud` of every access token.
pub const AUDIENCE: &str = "frontrow";

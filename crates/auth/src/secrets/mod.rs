//! Cryptography: password hashes, access tokens and the keys that sign them, refresh tokens. No rule stands here.

mod access_token;
mod passwords;
mod refresh_token;
mod signing_key;

pub use access_token::{AUDIENCE, Claims, ISSUER};
pub use passwords::{HashLimits, PasswordError, PasswordHash, Passwords};
pub use refresh_token::{RefreshToken, TokenHash};
pub use signing_key::{KeyError, NewSigningKey, SigningKey};

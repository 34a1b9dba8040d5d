//! Refresh tokens: random, known to their bearer alone; the store keeps a hash.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

const BYTES: usize = 32;

/// A refresh token.
#[derive(Debug)]
pub struct RefreshToken(SecretString);

/// SHA-256 of a refresh token. A token is as random as a key, so a slow hash would protect nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl RefreshToken {
    /// A new token of 256 random bits.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, Unspecified> {
        let mut bytes = [0_u8; BYTES];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(SecretString::from(URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// What a bearer showed; `None` when it cannot be a token of ours.
    #[must_use]
    pub fn read(text: String) -> Option<Self> {
        let mut bytes = [0_u8; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(&text, &mut bytes).ok()?;
        (length == BYTES).then(|| Self(SecretString::from(text)))
    }

    /// What the store knows it by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.0.expose_secret().as_bytes()).as_ref());
        TokenHash(hash)
    }

    /// The token, for its bearer.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

impl TokenHash {
    /// The bytes, for the store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_by_its_hash_alone() {
        let token = RefreshToken::generate().unwrap();
        let (hash, text) = (token.hash(), token.into_secret());
        let read = RefreshToken::read(text.expose_secret().to_owned()).unwrap();
        assert_eq!(read.hash(), hash);
        assert_ne!(RefreshToken::generate().unwrap().hash(), hash);
    }

    #[test]
    fn what_cannot_be_a_token_is_not_read() {
        let long = "A".repeat(1_000_000);
        for text in ["", "x", "AAAA", &"A".repeat(42), &"=".repeat(43), &long] {
            assert!(
                RefreshToken::read(text.to_owned()).is_none(),
                "{} characters",
                text.len()
            );
        }
    }
}

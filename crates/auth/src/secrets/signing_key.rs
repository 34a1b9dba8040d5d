//! Ed25519 keys: made here, kept by the store, published as JSON Web Keys (RFC 7517, RFC 8037).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::Claims;

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random bytes.
    #[error("no key could be generated")]
    Generate(#[source] aws_lc_rs::error::Unspecified),
    /// The key cannot be read, or nothing can be signed with it.
    #[error("the signing key cannot be used")]
    Unusable(#[from] jsonwebtoken::errors::Error),
    /// A key was made and is gone.
    #[error("there is no signing key")]
    Missing,
}

/// A key that was just made, for the store.
#[derive(Debug)]
pub struct NewSigningKey {
    /// Its id: the thumbprint of RFC 7638, so that it says nothing and never clashes.
    pub kid: String,
    /// The private key, PKCS#8 DER.
    pub private_pkcs8: SecretSlice<u8>,
    /// What is published.
    pub public_jwk: Jwk,
}

impl NewSigningKey {
    /// A new random key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(KeyError::Generate)?;
        let private_pkcs8 = SecretSlice::from(pkcs8.as_ref().to_vec());
        let key = EncodingKey::from_ed_der(private_pkcs8.expose_secret());
        let mut public_jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        let kid = public_jwk.thumbprint(ThumbprintHash::SHA256)?;
        public_jwk.common.key_id = Some(kid.clone());
        public_jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            kid,
            private_pkcs8,
            public_jwk,
        })
    }
}

/// The key that signs access tokens.
pub struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.header.kid)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A key as the store keeps it.
    #[must_use]
    pub fn new(kid: String, private_pkcs8: &SecretSlice<u8>) -> Self {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid);
        Self {
            header,
            key: EncodingKey::from_ed_der(private_pkcs8.expose_secret()),
        }
    }

    /// An access token.
    ///
    /// # Errors
    /// The key that was kept is none.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.key)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonwebtoken::{DecodingKey, Validation};
    use time::OffsetDateTime;
    use vocabulary::{Role, UserId};

    use super::*;
    use crate::domain::SessionId;
    use crate::secrets::{AUDIENCE, ISSUER};

    #[test]
    fn what_the_private_key_signs_the_published_key_verifies() {
        let new = NewSigningKey::generate().unwrap();
        let key = SigningKey::new(new.kid.clone(), &new.private_pkcs8);
        let claims = Claims::new(
            UserId::new(),
            &[Role::Buyer],
            SessionId::new(),
            OffsetDateTime::now_utc(),
            Duration::from_secs(60),
        );
        let token = key.sign(&claims).unwrap();

        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        let public = DecodingKey::from_jwk(&new.public_jwk).unwrap();
        let read = jsonwebtoken::decode::<Claims>(&token, &public, &validation).unwrap();
        assert_eq!((read.claims, read.header.kid), (claims, Some(new.kid)));

        let other = NewSigningKey::generate().unwrap();
        let other = DecodingKey::from_jwk(&other.public_jwk).unwrap();
        assert!(jsonwebtoken::decode::<Claims>(&token, &other, &validation).is_err());
    }

    #[test]
    fn what_is_published_is_an_ed25519_signature_key_without_its_private_part() {
        let new = NewSigningKey::generate().unwrap();
        let jwk = serde_json::to_value(&new.public_jwk).unwrap();
        for (member, value) in [
            ("kty", "OKP"),
            ("crv", "Ed25519"),
            ("alg", "EdDSA"),
            ("use", "sig"),
        ] {
            assert_eq!(jwk[member], value);
        }
        assert_eq!(jwk["kid"], new.kid.as_str());
        assert!(jwk.get("d").is_none());
    }
}

//! Keys for tokens that only we read (JWT, HS256): the first signs, all verify, the header's `kid` says which.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Shorter keys are weaker than the hash (RFC 7518, section 3.2).
const MIN_KEY_BYTES: usize = 32;

/// Text that is no keyring. It never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyringError {
    /// No key at all.
    #[error("at least one key is required, as kid:base64url")]
    Empty,
    /// An entry without a colon, or with an empty key id.
    #[error("key {position}: expected kid:base64url")]
    Shape {
        /// Which entry, from 1.
        position: usize,
    },
    /// A key that is no base64url or shorter than 32 bytes.
    #[error("key {position}: expected at least 32 bytes in base64url without padding")]
    Key {
        /// Which entry, from 1.
        position: usize,
    },
    /// Two keys under one id.
    #[error("key {position}: its kid stands there twice")]
    Duplicate {
        /// Which entry, from 1.
        position: usize,
    },
}

/// Why a token was refused. All mean the same to its bearer.
#[derive(Debug, thiserror::Error)]
#[error("the token was not signed by a key of ours")]
pub struct InvalidToken;

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct SignError(#[source] jsonwebtoken::errors::Error);

/// Keys of one purpose. Read from `kid:base64url[,kid:base64url...]`; the first signs.
#[derive(Clone)]
pub struct Keyring {
    header: Header,
    signing: EncodingKey,
    verifying: BTreeMap<String, DecodingKey>,
    validation: Validation,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("kids", &self.verifying.keys())
            .finish_non_exhaustive()
    }
}

impl FromStr for Keyring {
    type Err = ParseKeyringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut verifying = BTreeMap::new();
        let mut signing = None;
        for (index, entry) in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .enumerate()
        {
            let position = index + 1;
            let (kid, key) = entry
                .split_once(':')
                .filter(|(kid, _)| !kid.is_empty())
                .ok_or(ParseKeyringError::Shape { position })?;
            let key = URL_SAFE_NO_PAD
                .decode(key)
                .ok()
                .filter(|key| key.len() >= MIN_KEY_BYTES)
                .ok_or(ParseKeyringError::Key { position })?;
            if verifying
                .insert(kid.to_owned(), DecodingKey::from_secret(&key))
                .is_some()
            {
                return Err(ParseKeyringError::Duplicate { position });
            }
            signing.get_or_insert_with(|| (kid.to_owned(), EncodingKey::from_secret(&key)));
        }
        let (kid, signing) = signing.ok_or(ParseKeyringError::Empty)?;

        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid);
        // Validity is a row in a store or a place in line, so the tokens carry no times.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self {
            header,
            signing,
            verifying,
            validation,
        })
    }
}

impl Keyring {
    /// A ring with one new random key, for tests and first starts.
    ///
    /// # Panics
    /// Never: the text it reads is its own.
    #[must_use]
    #[allow(clippy::expect_used, reason = "the text is made right here")]
    pub fn random() -> Self {
        let key: [u8; MIN_KEY_BYTES] = rand::random();
        format!("k1:{}", URL_SAFE_NO_PAD.encode(key))
            .parse()
            .expect("its own text")
    }

    /// Signs `claims`.
    ///
    /// # Errors
    /// The claims cannot be written as JSON.
    pub fn sign<C: Serialize>(&self, claims: &C) -> Result<String, SignError> {
        jsonwebtoken::encode(&self.header, claims, &self.signing).map_err(SignError)
    }

    /// The claims of a token that one of our keys signed.
    ///
    /// # Errors
    /// Anything else.
    pub fn verify<C: DeserializeOwned>(&self, token: &str) -> Result<C, InvalidToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken)?;
        let key = header
            .kid
            .and_then(|kid| self.verifying.get(&kid))
            .ok_or(InvalidToken)?;
        let token = jsonwebtoken::decode(token, key, &self.validation).map_err(|_| InvalidToken)?;
        Ok(token.claims)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Claims {
        number: u64,
    }

    fn ring(text: &str) -> Keyring {
        text.parse().unwrap()
    }

    fn key(kid: &str, byte: u8) -> String {
        format!("{kid}:{}", URL_SAFE_NO_PAD.encode([byte; 32]))
    }

    #[test]
    fn the_first_key_signs_and_all_keys_verify() {
        let old = ring(&key("a", 1));
        let rotated = ring(&format!("{},{}", key("b", 2), key("a", 1)));
        let token = old.sign(&Claims { number: 7 }).unwrap();
        assert_eq!(rotated.verify::<Claims>(&token).unwrap(), Claims { number: 7 });
        let token = rotated.sign(&Claims { number: 8 }).unwrap();
        assert!(old.verify::<Claims>(&token).is_err());
    }

    #[test]
    fn a_token_of_another_key_under_the_same_id_is_refused() {
        let token = ring(&key("a", 2)).sign(&Claims { number: 7 }).unwrap();
        assert!(ring(&key("a", 1)).verify::<Claims>(&token).is_err());
    }

    #[test]
    fn a_token_without_a_signature_is_refused() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"a"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"number":7}"#);
        let keyring = ring(&key("a", 1));
        for token in [
            format!("{header}.{claims}."),
            format!("{header}.{claims}"),
            String::new(),
        ] {
            assert!(keyring.verify::<Claims>(&token).is_err(), "{token}");
        }
    }

    #[test]
    fn a_wrong_keyring_says_which_key_without_repeating_it() {
        assert_eq!("".parse::<Keyring>().unwrap_err(), ParseKeyringError::Empty);
        assert_eq!(
            "secret".parse::<Keyring>().unwrap_err(),
            ParseKeyringError::Shape { position: 1 }
        );
        let short = format!("{},b:c2hvcnQ", key("a", 1));
        assert_eq!(
            short.parse::<Keyring>().unwrap_err(),
            ParseKeyringError::Key { position: 2 }
        );
        let twice = format!("{},{}", key("a", 1), key("a", 2));
        assert_eq!(
            twice.parse::<Keyring>().unwrap_err(),
            ParseKeyringError::Duplicate { position: 2 }
        );
    }
}

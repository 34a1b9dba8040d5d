//! Keys for tokens that only we read (JWT, HS256): the first signs, all verify, the header's `kid` says which.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

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

/// Longer texts are no tokens of ours, and are not read.
const MAX_TOKEN_BYTES: usize = 4_096;
/// Of an HS256 signature.
const SIGNATURE_BYTES: usize = 32;

/// Why a token was refused. It never repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// An empty text.
    #[error("there is no token")]
    Missing,
    /// No JWT, or not all of one.
    #[error("the token is not whole")]
    Malformed,
    /// It names an algorithm that is not ours: none, or one that its bearer could sign with.
    #[error("the token is not signed as ours are")]
    Unsigned,
    /// No key of ours signed it, or one did so for another use.
    #[error("the token was not signed by a key of ours")]
    Forged,
}

impl InvalidToken {
    /// What is wrong with a text that is no valid token. Only refused ones are looked at so closely.
    fn of(token: &str) -> Self {
        #[derive(Deserialize)]
        struct Algorithm<'a> {
            #[serde(borrow)]
            alg: Cow<'a, str>,
        }

        if token.is_empty() {
            return Self::Missing;
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Self::Malformed;
        }
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let mut part = || parts.next().flatten();
        let header = part();
        let named = header.as_deref().and_then(|header| {
            let header: Algorithm<'_> = serde_json::from_slice(header).ok()?;
            Some(header.alg == "HS256")
        });
        match named {
            None => return Self::Malformed,
            Some(false) => return Self::Unsigned,
            Some(true) => {}
        }
        let claims = part().and_then(|claims| serde_json::from_slice::<IgnoredAny>(&claims).ok());
        let signature = part().filter(|signature| signature.len() == SIGNATURE_BYTES);
        if claims.is_some() && signature.is_some() && parts.next().is_none() {
            Self::Forged
        } else {
            Self::Malformed
        }
    }
}

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
    /// The same keys by the header, as text, of the tokens that they sign.
    by_header: Vec<(String, hmac::Key)>,
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
        let mut by_header = Vec::new();
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
            let header = header_of(kid);
            if let Ok(text) = serde_json::to_vec(&header) {
                let text = URL_SAFE_NO_PAD.encode(text);
                by_header.push((text, hmac::Key::new(hmac::HMAC_SHA256, &key)));
            }
            signing.get_or_insert_with(|| (header, EncodingKey::from_secret(&key)));
        }
        let (header, signing) = signing.ok_or(ParseKeyringError::Empty)?;

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
            by_header,
        })
    }
}

fn header_of(kid: &str) -> Header {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(kid.to_owned());
    header
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
    /// What is wrong with any other text.
    pub fn verify<C: DeserializeOwned>(&self, token: &str) -> Result<C, InvalidToken> {
        self.claims(token).ok_or_else(|| InvalidToken::of(token))
    }

    fn claims<C: DeserializeOwned>(&self, token: &str) -> Option<C> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        if let Some(claims) = self.claims_under_known_header(token) {
            return Some(claims);
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.verifying.get(&header.kid?)?;
        let token = jsonwebtoken::decode(token, key, &self.validation).ok()?;
        Some(token.claims)
    }

    /// Of a token that begins as those do which we sign. People poll with them again and again: a header that is known
    /// need not be read, twice, to learn what it says, and claims without times need not be read for them.
    fn claims_under_known_header<C: DeserializeOwned>(&self, token: &str) -> Option<C> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let (_, key) = self.by_header.iter().find(|(known, _)| known == header)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(key, signed.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
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
    fn our_own_tokens_are_verified_without_reading_their_header_and_others_of_our_keys_all_the_same() {
        let keyring = ring(&format!("{},{}", key("b", 2), key("a", 1)));
        let ours = keyring.sign(&Claims { number: 7 }).unwrap();
        assert_eq!(
            keyring.claims_under_known_header(&ours),
            Some(Claims { number: 7 })
        );
        let signed =
            [r#"{"kid":"a","alg":"HS256"}"#, r#"{"number":8}"#].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = signed.join(".");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]), signed.as_bytes());
        let other = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(keyring.claims_under_known_header::<Claims>(&other), None);
        assert_eq!(keyring.verify::<Claims>(&other).unwrap(), Claims { number: 8 });
    }

    #[test]
    fn a_known_header_vouches_for_nothing() {
        let keyring = ring(&key("a", 1));
        let tokens = [1, 2].map(|number| keyring.sign(&Claims { number }).unwrap());
        let [one, two] = tokens
            .each_ref()
            .map(|token| token.split('.').collect::<Vec<_>>());
        for wrong in [
            [one[0], two[1], one[2]].join("."),
            [one[0], one[1], &one[2][..42]].join("."),
            [one[0], one[1], ""].join("."),
            [one[0], one[1], one[2], one[2]].join("."),
        ] {
            assert_eq!(
                keyring.claims_under_known_header::<Claims>(&wrong),
                None,
                "{wrong}"
            );
            assert!(keyring.verify::<Claims>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_of_another_key_is_forged() {
        let keyring = ring(&key("a", 1));
        for other in [ring(&key("a", 2)), ring(&key("b", 1))] {
            let token = other.sign(&Claims { number: 7 }).unwrap();
            assert_eq!(keyring.verify::<Claims>(&token), Err(InvalidToken::Forged));
        }
    }

    /// A token of `keyring` with other parts.
    fn patched(keyring: &Keyring, header: Option<&str>, claims: Option<&str>) -> String {
        let token = keyring.sign(&Claims { number: 7 }).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = header.map_or_else(|| parts[0].to_owned(), encode);
        let claims = claims.map_or_else(|| parts[1].to_owned(), encode);
        [&header, &claims, parts[2]].join(".")
    }

    #[test]
    fn a_token_whose_claims_were_changed_is_forged() {
        let keyring = ring(&key("a", 1));
        let whole = patched(&keyring, None, Some(r#"{"number":7}"#));
        assert_eq!(keyring.verify::<Claims>(&whole), Ok(Claims { number: 7 }));
        for (header, claims) in [
            (None, Some(r#"{"number":8}"#)),
            (None, Some("[]")),
            (Some(r#"{"alg":"HS256","kid":"a"}"#), None),
            (Some(r#"{"alg":"HS256","kid":"z"}"#), None),
            (Some(r#"{"alg":"HS256"}"#), None),
        ] {
            let token = patched(&keyring, header, claims);
            assert_eq!(
                keyring.verify::<Claims>(&token),
                Err(InvalidToken::Forged),
                "{token}"
            );
        }
    }

    #[test]
    fn a_token_of_ours_with_other_claims_is_forged() {
        let keyring = ring(&key("a", 1));
        let token = keyring.sign(&["no claims"]).unwrap();
        assert_eq!(keyring.verify::<Claims>(&token), Err(InvalidToken::Forged));
    }

    #[test]
    fn a_token_of_another_algorithm_is_unsigned() {
        let keyring = ring(&key("a", 1));
        for algorithm in ["none", "NONE", "HS512", "RS256", "ours", ""] {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"a"}}"#);
            let token = patched(&keyring, Some(&header), None);
            let (unsigned, signature) = token.rsplit_once('.').unwrap();
            for token in [
                token.clone(),
                unsigned.to_owned(),
                format!("{unsigned}."),
                format!("{unsigned}.{}", &signature[1..]),
            ] {
                assert_eq!(
                    keyring.verify::<Claims>(&token),
                    Err(InvalidToken::Unsigned),
                    "{token}"
                );
            }
        }
    }

    #[test]
    fn a_token_cut_anywhere_is_malformed() {
        let keyring = ring(&key("a", 1));
        let token = keyring.sign(&Claims { number: 7 }).unwrap();
        for length in 1..token.len() {
            let cut = &token[..length];
            assert_eq!(
                keyring.verify::<Claims>(cut),
                Err(InvalidToken::Malformed),
                "{cut}"
            );
        }
        assert_eq!(keyring.verify::<Claims>(""), Err(InvalidToken::Missing));
    }

    #[test]
    fn what_is_no_jwt_is_malformed() {
        let keyring = ring(&key("a", 1));
        let token = keyring.sign(&Claims { number: 7 }).unwrap();
        let signature = token.rsplit_once('.').unwrap().1;
        let header = token.split_once('.').unwrap().0;
        for text in [
            "x".to_owned(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            " ".to_owned(),
            "가.나.다".to_owned(),
            format!("{token}."),
            format!("{token}.{signature}"),
            format!("{token}A"),
            format!(" {token}"),
            format!("{header}.!!!.{signature}"),
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{\"number\":")),
            patched(&keyring, Some("{"), None),
            patched(&keyring, Some("[]"), None),
            patched(&keyring, Some(r#"{"kid":"a"}"#), None),
            patched(&keyring, Some(r#"{"alg":7,"kid":"a"}"#), None),
            keyring.sign(&"n".repeat(MAX_TOKEN_BYTES)).unwrap(),
        ] {
            assert_eq!(
                keyring.verify::<Claims>(&text),
                Err(InvalidToken::Malformed),
                "{text}"
            );
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

//! What an account is made of, and which values it takes.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use vocabulary::{Role, UserId};

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The account's id.
    pub user_id: UserId,
    /// Where its mail goes; also its name at login.
    pub email: Email,
    /// What to call the person.
    pub name: PersonName,
    /// At least [`Role::Buyer`].
    pub roles: Vec<Role>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Text that is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// Nothing was given.
    #[error("is required")]
    Missing,
    /// Longer than [`Email::MAX_CHARS`].
    #[error("must be at most {} characters", Email::MAX_CHARS)]
    TooLong,
    /// Not of the shape `name@host`.
    #[error("must be an e-mail address, like name@example.com")]
    Shape,
}

/// An e-mail address in lower case, of the shape that browsers accept (WHATWG HTML, "valid e-mail address").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The longest address that mail can be sent to (RFC 5321 by way of RFC 3696, erratum 1690).
    pub const MAX_CHARS: usize = 254;

    /// Reads an address as a person typed it: space around it and case do not matter.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        if text.len() > Self::MAX_CHARS {
            return Err(InvalidEmail::TooLong);
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidEmail::Missing);
        }
        let (local, host) = text.split_once('@').ok_or(InvalidEmail::Shape)?;
        if !local.is_empty() && local.bytes().all(is_local) && host.split('.').all(is_label) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidEmail::Shape)
        }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Text that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing was given, or only space.
    #[error("is required")]
    Missing,
    /// Longer than [`PersonName::MAX_CHARS`].
    #[error("must be at most {} characters", PersonName::MAX_CHARS)]
    TooLong,
    /// A line break, a tab, a NUL.
    #[error("must not contain control characters")]
    Control,
}

/// What to call a person; 1 to [`PersonName::MAX_CHARS`] characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 100;

    /// Reads a name; space around it does not matter.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        // Bounded as it came, as the API's document says.
        if text.chars().count() > Self::MAX_CHARS {
            return Err(InvalidName::TooLong);
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidName::Missing);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Longer than [`SignUpKey::MAX_CHARS`].
    #[error("must be at most {} characters", SignUpKey::MAX_CHARS)]
    TooLong,
    /// A line break, a tab, a NUL.
    #[error("must not contain control characters")]
    Control,
}

/// What names one request to sign up, so that it can be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignUpKey(String);

impl SignUpKey {
    /// The longest key, in characters.
    pub const MAX_CHARS: usize = 255;

    /// Reads a key; `None` when there is none.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidKey> {
        if text.chars().count() > Self::MAX_CHARS {
            return Err(InvalidKey::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidKey::Control);
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password that must not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Nothing was given.
    #[error("is required")]
    Missing,
    /// Out of bounds.
    #[error("must be {} to {} characters", NewPassword::MIN_CHARS, NewPassword::MAX_CHARS)]
    Length,
}

/// A password for a new account. Its length is all that is asked of it (NIST SP 800-63B, section 5.1.1.2).
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// The shortest password, in characters.
    pub const MIN_CHARS: usize = 10;
    /// The longest password, in characters; hashing a longer one would cost more than it protects.
    pub const MAX_CHARS: usize = 128;

    /// Takes a password for a new account.
    ///
    /// # Errors
    /// It is too short or too long.
    pub fn parse(password: SecretString) -> Result<Self, InvalidPassword> {
        match password.expose_secret().chars().count() {
            0 => Err(InvalidPassword::Missing),
            Self::MIN_CHARS..=Self::MAX_CHARS => Ok(Self(password)),
            _ => Err(InvalidPassword::Length),
        }
    }

    /// The password.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_lower_case_without_space_around_it() {
        assert_eq!(
            Email::parse(" Kim.Min+1@Example.COM ").unwrap().as_str(),
            "kim.min+1@example.com"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "x".repeat(243));
        for (text, error) in [
            ("", InvalidEmail::Missing),
            ("  ", InvalidEmail::Missing),
            (&long, InvalidEmail::TooLong),
            ("kim", InvalidEmail::Shape),
            ("@example.com", InvalidEmail::Shape),
            ("kim@", InvalidEmail::Shape),
            ("kim@@example.com", InvalidEmail::Shape),
            ("kim@example..com", InvalidEmail::Shape),
            ("kim@-example.com", InvalidEmail::Shape),
            ("kim@example-.com", InvalidEmail::Shape),
            ("kim min@example.com", InvalidEmail::Shape),
            ("kim\0@example.com", InvalidEmail::Shape),
            ("김@example.com", InvalidEmail::Shape),
            ("\"kim\"@example.com", InvalidEmail::Shape),
        ] {
            assert_eq!(Email::parse(text), Err(error), "{text:?}");
        }
        assert!(Email::parse(&long[1..]).is_ok());
    }

    #[test]
    fn a_name_is_trimmed_and_bounded_in_characters_not_bytes() {
        assert_eq!(PersonName::parse("  김민수 ").unwrap().as_str(), "김민수");
        assert!(PersonName::parse(&"김".repeat(100)).is_ok());
        for (text, error) in [
            ("", InvalidName::Missing),
            (" \t ", InvalidName::Missing),
            (&"김".repeat(101), InvalidName::TooLong),
            ("Kim\nMinsu", InvalidName::Control),
            ("Kim\0", InvalidName::Control),
        ] {
            assert_eq!(PersonName::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_bounded_in_characters_and_never_shown() {
        let parse = |text: String| NewPassword::parse(SecretString::from(text));
        assert!(matches!(parse(String::new()), Err(InvalidPassword::Missing)));
        assert!(matches!(parse("x".repeat(9)), Err(InvalidPassword::Length)));
        assert!(matches!(parse("x".repeat(129)), Err(InvalidPassword::Length)));
        assert!(parse("비".repeat(10)).is_ok());
        assert!(parse("비".repeat(128)).is_ok());
        let shown = format!("{:?}", parse("correct horse".to_owned()));
        assert!(!shown.contains("horse"), "{shown}");
    }
}

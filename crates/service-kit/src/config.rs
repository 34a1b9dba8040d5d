//! Typed configuration from the environment: every mistake is reported at once, every key documents itself.
//!
//! A service reads its keys through one function `fn read(env: &mut Environment) -> Config`. The same function
//! run by [`describe`] yields the reference page, so that page cannot miss a key.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// What is wrong with the configuration, key by key.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    mistakes: Vec<Mistake>,
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} mistake(s):", self.mistakes.len())?;
        for mistake in &self.mistakes {
            writeln!(f, "  {}: {}", mistake.key, mistake.rule)?;
        }
        Ok(())
    }
}

impl ConfigError {
    /// The keys that are wrong, in the order they were read.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        self.mistakes.iter().map(|mistake| mistake.key).collect()
    }
}

#[derive(Debug)]
struct Mistake {
    key: &'static str,
    rule: String,
}

/// One documented key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What is taken when it is absent; `None` when it is required.
    pub default: Option<String>,
    /// What values it takes.
    pub values: String,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

/// The environment while it is being read.
///
/// Each reader answers a usable value even after a mistake, so that reading goes on and [`load`] reports all.
#[derive(Debug)]
pub struct Environment {
    values: BTreeMap<String, String>,
    keys: Vec<Key>,
    mistakes: Vec<Mistake>,
}

/// Reads a configuration from the process's environment.
///
/// # Errors
/// Every key that is missing or wrong, together.
pub fn load<C>(read: impl FnOnce(&mut Environment) -> C) -> Result<C, ConfigError> {
    load_from(std::env::vars().collect(), read)
}

/// Reads a configuration from the values given.
///
/// # Errors
/// Every key that is missing or wrong, together.
pub fn load_from<C>(
    values: BTreeMap<String, String>,
    read: impl FnOnce(&mut Environment) -> C,
) -> Result<C, ConfigError> {
    let mut environment = Environment {
        values,
        keys: Vec::new(),
        mistakes: Vec::new(),
    };
    let config = read(&mut environment);
    if environment.mistakes.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError {
            mistakes: environment.mistakes,
        })
    }
}

/// The keys that a configuration reads, in order.
pub fn describe<C>(read: impl FnOnce(&mut Environment) -> C) -> Vec<Key> {
    let mut environment = Environment {
        values: BTreeMap::new(),
        keys: Vec::new(),
        mistakes: Vec::new(),
    };
    let _ = read(&mut environment);
    environment.keys
}

impl Environment {
    /// Text that may be anything, with a default.
    pub fn text(&mut self, name: &'static str, default: &str, meaning: &'static str) -> String {
        self.note(name, Some(default.to_owned()), "text", meaning);
        self.value(name).unwrap_or_else(|| default.to_owned())
    }

    /// A required secret; it is never printed.
    pub fn secret(&mut self, name: &'static str, meaning: &'static str) -> SecretString {
        self.note(name, None, "a secret", meaning);
        SecretString::from(self.required(name).unwrap_or_default())
    }

    /// A required value of a parsed type. `fallback` stands in when it is missing or wrong.
    pub fn parsed<T>(&mut self, name: &'static str, values: &str, meaning: &'static str, fallback: T) -> T
    where
        T: FromStr<Err: Display>,
    {
        self.note(name, None, values, meaning);
        let Some(value) = self.required(name) else {
            return fallback;
        };
        self.parse(name, &value).unwrap_or(fallback)
    }

    /// An address to listen on.
    pub fn address(&mut self, name: &'static str, default: SocketAddr, meaning: &'static str) -> SocketAddr {
        self.note(name, Some(default.to_string()), "ip:port", meaning);
        self.value(name)
            .and_then(|value| self.parse(name, &value))
            .unwrap_or(default)
    }

    /// A required URL with one of `schemes`. It may carry a password, so it is never printed.
    pub fn url(&mut self, name: &'static str, schemes: &[&str], meaning: &'static str) -> Url {
        self.note(name, None, &format!("URL ({})", schemes.join(", ")), meaning);
        let value = self.required(name);
        self.parse_url(name, schemes, value).unwrap_or_else(unset_url)
    }

    /// A URL that may be absent.
    pub fn optional_url(
        &mut self,
        name: &'static str,
        schemes: &[&str],
        meaning: &'static str,
    ) -> Option<Url> {
        self.note(
            name,
            Some("unset".to_owned()),
            &format!("URL ({})", schemes.join(", ")),
            meaning,
        );
        let value = self.value(name);
        self.parse_url(name, schemes, value)
    }

    /// A whole number within `range`.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        default: T,
        range: RangeInclusive<T>,
        meaning: &'static str,
    ) -> T
    where
        T: FromStr<Err: Display> + PartialOrd + Display + Copy,
    {
        let values = format!("{} to {}", range.start(), range.end());
        self.note(name, Some(default.to_string()), &values, meaning);
        let Some(number) = self.value(name).and_then(|value| self.parse::<T>(name, &value)) else {
            return default;
        };
        if range.contains(&number) {
            return number;
        }
        self.mistake(name, format!("must be {values}"));
        default
    }

    /// A span in whole seconds within `range`.
    pub fn seconds(
        &mut self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        meaning: &'static str,
    ) -> Duration {
        Duration::from_secs(self.number(name, default, range, meaning))
    }

    /// A span in whole milliseconds within `range`.
    pub fn millis(
        &mut self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        meaning: &'static str,
    ) -> Duration {
        Duration::from_millis(self.number(name, default, range, meaning))
    }

    /// One of a few words, or a value of another parsed type that has a default.
    pub fn choice<T>(&mut self, name: &'static str, default: T, values: &str, meaning: &'static str) -> T
    where
        T: FromStr<Err: Display> + Display,
    {
        self.note(name, Some(default.to_string()), values, meaning);
        self.value(name)
            .and_then(|value| self.parse(name, &value))
            .unwrap_or(default)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str, default: bool, meaning: &'static str) -> bool {
        self.note(name, Some(default.to_string()), "true, false", meaning);
        self.value(name)
            .and_then(|value| self.parse(name, &value))
            .unwrap_or(default)
    }

    fn note(&mut self, name: &'static str, default: Option<String>, values: &str, meaning: &'static str) {
        self.keys.push(Key {
            name,
            default,
            values: values.to_owned(),
            meaning,
        });
    }

    /// Notes a value that breaks a rule which this reader cannot know, such as one about several keys together.
    pub fn mistake(&mut self, key: &'static str, rule: impl Into<String>) {
        self.mistakes.push(Mistake {
            key,
            rule: rule.into(),
        });
    }

    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn required(&mut self, name: &'static str) -> Option<String> {
        let value = self.value(name);
        if value.is_none() {
            self.mistake(name, "is required");
        }
        value
    }

    // The value itself is kept out of the message: it may be a secret.
    fn parse<T>(&mut self, name: &'static str, value: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.mistake(name, format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn parse_url(&mut self, name: &'static str, schemes: &[&str], value: Option<String>) -> Option<Url> {
        let url: Url = self.parse(name, &value?)?;
        if schemes.contains(&url.scheme()) {
            return Some(url);
        }
        self.mistake(name, format!("must begin with one of: {}", schemes.join(", ")));
        None
    }
}

// Stands in for a URL whose mistake is already noted; `load` never lets it out.
fn unset_url() -> Url {
    #[allow(clippy::expect_used, reason = "a literal that parses")]
    Url::parse("unset:").expect("a literal URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Config {
        hold: Duration,
        store: Url,
    }

    fn read(env: &mut Environment) -> Config {
        Config {
            hold: env.seconds("HOLD_SECONDS", 300, 1..=3600, "How long an unpaid hold is kept."),
            store: env.url("DATABASE_URL", &["postgres"], "Where rows are kept."),
        }
    }

    fn from(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load_from(
            values
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            read,
        )
    }

    #[test]
    fn absent_keys_take_their_defaults() {
        let config = from(&[("DATABASE_URL", "postgres://localhost/x")]).unwrap();
        assert_eq!(config.hold, Duration::from_secs(300));
        assert_eq!(config.store.scheme(), "postgres");
    }

    #[test]
    fn all_mistakes_are_reported_at_once_without_the_values() {
        let error = from(&[("HOLD_SECONDS", "soon"), ("DATABASE_URL", "mysql://hunter2@x/y")]).unwrap_err();
        assert_eq!(error.keys(), ["HOLD_SECONDS", "DATABASE_URL"]);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_number_outside_its_range_is_refused() {
        let error = from(&[("HOLD_SECONDS", "0"), ("DATABASE_URL", "postgres://localhost/x")]).unwrap_err();
        assert!(
            error.to_string().contains("HOLD_SECONDS: must be 1 to 3600"),
            "{error}"
        );
    }

    #[test]
    fn every_key_that_is_read_is_described() {
        let names: Vec<_> = describe(read).into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["HOLD_SECONDS", "DATABASE_URL"]);
    }
}

//! How often somebody may try: allowances that fill up again steadily, and what each is counted by.
//!
//! Three of them guard a login. One per address keeps a guesser from trying many accounts; one per account and address
//! keeps it from trying many passwords; one per account bounds guessers that share the work over many addresses. The
//! last one alone could be turned against the owner of an account, so it does not count where the owner was before.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

/// How much of something is allowed: `burst` at once, and as much again in every `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At once; at least 1.
    pub burst: u32,
    /// In which as much again is allowed.
    pub window: Duration,
}

impl Allowance {
    /// In which one more is allowed.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.window / self.burst.max(1)
    }
}

/// What logins and sign-ups are allowed.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// Failed logins from one address.
    pub log_ins_per_address: Allowance,
    /// Failed logins to one account from one address.
    pub log_ins_per_account_and_address: Allowance,
    /// Failed logins to one account from addresses that it was never logged in to from.
    pub log_ins_per_account: Allowance,
    /// Sign-ups from one address.
    pub sign_ups_per_address: Allowance,
    /// How long an address from which an account was logged in to is remembered.
    pub address_known: Duration,
}

/// Where a request comes from, as far as it is told apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin(Option<IpAddr>);

impl Origin {
    /// What is no address is one origin together. Whoever has an IPv6 address has the 2^64 beside it, so these are one
    /// origin too.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(
            text.parse()
                .ok()
                .map(|address: IpAddr| match address.to_canonical() {
                    IpAddr::V6(address) => {
                        let [a, b, c, d, ..] = address.segments();
                        Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
                    }
                    address @ IpAddr::V4(_) => address,
                }),
        )
    }

    fn text(self) -> String {
        self.0.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// What attempts are counted by. Says nothing of what it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptKey([u8; 32]);

impl AttemptKey {
    /// Logins from an address.
    #[must_use]
    pub fn log_ins_from(origin: Origin) -> Self {
        Self::of(&["log in from", &origin.text()])
    }

    /// Logins to an account from an address; `email` as it was typed, and whether it has an account or not.
    #[must_use]
    pub fn log_ins_to_from(email: &str, origin: Origin) -> Self {
        Self::of(&["log in to, from", &normal(email), &origin.text()])
    }

    /// Logins to an account from anywhere.
    #[must_use]
    pub fn log_ins_to(email: &str) -> Self {
        Self::of(&["log in to", &normal(email)])
    }

    /// Sign-ups from an address.
    #[must_use]
    pub fn sign_ups_from(origin: Origin) -> Self {
        Self::of(&["sign up from", &origin.text()])
    }

    /// SHA-256.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(parts: &[&str]) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in parts {
            // Lengths keep neighbours apart.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        Self(key)
    }
}

/// Every spelling of an address that finds the same account.
fn normal(email: &str) -> String {
    email.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_is_allowed_in_each_share_of_the_window() {
        let allowance = Allowance {
            burst: 20,
            window: Duration::from_secs(600),
        };
        assert_eq!(allowance.interval(), Duration::from_secs(30));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_origin() {
        let origin = Origin::read("2001:db8:1:2::1");
        assert_eq!(origin, Origin::read("2001:db8:1:2:ffff::9"));
        assert_ne!(origin, Origin::read("2001:db8:1:3::1"));
        assert_eq!(Origin::read("::ffff:192.0.2.1"), Origin::read("192.0.2.1"));
        assert_ne!(Origin::read("192.0.2.1"), Origin::read("192.0.2.2"));
        assert_eq!(Origin::read(""), Origin::read("unknown"));
    }

    #[test]
    fn spellings_of_one_account_count_together_and_kinds_apart() {
        let here = Origin::read("192.0.2.1");
        assert_eq!(
            AttemptKey::log_ins_to(" Kim@Example.com "),
            AttemptKey::log_ins_to("kim@example.com")
        );
        let keys = [
            AttemptKey::log_ins_from(here),
            AttemptKey::log_ins_to("192.0.2.1"),
            AttemptKey::log_ins_to_from("", here),
            AttemptKey::sign_ups_from(here),
        ];
        for (position, key) in keys.iter().enumerate() {
            assert!(!keys[..position].contains(key), "{position}");
        }
    }
}

//! Money: whole numbers of a currency's smallest unit. There is no fraction and no float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why an amount or a currency was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Amounts of this type are never below zero.
    #[error("must not be negative")]
    Negative,
    /// Above [`Amount::MAX`].
    #[error("must be at most {}", Amount::MAX.get())]
    TooLarge,
    /// Not three capital letters.
    #[error("must be an ISO 4217 code of three capital letters, like KRW")]
    Currency,
}

/// A sum of money in the currency's smallest unit (KRW: won; USD: cents), 0 to [`Amount::MAX`].
///
/// One wallet point is one KRW.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// A million million: sums of every seat of a stadium stay far from overflow.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// # Errors
    /// Below zero or above [`Amount::MAX`].
    pub const fn new(units: i64) -> Result<Self, MoneyError> {
        if units < 0 {
            Err(MoneyError::Negative)
        } else if units > Self::MAX.0 {
            Err(MoneyError::TooLarge)
        } else {
            Ok(Self(units))
        }
    }

    /// The bare number of smallest units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above [`Amount::MAX`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_add(other.0)?).ok()
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_sub(other.0)?).ok()
    }
}

impl TryFrom<i64> for Amount {
    type Error = MoneyError;

    fn try_from(units: i64) -> Result<Self, Self::Error> {
        Self::new(units)
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// South Korean won, the currency of wallet points.
    pub const KRW: Self = Self(*b"KRW");

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::Currency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_never_negative_nor_beyond_its_bound() {
        assert_eq!(Amount::new(-1), Err(MoneyError::Negative));
        assert_eq!(Amount::new(Amount::MAX.get() + 1), Err(MoneyError::TooLarge));
        assert_eq!(Amount::ZERO.checked_sub(Amount::new(1).unwrap()), None);
        assert_eq!(Amount::MAX.checked_add(Amount::new(1).unwrap()), None);
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("KRW".parse(), Ok(Currency::KRW));
        for wrong in ["krw", "KR", "KRWW", "K1W", ""] {
            assert_eq!(wrong.parse::<Currency>(), Err(MoneyError::Currency), "{wrong}");
        }
    }
}

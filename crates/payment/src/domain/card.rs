//! What a card payment is known by at the provider.

use std::fmt;

use vocabulary::Amount;

/// The provider charges no card less (`BELOW_MINIMUM_AMOUNT`).
pub(super) const CARD_MIN_WON: i64 = 100;

/// Text that the provider would not take as one of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {min} to {max} letters, digits, - _ =")]
pub struct InvalidCard {
    min: usize,
    max: usize,
}

fn checked(text: &str, min: usize, max: usize) -> Result<String, InvalidCard> {
    let fits = (min..=max).contains(&text.len());
    if fits
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte))
    {
        Ok(text.to_owned())
    } else {
        Err(InvalidCard { min, max })
    }
}

/// The provider's name for one payment that the buyer authenticated. Whoever has it could have it captured, so it never
/// shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentKey(String);

impl PaymentKey {
    /// # Errors
    /// Not 1 to 200 of the characters that the provider uses.
    pub fn new(text: &str) -> Result<Self, InvalidCard> {
        checked(text, 1, 200).map(Self)
    }

    /// The key itself: for the provider, and for the row that remembers it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentKey(..)")
    }
}

/// Our name for one card attempt of one reservation; booking gives the next one after a decline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderId(String);

impl OrderId {
    /// # Errors
    /// Not 6 to 64 of the characters that the provider takes.
    pub fn new(text: &str) -> Result<Self, InvalidCard> {
        checked(text, 6, 64).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part of a price that a card pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardCharge {
    /// Above zero.
    pub amount: Amount,
    /// The order that the buyer authenticated it for.
    pub order_id: OrderId,
    /// Forgotten when the payment has ended.
    pub payment_key: Option<PaymentKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_key_never_shows_itself() {
        let key = PaymentKey::new("test_ok_1").unwrap();
        assert_eq!(format!("{key:?}"), "PaymentKey(..)");
    }

    #[test]
    fn names_that_the_provider_would_not_take_are_refused() {
        for wrong in ["", "a/b", "a b", "..", "열쇠", &"k".repeat(201)] {
            assert!(PaymentKey::new(wrong).is_err(), "{wrong}");
        }
        assert!(OrderId::new("five5").is_err() && OrderId::new("sixsix").is_ok());
        assert!(OrderId::new(&"x".repeat(64)).is_ok() && OrderId::new(&"x".repeat(65)).is_err());
    }
}

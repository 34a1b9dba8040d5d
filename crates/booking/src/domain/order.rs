//! The order that a card attempt is for.

use std::fmt;

use vocabulary::ReservationId;

/// Names one card attempt of one reservation at the payment provider: 6 to 64 characters of `[A-Za-z0-9_-]`.
///
/// A provider refuses an order that it has seen end, so each attempt has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderId(String);

impl OrderId {
    /// The order of the `attempt`-th try (from 1) to pay a reservation.
    #[must_use]
    pub fn of(reservation_id: ReservationId, attempt: u32) -> Self {
        Self(format!("fr-{}-{attempt}", reservation_id.as_uuid().simple()))
    }

    /// The text that the provider gets.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn an_order_id_is_what_providers_take(id: u128, attempt: u32) {
            let order = OrderId::of(ReservationId::from_uuid(Uuid::from_u128(id)), attempt);
            prop_assert!((6..=64).contains(&order.as_str().len()));
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            prop_assert!(order.as_str().bytes().all(allowed));
        }

        #[test]
        fn every_attempt_has_its_own_order(id: u128, one: u32, other: u32) {
            let id = ReservationId::from_uuid(Uuid::from_u128(id));
            prop_assert_eq!(OrderId::of(id, one) == OrderId::of(id, other), one == other);
        }
    }
}

//! How a price is split between wallet and card.

use vocabulary::{Amount, Currency};

use super::card::CARD_MIN_WON;
use super::{CardCharge, OrderId, PaymentKey};

/// What a payment takes, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// From the wallet.
    pub points: Amount,
    /// From the card; `None` when points cover the total, as they do a total of 0.
    pub card: Option<CardCharge>,
}

/// Why a price cannot be paid like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// More points than the price.
    #[error("must be at most the total, {total}")]
    PointsAboveTotal {
        /// What the seats cost.
        total: Amount,
    },
    /// The provider charges no card so little.
    #[error("must leave the card 0 or at least {CARD_MIN_WON} won")]
    CardBelowMinimum,
    /// A point is a won: it pays no other currency.
    #[error("must be 0: points do not pay prices in {currency}")]
    PointsInAnotherCurrency {
        /// The price's.
        currency: Currency,
    },
    /// The provider charges cards in won only.
    #[error("cannot be used: cards do not pay prices in {currency}")]
    CardInAnotherCurrency {
        /// The price's.
        currency: Currency,
    },
    /// The points leave a rest and there is no card.
    #[error("points do not cover the total and no card was given")]
    CardRequired,
    /// The card was authenticated for another attempt.
    #[error("must be the reservation's current order")]
    AnotherOrder,
}

/// Splits `total` into `points` and a charge of the card for the rest.
///
/// A card that is not needed is left alone.
///
/// # Errors
/// The split breaks a rule.
pub fn split(
    total: Amount,
    currency: Currency,
    points: Amount,
    card: Option<(PaymentKey, Option<OrderId>)>,
    current_order: Option<OrderId>,
) -> Result<Terms, TermsError> {
    if !points.is_zero() && currency != Currency::KRW {
        return Err(TermsError::PointsInAnotherCurrency { currency });
    }
    let rest = total
        .checked_sub(points)
        .ok_or(TermsError::PointsAboveTotal { total })?;
    if rest.is_zero() {
        return Ok(Terms { points, card: None });
    }
    // Before a card is asked for that could not pay it.
    if currency == Currency::KRW && rest.get() < CARD_MIN_WON {
        return Err(TermsError::CardBelowMinimum);
    }
    let (payment_key, order_id) = card.ok_or(TermsError::CardRequired)?;
    if currency != Currency::KRW {
        return Err(TermsError::CardInAnotherCurrency { currency });
    }
    let order_id = match (order_id, current_order) {
        (Some(given), Some(current)) if given == current => current,
        (None, Some(current)) => current,
        _ => return Err(TermsError::AnotherOrder),
    };
    let card = CardCharge {
        amount: rest,
        order_id,
        payment_key: Some(payment_key),
    };
    Ok(Terms {
        points,
        card: Some(card),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const USD: &str = "USD";

    fn won(units: i64) -> Amount {
        Amount::new(units).unwrap()
    }

    fn order(name: &str) -> Option<OrderId> {
        Some(OrderId::new(name).unwrap())
    }

    fn card(order_id: Option<OrderId>) -> Option<(PaymentKey, Option<OrderId>)> {
        Some((PaymentKey::new("test_ok_1").unwrap(), order_id))
    }

    #[test]
    fn every_rule_has_its_refusal() {
        let krw = Currency::KRW;
        let usd: Currency = USD.parse().unwrap();
        let now = || order("order-2");
        assert_eq!(
            split(won(1_000), krw, won(1_001), card(None), now()),
            Err(TermsError::PointsAboveTotal { total: won(1_000) })
        );
        assert_eq!(
            split(won(1_000), krw, won(900), None, now()),
            Err(TermsError::CardRequired)
        );
        assert_eq!(
            split(won(1_000), krw, won(0), card(order("order-1")), now()),
            Err(TermsError::AnotherOrder)
        );
        assert_eq!(
            split(won(1_000), usd, won(1), card(None), now()),
            Err(TermsError::PointsInAnotherCurrency { currency: usd })
        );
        assert_eq!(
            split(won(50), usd, won(0), card(None), now()),
            Err(TermsError::CardInAnotherCurrency { currency: usd })
        );
    }

    #[rstest]
    #[case::nothing_is_left(1_000, 1_000, Ok(0))]
    #[case::one_won_is_left(1_000, 999, Err(TermsError::CardBelowMinimum))]
    #[case::just_too_little_is_left(1_000, 901, Err(TermsError::CardBelowMinimum))]
    #[case::just_enough_is_left(1_000, 900, Ok(100))]
    #[case::a_price_that_no_card_pays(99, 0, Err(TermsError::CardBelowMinimum))]
    #[case::such_a_price_by_points(99, 99, Ok(0))]
    #[case::the_least_price_that_a_card_pays(100, 0, Ok(100))]
    fn a_card_pays_nothing_or_what_the_provider_charges_at_least(
        #[case] total: i64,
        #[case] points: i64,
        #[case] by_card: Result<i64, TermsError>,
    ) {
        let terms = split(
            won(total),
            Currency::KRW,
            won(points),
            card(None),
            order("order-1"),
        );
        let paid = terms.map(|terms| terms.card.map_or(0, |card| card.amount.get()));
        assert_eq!(paid, by_card);
        if by_card == Err(TermsError::CardBelowMinimum) {
            // No card helps, so none is asked for.
            let without = split(won(total), Currency::KRW, won(points), None, order("order-1"));
            assert_eq!(without, Err(TermsError::CardBelowMinimum));
        }
    }

    #[test]
    fn a_total_of_zero_needs_neither() {
        for currency in [Currency::KRW, USD.parse().unwrap()] {
            let terms = split(won(0), currency, won(0), None, None).unwrap();
            assert_eq!((terms.points, terms.card), (won(0), None));
        }
    }

    #[test]
    fn a_card_that_is_not_needed_is_left_alone() {
        let terms = split(won(100), Currency::KRW, won(100), card(None), order("order-1")).unwrap();
        assert_eq!(terms.card, None);
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_total(
            (total, points) in prop_oneof![
                (0_i64..1_000_000, 0_i64..1_000_000),
                // Where the rules meet.
                (0_i64..1_000_000, -3_i64..=103).prop_map(|(total, rest)| (total, (total - rest).max(0))),
            ],
        ) {
            let rest = total - points;
            match split(won(total), Currency::KRW, won(points), card(None), order("order-1")) {
                Ok(terms) => {
                    let by_card = terms.card.map_or(0, |card| card.amount.get());
                    prop_assert_eq!(terms.points.get() + by_card, total);
                    prop_assert!(by_card == 0 || by_card >= CARD_MIN_WON);
                }
                Err(TermsError::CardBelowMinimum) => prop_assert!((1..CARD_MIN_WON).contains(&rest)),
                Err(refusal) => {
                    prop_assert_eq!(refusal, TermsError::PointsAboveTotal { total: won(total) });
                    prop_assert!(rest < 0);
                }
            }
        }
    }
}

//! What goes back of a paid reservation, split over where it came from.

use vocabulary::Amount;

use super::OrderId;

/// What a succeeded payment took, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidBy {
    /// From the wallet.
    pub points: Amount,
    /// From the card, above zero, and the order that it was captured for; `None` without a card.
    pub card: Option<(Amount, OrderId)>,
}

impl PaidBy {
    pub(super) fn card_amount(&self) -> Amount {
        self.card.as_ref().map_or(Amount::ZERO, |(amount, _)| *amount)
    }
}

/// What goes back, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of the total, 0 to 100.
    pub percent: u8,
    /// To the wallet.
    pub points: Amount,
    /// To the card.
    pub card: Amount,
}

/// Booking says that a share goes back which the payment does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{percent} % of the payment is not {refund}")]
pub struct InvalidShare {
    percent: u32,
    refund: i64,
}

impl Share {
    /// Splits `refund`, which is `percent` of what was paid, over where it came from. The card gets its own share rounded
    /// down, the wallet the rest, so that both together are what booking promised.
    ///
    /// # Errors
    /// `refund` is not `percent` of what was paid, rounded down.
    pub fn split(paid: &PaidBy, percent: u32, refund: Amount) -> Result<Self, InvalidShare> {
        let invalid = InvalidShare {
            percent,
            refund: refund.get(),
        };
        let share_of = |amount: i64| {
            let share = i128::from(amount) * i128::from(percent) / 100;
            i64::try_from(share)
                .ok()
                .and_then(|share| Amount::new(share).ok())
        };
        let card = share_of(paid.card_amount().get());
        let total = paid.points.checked_add(paid.card_amount());
        let total = total.and_then(|total| share_of(total.get()));
        let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        let (Some(card), Some(total), Some(percent)) = (card, total, percent) else {
            return Err(invalid);
        };
        let points = refund.checked_sub(card).filter(|points| *points <= paid.points);
        match points {
            Some(points) if refund == total => Ok(Self {
                percent,
                points,
                card,
            }),
            _ => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn won(units: i64) -> Amount {
        Amount::new(units).unwrap()
    }

    fn paid(points: i64, card: i64) -> PaidBy {
        PaidBy {
            points: won(points),
            card: (card > 0).then(|| (won(card), OrderId::new("order-1").unwrap())),
        }
    }

    #[test]
    fn a_share_that_the_payment_does_not_have_is_refused() {
        for (paid, percent, refund) in [
            (paid(10, 0), 101, 10),
            (paid(10, 0), 100, 11),
            (paid(10, 0), 100, 9),
            (paid(4, 6), 50, 6),
            (paid(0, 0), 100, 1),
        ] {
            let split = Share::split(&paid, percent, won(refund));
            assert_eq!(split, Err(InvalidShare { percent, refund }));
        }
    }

    #[test]
    fn a_won_that_does_not_divide_goes_to_the_wallet() {
        // 33 % of 100: 16 of the card's 50, 17 of the wallet's 50.
        let share = Share::split(&paid(50, 50), 33, won(33)).unwrap();
        assert_eq!((share.points, share.card), (won(17), won(16)));
    }

    proptest! {
        #[test]
        fn the_shares_make_up_the_refund_and_no_more_than_was_paid(
            points in 0_i64..1_000_000,
            card in 0_i64..1_000_000,
            percent in 0_u32..=100,
        ) {
            let paid = paid(points, card);
            let refund = (points + card) * i64::from(percent) / 100;
            let share = Share::split(&paid, percent, won(refund)).unwrap();
            prop_assert_eq!(share.points.get() + share.card.get(), refund);
            prop_assert!(share.points.get() <= points && share.card.get() <= card);
        }
    }
}

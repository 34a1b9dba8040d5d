use std::collections::BTreeSet;

use proptest::prelude::*;
use vocabulary::{PaymentId, RefundId};

use super::model::{Books, Purchase, purchase, world};
use super::*;

/// More than any amount of the model.
const MUCH: i64 = 1_000_000;

const PAID: Purchase = Purchase {
    points: 4_000,
    card: 6_000,
    end: State::Succeeded,
    early: false,
    canceled: None,
};

/// Paid in full, and half of it given back.
const UNDONE: Purchase = Purchase {
    canceled: Some((50, true)),
    ..PAID
};

/// One wrong done to a world of which the first payment is [`PAID`], the second [`UNDONE`], and the first charge succeeded.
type Wrong = fn(&mut Books);

/// What each wrong is found as. Where two books are wrong by it, both codes.
const WRONGS: &[(&[&str], Wrong)] = &[
    (&["captured-not-in-ledger"], |books| {
        books.orders[0].ours.ledger = CardSums::default();
    }),
    (&["ledger-without-capture"], |books| {
        books.orders[0].provider = CardSums::default();
    }),
    (&["captured-amount-differs"], |books| {
        books.orders[0].provider.captured += MUCH;
    }),
    (&["captured-amount-differs"], |books| {
        books.orders[0].ours.ledger.captured += MUCH;
    }),
    (&["refund-missing-at-provider"], |books| {
        books.orders[1].provider.returned = 0;
    }),
    (&["refund-missing-at-provider"], |books| {
        books.orders[0].ours.ledger.returned += 1;
    }),
    (&["refund-not-in-ledger"], |books| {
        books.orders[0].provider.returned += 1;
    }),
    (&["refunded-twice"], |books| {
        books.orders[1].provider.returned *= 2;
    }),
    (&["unknown-order-at-provider"], |books| {
        books.orders[0].ours = OwnOrder::default();
    }),
    (&["payment-differs-from-ledger"], |books| {
        books.payments[0].moved.purchased += MUCH;
    }),
    (&["payment-differs-from-ledger"], |books| {
        books.payments[0].moved.posted -= 1;
    }),
    (&["payment-differs-from-ledger"], |books| {
        books.payments[0].moved.returned += MUCH;
    }),
    (&["payment-differs-from-ledger"], |books| {
        books.payments[0].moved.captured = 0;
    }),
    (
        &["payment-differs-from-ledger", "confirmed-without-payment"],
        |books| books.payments[0].state = State::Failed,
    ),
    (&["refund-differs-from-ledger"], |books| {
        books.payments[0].moved.points_refunded += 1;
    }),
    (&["refund-differs-from-ledger"], |books| {
        books.payments[1].moved.card_refunded *= 2;
    }),
    (&["refund-differs-from-ledger"], |books| {
        books.payments[1].moved.points_refunded = 0;
    }),
    (&["charge-differs-from-ledger"], |books| {
        books.charges[0].moved = 0;
    }),
    (&["charge-differs-from-ledger"], |books| {
        books.charges[0].amount += 1;
    }),
    (&["charge-differs-from-ledger"], |books| {
        books.charges[0].succeeded = false;
    }),
    (&["confirmed-without-payment"], |books| {
        books.payments.remove(0);
    }),
    (
        &["confirmed-without-payment", "paid-without-reservation"],
        |books| {
            books.booking[0].payment_id = Some(PaymentId::new());
        },
    ),
    (
        &["confirmed-without-payment", "paid-without-reservation"],
        |books| {
            books.booking[0].payment_id = None;
        },
    ),
    (&["paid-without-reservation"], |books| {
        books.booking.remove(0);
    }),
    (&["amount-differs"], |books| books.booking[0].total += 1),
    (&["amount-differs", "payment-differs-from-ledger"], |books| {
        books.payments[0].card += 1;
    }),
    (&["refund-missing"], |books| {
        let refund = CanceledFacts {
            refund_id: RefundId::new(),
            refund: 1,
            refunded: false,
        };
        books.booking[0].canceled = Some(refund);
    }),
    (&["refund-missing", "refund-differs-from-ledger"], |books| {
        books.payments[1].refund = None;
    }),
    (&["refund-without-cancellation"], |books| {
        books.booking[1].canceled = None;
    }),
    (&["refund-amount-differs"], |books| {
        books.booking[1].canceled.as_mut().unwrap().refund += 1;
    }),
    (&["refund-untold"], |books| {
        books.booking[1].canceled.as_mut().unwrap().refunded = false;
    }),
    (&["wallet-differs-from-entries"], |books| {
        books.wallets[0].kept.balance += 1;
    }),
    (&["wallet-differs-from-entries"], |books| {
        books.wallets[0].told.pending += 1;
    }),
];

fn codes(differences: &[Difference]) -> BTreeSet<&'static str> {
    differences.iter().map(Difference::code).collect()
}

#[test]
fn every_wrong_is_named() {
    let mut seen = BTreeSet::new();
    for (at, (expected, wrong)) in WRONGS.iter().enumerate() {
        let mut books = world(&[PAID, UNDONE], &[(5_000, true)]);
        assert_eq!(books.compare(), []);
        wrong(&mut books);
        let found = books.compare();
        assert_eq!(
            codes(&found),
            expected.iter().copied().collect(),
            "{at}: {found:?}"
        );
        for difference in &found {
            assert!(!difference.cause().is_empty() && !difference.cure().is_empty());
        }
        seen.extend(codes(&found));
    }
    seen.insert("stuck");
    assert_eq!(seen, Difference::CODES.iter().copied().collect());
}

#[test]
fn what_is_under_way_is_no_difference_until_it_is_old() {
    for state in State::ALL.iter().filter(|state| !state.has_ended()) {
        let open = Purchase { end: *state, ..PAID };
        let mut books = world(&[open], &[]);
        // The provider is ahead of the ledger, and booking of us.
        books.orders[0].provider.captured = 6_000;
        books.booking.push(PaidFacts {
            reservation_id: books.payments[0].reservation_id,
            payment_id: Some(books.payments[0].payment_id),
            total: 10_000,
            canceled: None,
        });
        assert_eq!(books.compare(), [], "{state}");
    }
    let refunding = Purchase {
        canceled: Some((100, false)),
        ..PAID
    };
    let mut books = world(&[refunding], &[]);
    books.orders[0].provider.returned = 6_000;
    assert_eq!(books.compare(), []);

    let open = |age_seconds| OpenFacts {
        what: "payment",
        id: PaymentId::new().as_uuid(),
        state: "UNKNOWN".to_owned(),
        age_seconds,
    };
    assert_eq!(open(60).compare(60), None);
    assert_eq!(open(61).compare(60).map(|stuck| stuck.code()), Some("stuck"));
}

#[test]
fn money_that_came_and_went_back_is_no_difference() {
    let mut books = world(&[PAID], &[]);
    // A capture behind our back that somebody gave back.
    books.orders[0].provider.captured += 500;
    books.orders[0].provider.returned += 500;
    books.orders.push(OrderFacts {
        order_id: "another-shop".to_owned(),
        ours: OwnOrder::default(),
        provider: CardSums {
            captured: 700,
            returned: 700,
        },
    });
    assert_eq!(books.compare(), []);
}

proptest! {
    #[test]
    fn a_consistent_world_has_no_difference_and_any_wrong_gives_one(
        purchases in prop::collection::vec(purchase(), 0..8),
        charges in prop::collection::vec((100_i64..10_000, any::<bool>()), 0..4),
        wrong in prop::sample::select(WRONGS),
    ) {
        let with = |first: &[Purchase]| [first, &purchases].concat();
        let charges = [vec![(5_000, true)], charges].concat();
        let mut books = world(&with(&[PAID, UNDONE]), &charges);
        prop_assert_eq!(books.compare(), []);
        wrong.1(&mut books);
        prop_assert_ne!(books.compare(), []);
    }
}

/// A number that stands in the books, of something that has ended.
fn numbers(books: &mut Books) -> Vec<&mut i64> {
    let mut numbers = Vec::new();
    let open: BTreeSet<_> = books
        .payments
        .iter()
        .filter(|payment| payment.is_open())
        .map(|payment| payment.reservation_id)
        .collect();
    for payment in &mut books.payments {
        if payment.state == State::Succeeded && !open.contains(&payment.reservation_id) {
            numbers.extend([&mut payment.points, &mut payment.card]);
            if let Some(share) = payment.refund.as_mut().and_then(|refund| refund.share.as_mut()) {
                numbers.extend([&mut share.points, &mut share.card]);
            }
        }
        let moved = &mut payment.moved;
        numbers.extend([
            &mut moved.purchased,
            &mut moved.returned,
            &mut moved.posted,
            &mut moved.captured,
            &mut moved.card_refunded,
            &mut moved.points_refunded,
        ]);
    }
    for charge in &mut books.charges {
        numbers.push(&mut charge.moved);
        if charge.succeeded {
            numbers.push(&mut charge.amount);
        }
    }
    for order in books.orders.iter_mut().filter(|order| !order.ours.open) {
        let (ours, provider) = (&mut order.ours.ledger, &mut order.provider);
        numbers.extend([&mut ours.captured, &mut ours.returned]);
        numbers.extend([&mut provider.captured, &mut provider.returned]);
    }
    for paid in &mut books.booking {
        if !open.contains(&paid.reservation_id) {
            numbers.push(&mut paid.total);
            numbers.extend(paid.canceled.as_mut().map(|canceled| &mut canceled.refund));
        }
    }
    for wallet in &mut books.wallets {
        for purse in [&mut wallet.kept, &mut wallet.told] {
            numbers.extend([&mut purse.balance, &mut purse.pending]);
        }
    }
    numbers
}

proptest! {
    #[test]
    fn no_number_can_change_unseen(
        purchases in prop::collection::vec(purchase(), 1..6),
        charges in prop::collection::vec((100_i64..10_000, any::<bool>()), 0..3),
        which in any::<prop::sample::Index>(),
        by in prop_oneof![Just(MUCH), Just(-MUCH)],
    ) {
        let mut books = world(&purchases, &charges);
        let mut numbers = numbers(&mut books);
        let at = which.index(numbers.len());
        *numbers[at] += by;
        prop_assert_ne!(books.compare(), []);
    }
}

//! Books of a small world in which everything was done right, for the tests of the comparison.

use proptest::prelude::*;
use vocabulary::{ChargeId, PaymentId, RefundId, ReservationId, UserId};

use super::*;

/// All facts of a world.
#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub payments: Vec<PaymentFacts>,
    pub charges: Vec<ChargeFacts>,
    pub orders: Vec<OrderFacts>,
    pub booking: Vec<PaidFacts>,
    pub wallets: Vec<WalletFacts>,
}

impl Books {
    /// Every difference.
    pub(super) fn compare(&self) -> Vec<Difference> {
        let mut differences: Vec<_> = self.payments.iter().flat_map(PaymentFacts::compare).collect();
        differences.extend(self.charges.iter().filter_map(ChargeFacts::compare));
        differences.extend(self.orders.iter().filter_map(OrderFacts::compare));
        differences.extend(self.wallets.iter().filter_map(WalletFacts::compare));
        let mut ids: Vec<_> = self
            .payments
            .iter()
            .map(|payment| payment.reservation_id)
            .collect();
        ids.extend(self.booking.iter().map(|paid| paid.reservation_id));
        ids.sort();
        ids.dedup();
        for reservation_id in ids {
            let of = |payment: &&PaymentFacts| payment.reservation_id == reservation_id;
            let facts = ReservationFacts {
                reservation_id,
                booking: self
                    .booking
                    .iter()
                    .find(|paid| paid.reservation_id == reservation_id)
                    .cloned(),
                payments: self.payments.iter().filter(of).cloned().collect(),
            };
            differences.extend(facts.compare());
        }
        differences
    }
}

/// How one purchase goes.
#[derive(Debug, Clone)]
pub(super) struct Purchase {
    pub points: i64,
    pub card: i64,
    pub end: State,
    /// Failed before the points were taken.
    pub early: bool,
    /// The share that goes back, of one that succeeded; and whether all of it is back.
    pub canceled: Option<(i64, bool)>,
}

pub(super) fn purchase() -> impl Strategy<Value = Purchase> {
    (
        0_i64..10_000,
        1_i64..10_000,
        prop::sample::select(State::ALL),
        any::<bool>(),
        prop::option::of((0_i64..=100, any::<bool>())),
    )
        .prop_map(|(points, card, end, early, canceled)| Purchase {
            points,
            card,
            end,
            early,
            canceled: canceled.filter(|_| end == State::Succeeded),
        })
}

/// The world in which these purchases were made, and charges of these amounts, some of which failed.
pub(super) fn world(purchases: &[Purchase], charges: &[(i64, bool)]) -> Books {
    let mut books = Books::default();
    for purchase in purchases {
        books.buy(purchase);
    }
    for &(amount, succeeded) in charges {
        let moved = if succeeded { amount } else { 0 };
        let charge_id = ChargeId::new();
        books.charges.push(ChargeFacts {
            charge_id,
            succeeded,
            amount,
            moved,
        });
        let sums = CardSums {
            captured: moved,
            returned: 0,
        };
        books
            .orders
            .push(order(format!("charge-{charge_id}"), false, sums));
        books.wallet(moved, 0);
    }
    books
}

fn order(order_id: String, open: bool, sums: CardSums) -> OrderFacts {
    OrderFacts {
        order_id,
        ours: OwnOrder {
            known: true,
            open,
            ledger: sums,
        },
        provider: sums,
    }
}

impl Books {
    fn wallet(&mut self, balance: i64, pending: i64) {
        let purse = Purse { balance, pending };
        self.wallets.push(WalletFacts {
            user_id: UserId::new(),
            kept: purse,
            told: purse,
        });
    }

    fn buy(&mut self, purchase: &Purchase) {
        use State::{Captured, Created, Failed, Refunded, Refunding, Releasing, Succeeded};
        let Purchase {
            points, card, end, ..
        } = *purchase;
        let took_points = match end {
            Created => false,
            Releasing | Failed => !purchase.early,
            _ => true,
        };
        let gave_back = matches!(end, Releasing | Failed | Refunded) && took_points;
        let captured = matches!(end, Captured | Refunding | Refunded | Succeeded);
        let mut moved = Moved {
            purchased: if took_points { points } else { 0 },
            returned: if gave_back { points } else { 0 },
            posted: if end == Succeeded { points } else { 0 },
            captured: if captured { card } else { 0 },
            card_refunded: if end == Refunded { card } else { 0 },
            points_refunded: 0,
        };
        let (payment_id, reservation_id) = (PaymentId::new(), ReservationId::new());
        let mut paid = (end == Succeeded).then(|| PaidFacts {
            reservation_id,
            payment_id: Some(payment_id),
            total: points + card,
            canceled: None,
        });
        let refund = purchase.canceled.map(|(percent, completed)| {
            let total = (points + card) * percent / 100;
            let card = card * percent / 100;
            let share = Share {
                points: total - card,
                card,
            };
            if completed {
                moved.card_refunded = share.card;
                moved.points_refunded = share.points;
            }
            RefundFacts {
                refund_id: RefundId::new(),
                completed,
                share: Some(share),
            }
        });
        if let (Some(paid), Some(refund)) = (&mut paid, &refund) {
            paid.canceled = Some(CanceledFacts {
                refund_id: refund.refund_id,
                refund: refund.share.map_or(0, |share| share.points + share.card),
                refunded: refund.completed,
            });
        }
        let sums = CardSums {
            captured: moved.captured,
            returned: moved.card_refunded,
        };
        let payment = PaymentFacts {
            payment_id,
            reservation_id,
            state: end,
            points,
            card,
            moved,
            refund,
        };
        let order_id = format!("fr-{}-1", reservation_id.as_uuid().simple());
        self.orders.push(order(order_id, payment.is_open(), sums));
        let held = moved.purchased - moved.returned - moved.posted;
        self.wallet(
            points - moved.purchased + moved.returned + moved.points_refunded,
            held,
        );
        self.payments.push(payment);
        self.booking.extend(paid);
    }
}

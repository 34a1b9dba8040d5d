//! Whether the provider's books, the ledger, our own rows and booking's reservations tell the same story, in pure
//! functions.
//!
//! Two books are compared at a time: an order at the provider with the ledger, a row with the ledger, a reservation at
//! booking with our rows, a wallet with its entries. Where each pair agrees, all four do. What a saga still works on may
//! differ for a moment: then only what moves in one statement is compared.

mod difference;
mod facts;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use difference::Difference;
pub use facts::{
    CanceledFacts, CardSums, ChargeFacts, Moved, OpenFacts, OrderFacts, OwnOrder, PaidFacts, PaymentFacts,
    Purse, RefundFacts, ReservationFacts, Share, WalletFacts,
};

use super::State;

impl OrderFacts {
    /// What the provider and the ledger say differently. What counts is what was kept: money that came and went back is
    /// no difference, wherever that was done.
    #[must_use]
    pub fn compare(&self) -> Option<Difference> {
        let (provider, ledger) = (self.provider, self.ours.ledger);
        if self.ours.open || provider.kept() == ledger.kept() {
            return None;
        }
        let order_id = self.order_id.clone();
        if !self.ours.known {
            return Some(Difference::UnknownOrderAtProvider {
                order_id,
                kept: provider.kept(),
            });
        }
        let at_provider_more = provider.kept() > ledger.kept();
        Some(if provider.captured != ledger.captured {
            match (provider.captured, ledger.captured) {
                (captured, 0) => Difference::CapturedNotInLedger { order_id, captured },
                (0, captured) => Difference::LedgerWithoutCapture { order_id, captured },
                (provider, ledger) => Difference::CapturedAmountDiffers {
                    order_id,
                    provider,
                    ledger,
                },
            }
        } else if at_provider_more {
            Difference::RefundMissingAtProvider {
                order_id,
                provider: provider.returned,
                ledger: ledger.returned,
            }
        } else if ledger.returned == 0 {
            Difference::RefundNotInLedger {
                order_id,
                returned: provider.returned,
            }
        } else {
            Difference::RefundedTwice {
                order_id,
                provider: provider.returned,
                ledger: ledger.returned,
            }
        })
    }
}

impl PaymentFacts {
    /// What the row and the ledger say differently. They change in the same statement, so also an open payment is
    /// compared.
    #[must_use]
    pub fn compare(&self) -> Vec<Difference> {
        let (points, card) = (self.points, self.card);
        let taken = |purchased, returned, posted, captured| Moved {
            purchased,
            returned,
            posted,
            captured,
            ..self.moved
        };
        let expected = match self.state {
            State::Created => taken(0, 0, 0, 0),
            State::PointsTaken | State::Confirming | State::Unknown => taken(points, 0, 0, 0),
            State::Captured | State::Refunding => taken(points, 0, 0, card),
            State::Succeeded => taken(points, 0, points, card),
            State::Refunded => Moved {
                card_refunded: card,
                ..taken(points, points, 0, card)
            },
            // Whether it failed before or after the points were taken, it has none of them now.
            State::Releasing | State::Failed if self.moved.purchased == 0 => taken(0, 0, 0, 0),
            State::Releasing | State::Failed => taken(points, points, 0, 0),
        };
        let mut differences = Vec::new();
        if self.moved != expected {
            differences.push(Difference::PaymentDiffersFromLedger {
                payment_id: self.payment_id,
                state: self.state,
                expected,
                found: self.moved,
            });
        }
        differences.extend(self.compare_refund());
        differences
    }

    fn compare_refund(&self) -> Option<Difference> {
        // Without a refund only a payment that was never accepted gives its capture back.
        let due = match &self.refund {
            Some(refund) => refund.share.unwrap_or(Share { points: 0, card: 0 }),
            None => Share { points: 0, card: 0 },
        };
        let found = Share {
            points: self.moved.points_refunded,
            card: if self.state == State::Refunded {
                0
            } else {
                self.moved.card_refunded
            },
        };
        let under_way = self.refund.as_ref().is_some_and(|refund| !refund.completed);
        let in_time = |found: i64, due: i64| found == due || (under_way && found == 0);
        if in_time(found.points, due.points) && in_time(found.card, due.card) {
            return None;
        }
        Some(Difference::RefundDiffersFromLedger {
            payment_id: self.payment_id,
            refund_id: self.refund.as_ref().map(|refund| refund.refund_id),
            due,
            found,
        })
    }
}

impl ChargeFacts {
    /// What the row and the ledger say differently.
    #[must_use]
    pub fn compare(&self) -> Option<Difference> {
        let expected = if self.succeeded { self.amount } else { 0 };
        (self.moved != expected).then_some(Difference::ChargeDiffersFromLedger {
            charge_id: self.charge_id,
            expected,
            found: self.moved,
        })
    }
}

impl WalletFacts {
    /// What the row and its entries say differently.
    #[must_use]
    pub fn compare(&self) -> Option<Difference> {
        (self.kept != self.told).then_some(Difference::WalletDiffersFromEntries {
            user_id: self.user_id,
            kept: self.kept,
            told: self.told,
        })
    }
}

impl ReservationFacts {
    /// Whether a saga still works on it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.payments.iter().any(PaymentFacts::is_open)
    }

    /// What booking and our rows say differently.
    #[must_use]
    pub fn compare(&self) -> Vec<Difference> {
        if self.is_open() {
            return Vec::new();
        }
        let reservation_id = self.reservation_id;
        let named = self.booking.as_ref().and_then(|paid| paid.payment_id);
        let mut succeeded = self
            .payments
            .iter()
            .filter(|payment| payment.state == State::Succeeded);
        let (accepted, others): (Vec<_>, Vec<_>) = succeeded
            .by_ref()
            .partition(|payment| Some(payment.payment_id) == named);
        let mut differences: Vec<_> = others
            .into_iter()
            .map(|payment| Difference::PaidWithoutReservation {
                reservation_id,
                payment_id: payment.payment_id,
                paid: payment.points + payment.card,
            })
            .collect();
        let Some(paid) = &self.booking else {
            return differences;
        };
        match accepted.first() {
            Some(payment) => differences.extend(compare_accepted(paid, payment)),
            None => differences.push(Difference::ConfirmedWithoutPayment {
                reservation_id,
                payment_id: paid.payment_id,
                total: paid.total,
            }),
        }
        differences
    }
}

/// What booking says of a paid reservation beside the payment that it names.
fn compare_accepted(paid: &PaidFacts, payment: &PaymentFacts) -> Vec<Difference> {
    let (reservation_id, payment_id) = (paid.reservation_id, payment.payment_id);
    let mut differences = Vec::new();
    if payment.points + payment.card != paid.total {
        differences.push(Difference::AmountDiffers {
            reservation_id,
            payment_id,
            total: paid.total,
            paid: payment.points + payment.card,
        });
    }
    match (&paid.canceled, &payment.refund) {
        (None, None) => {}
        (None, Some(refund)) => differences.push(Difference::RefundWithoutCancellation {
            reservation_id,
            refund_id: refund.refund_id,
        }),
        (Some(canceled), refund) => match refund {
            Some(refund) if refund.refund_id == canceled.refund_id => {
                let given = refund.share.map_or(0, |share| share.points + share.card);
                if given != canceled.refund {
                    differences.push(Difference::RefundAmountDiffers {
                        reservation_id,
                        refund_id: refund.refund_id,
                        booking: canceled.refund,
                        given,
                    });
                }
                if !canceled.refunded {
                    differences.push(Difference::RefundUntold {
                        reservation_id,
                        refund_id: refund.refund_id,
                    });
                }
            }
            _ => differences.push(Difference::RefundMissing {
                reservation_id,
                refund_id: canceled.refund_id,
                payment_id,
                refund: canceled.refund,
            }),
        },
    }
    differences
}

impl OpenFacts {
    /// A saga that should have ended long ago.
    #[must_use]
    pub fn compare(&self, bound_seconds: i64) -> Option<Difference> {
        (self.age_seconds > bound_seconds).then(|| Difference::Stuck {
            what: self.what,
            id: self.id,
            state: self.state.clone(),
            age_seconds: self.age_seconds,
        })
    }
}

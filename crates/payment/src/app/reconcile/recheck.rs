//! A second look at what seems to differ, so that a running system gives no false alarm.
//!
//! The other side is asked before and after our own tables are read. What it says of one order or one reservation only ever
//! goes on: money captured, money given back; paid, canceled, refunded. So where both answers are the same it said that also
//! in between, when ours were read, and all books are seen as they stood at one moment. What a saga is working on at that
//! moment is no difference.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use vocabulary::ReservationId;

use super::{App, Findings, ReconcileError};
use crate::domain::OrderId;
use crate::domain::reconcile::{CardSums, Difference, OrderFacts, OwnOrder, PaidFacts, ReservationFacts};
use crate::provider::{Balance, NoAnswer};

/// Second looks at once.
const AT_ONCE: usize = 8;
/// Looks at one thing; one that does not stand still for so many is being worked on.
const LOOKS: usize = 3;

impl App {
    /// Looks again at every order that seems to differ, and keeps what does.
    pub(super) async fn recheck_orders(&self, findings: &mut Findings) -> Result<(), ReconcileError> {
        let orders = std::mem::take(&mut findings.orders);
        findings.second_looks += orders.len() as u64;
        let orders: Vec<_> = stream::iter(orders)
            .map(|(order_id, seen)| self.recheck_order(order_id, seen))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        findings.differences.extend(orders.into_iter().flatten());
        Ok(())
    }

    /// The same for reservations, a page of them at a time: of a large date that was canceled each may seem to differ.
    pub(super) async fn recheck_reservations(
        &self,
        reservations: BTreeSet<ReservationId>,
        findings: &mut Findings,
    ) -> Result<(), ReconcileError> {
        findings.second_looks += reservations.len() as u64;
        let reservations: Vec<_> = stream::iter(reservations)
            .map(|reservation_id| self.recheck_reservation(reservation_id))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        findings.differences.extend(reservations.into_iter().flatten());
        Ok(())
    }

    async fn recheck_order(
        &self,
        order_id: String,
        seen: CardSums,
    ) -> Result<Option<Difference>, ReconcileError> {
        let Ok(id) = OrderId::new(&order_id) else {
            // No name that we could have given, so there is nothing of ours to compare it with.
            let foreign = OrderFacts {
                order_id,
                ours: OwnOrder::default(),
                provider: seen,
            };
            return Ok(foreign.compare());
        };
        if self.store.own_order(&order_id).await?.open {
            return Ok(None);
        }
        for _ in 0..LOOKS {
            let before = self.at_provider(&id).await?;
            let ours = self.store.own_order(&order_id).await?;
            let provider = self.at_provider(&id).await?;
            if before == provider {
                let facts = OrderFacts {
                    order_id,
                    ours,
                    provider,
                };
                return Ok(facts.compare());
            }
        }
        Ok(None)
    }

    async fn at_provider(&self, order_id: &OrderId) -> Result<CardSums, NoAnswer> {
        match self.provider.balance(order_id).await {
            Balance::Captured { total, left } => Ok(CardSums {
                captured: total.get(),
                returned: total.get() - left.get(),
            }),
            Balance::NotCaptured => Ok(CardSums::default()),
            Balance::Unknown => Err(NoAnswer),
        }
    }

    async fn recheck_reservation(
        &self,
        reservation_id: ReservationId,
    ) -> Result<Vec<Difference>, ReconcileError> {
        for _ in 0..LOOKS {
            let before = self.at_booking(reservation_id).await?;
            let mut ids = self.store.live_payments(reservation_id).await?;
            let named = before.as_ref().and_then(|paid| paid.payment_id);
            ids.extend(named.map(|id| id.as_uuid()));
            let payments = self.store.payment_facts(&ids).await?;
            let booking = self.at_booking(reservation_id).await?;
            if before == booking {
                let facts = ReservationFacts {
                    reservation_id,
                    booking,
                    payments,
                };
                return Ok(facts.compare());
            }
        }
        Ok(Vec::new())
    }

    async fn at_booking(&self, reservation_id: ReservationId) -> Result<Option<PaidFacts>, ReconcileError> {
        let Some(before) = reservation_id.as_uuid().as_u128().checked_sub(1) else {
            return Ok(None);
        };
        let after = ReservationId::from_uuid(uuid::Uuid::from_u128(before));
        let next = self.booking.paid_reservations(after, 1).await?.into_iter().next();
        Ok(next.filter(|paid| paid.reservation_id == reservation_id))
    }
}

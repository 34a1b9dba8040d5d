//! Going over two books at once, page by page, both in the order of time or of ids. What agrees is forgotten at once.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;
use vocabulary::ReservationId;

use super::span::{last_id_at, made_at};
use super::{AT_LEAST_BACK, App, Findings, PAGE, ReconcileError, Span};
use crate::domain::reconcile::{
    CardSums, ChargeFacts, PaidFacts, PaymentFacts, ReservationFacts, WalletFacts,
};
use crate::provider::{NoAnswer, TransactionKind, Window};
use crate::store::StoreError;

impl App {
    /// The provider's transactions beside the ledger's card money. Each order is balanced as both go on in time, so what
    /// is kept are the orders that one side has and the other does not have yet.
    pub(super) async fn sweep_transactions(
        &self,
        span: &Span,
        findings: &mut Findings,
    ) -> Result<(), ReconcileError> {
        let window = Window {
            from: self.first_moment(span).await?,
            until: span.until,
        };
        let (mut cursor, mut after) = (None, span.after_id);
        loop {
            let page = self.provider.transactions(&window, cursor.as_deref()).await?;
            findings.compared.transactions += page.transactions.len() as u64;
            let reached = page.transactions.last().map(|last| last.at);
            for moved in page.transactions {
                let sums = findings.orders.entry(moved.order_id).or_default();
                match moved.kind {
                    TransactionKind::Capture => sums.captured += moved.amount.get(),
                    TransactionKind::Cancel => sums.returned += moved.amount.get(),
                }
            }
            let horizon = match (&page.next, reached) {
                (None, _) => span.last_id,
                // The provider's times are cut to the second.
                (Some(_), Some(at)) => last_id_at(at + time::Duration::SECOND).min(span.last_id),
                (Some(_), None) => after,
            };
            if page.next.is_some() && page.next == cursor {
                // It would be listed for ever.
                return Err(NoAnswer.into());
            }
            after = self.balance_moves(after, horizon, findings).await?;
            cursor = page.next;
            if cursor.is_none() || !findings.has_room() {
                return Ok(());
            }
        }
    }

    /// Takes the ledger's card money up to `horizon` from what the provider has more. Answers how far it came.
    async fn balance_moves(
        &self,
        mut after: Uuid,
        horizon: Uuid,
        findings: &mut Findings,
    ) -> Result<Uuid, StoreError> {
        while findings.has_room() {
            let moves = self.store.card_moves(after, horizon, PAGE).await?;
            let Some(last) = moves.last() else { break };
            after = last.transfer_id;
            for moved in moves {
                let sums = findings.orders.entry(moved.order_id).or_default();
                sums.captured -= moved.sums.captured;
                sums.returned -= moved.sums.returned;
            }
            findings.orders.retain(|_, sums| *sums != CardSums::default());
        }
        Ok(after)
    }

    async fn first_moment(&self, span: &Span) -> Result<OffsetDateTime, StoreError> {
        if let Some(since) = span.since {
            return Ok(since);
        }
        let first = self.store.first_id().await?.and_then(made_at);
        let back = span.until - AT_LEAST_BACK;
        Ok(first.map_or(back, |first| first.min(back)))
    }

    /// Payments made in the span, and those that a refund made in it undoes, beside what the ledger moved for them.
    pub(super) async fn sweep_payments(
        &self,
        span: &Span,
        findings: &mut Findings,
    ) -> Result<(), ReconcileError> {
        let mut after = span.after_id;
        while findings.has_room() {
            let ids = self.store.payment_ids(after, span.last_id, PAGE).await?;
            let Some(last) = ids.last() else { break };
            after = *last;
            findings.compared.payments += ids.len() as u64;
            self.compare_payments(&ids, findings).await?;
        }
        // Without a beginning, all payments have been compared.
        let mut after = span.after_id;
        while span.since.is_some() && findings.has_room() {
            let refunds = self.store.refunded_payments(after, span.last_id, PAGE).await?;
            let Some((last, _)) = refunds.last() else { break };
            after = *last;
            let older = refunds
                .into_iter()
                .map(|(_, payment_id)| payment_id)
                .filter(|payment_id| *payment_id <= span.after_id);
            let ids: Vec<_> = older.collect();
            findings.compared.payments += ids.len() as u64;
            let facts = self.compare_payments(&ids, findings).await?;
            // Reservations are swept by their own ids, which does not reach these.
            let reservations = facts.iter().map(|payment| payment.reservation_id).collect();
            self.recheck_reservations(reservations, findings).await?;
        }
        Ok(())
    }

    async fn compare_payments(
        &self,
        ids: &[Uuid],
        findings: &mut Findings,
    ) -> Result<Vec<PaymentFacts>, StoreError> {
        let facts = self.store.payment_facts(ids).await?;
        findings
            .differences
            .extend(facts.iter().flat_map(PaymentFacts::compare));
        Ok(facts)
    }

    /// Charges beside what the ledger moved for them.
    pub(super) async fn sweep_charges(
        &self,
        span: &Span,
        findings: &mut Findings,
    ) -> Result<(), ReconcileError> {
        let mut after = span.after_id;
        while findings.has_room() {
            let charges = self.store.charge_facts(after, span.last_id, PAGE).await?;
            let Some(last) = charges.last() else { break };
            after = last.charge_id.as_uuid();
            findings.compared.charges += charges.len() as u64;
            let differences = charges.iter().filter_map(ChargeFacts::compare);
            findings.differences.extend(differences);
        }
        Ok(())
    }

    /// Wallets beside the sums of their entries: all of them, or those in which something moved in the span.
    pub(super) async fn sweep_wallets(
        &self,
        span: &Span,
        findings: &mut Findings,
    ) -> Result<(), ReconcileError> {
        if span.since.is_none() {
            let orphans = self.store.entries_without_wallet(PAGE).await?;
            self.compare_wallets(&orphans, findings).await?;
        }
        let mut after = span.after_id;
        while findings.has_room() {
            let (last, users) = match span.since {
                None => {
                    let users = self.store.wallet_owners(after, PAGE).await?;
                    (users.last().copied(), users)
                }
                Some(_) => {
                    let moved = self.store.moving_users(after, span.last_id, PAGE).await?;
                    let users: BTreeSet<_> = moved.iter().map(|(_, user)| *user).collect();
                    (moved.last().map(|(id, _)| *id), users.into_iter().collect())
                }
            };
            let Some(last) = last else { break };
            after = last;
            self.compare_wallets(&users, findings).await?;
        }
        Ok(())
    }

    async fn compare_wallets(&self, users: &[Uuid], findings: &mut Findings) -> Result<(), StoreError> {
        let wallets = self.store.wallet_facts(users).await?;
        findings.compared.wallets += wallets.len() as u64;
        findings
            .differences
            .extend(wallets.iter().filter_map(WalletFacts::compare));
        Ok(())
    }

    /// Booking's paid reservations beside our payments that succeeded, both in the order of the reservations' ids.
    pub(super) async fn sweep_reservations(
        &self,
        span: &Span,
        findings: &mut Findings,
    ) -> Result<(), ReconcileError> {
        let mut after = span.after_id;
        while findings.has_room() {
            let paid = self
                .booking
                .paid_reservations(ReservationId::from_uuid(after), PAGE)
                .await?;
            let ours = self.store.successes(after, span.last_id, PAGE).await?;
            // A full page ends before its book does, and so does what can be compared.
            let end_of = |full: bool, last: Option<ReservationId>| last.filter(|_| full);
            let is_full = |count: usize| i64::try_from(count).is_ok_and(|count| count >= PAGE);
            let ends = [
                end_of(is_full(paid.len()), paid.last().map(|paid| paid.reservation_id)),
                end_of(
                    is_full(ours.len()),
                    ours.last().map(|success| success.reservation_id),
                ),
            ];
            let end = ends.into_iter().flatten().min().map(|id| id.as_uuid());
            let horizon = end.map_or(span.last_id, |end| end.min(span.last_id));
            let within = |id: ReservationId| id.as_uuid() <= horizon;

            let paid: Vec<_> = paid
                .into_iter()
                .filter(|paid| within(paid.reservation_id))
                .collect();
            let named = paid.iter().filter_map(|paid| paid.payment_id);
            let ours = ours.iter().filter(|success| within(success.reservation_id));
            let mut ids: Vec<_> = named
                .chain(ours.map(|success| success.payment_id))
                .map(|id| id.as_uuid())
                .collect();
            ids.sort_unstable();
            ids.dedup();
            let payments = self.store.payment_facts(&ids).await?;
            findings.compared.reservations += paid.len() as u64;
            let reservations = by_reservation(paid, payments);
            let suspects = reservations.iter().filter(|facts| !facts.compare().is_empty());
            let suspects = suspects.map(|facts| facts.reservation_id).collect();
            self.recheck_reservations(suspects, findings).await?;
            if horizon >= span.last_id {
                break;
            }
            after = horizon;
        }
        Ok(())
    }
}

/// What both sides say of each reservation; both parts may lack some.
fn by_reservation(paid: Vec<PaidFacts>, payments: Vec<PaymentFacts>) -> Vec<ReservationFacts> {
    let mut all = std::collections::BTreeMap::new();
    let none = |reservation_id| ReservationFacts {
        reservation_id,
        booking: None,
        payments: Vec::new(),
    };
    for paid in paid {
        let id = paid.reservation_id;
        all.entry(id).or_insert_with(|| none(id)).booking = Some(paid);
    }
    for payment in payments {
        let id = payment.reservation_id;
        all.entry(id).or_insert_with(|| none(id)).payments.push(payment);
    }
    all.into_values().collect()
}

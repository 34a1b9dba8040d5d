//! Recording what a payment has become.

use std::collections::HashSet;
use std::time::Duration;

use service_kit::database::Batcher;
use sqlx::PgPool;
use uuid::Uuid;
use vocabulary::ProblemCode;

use crate::domain::{self, OrderId, Payment, State};
use crate::store::{Store, StoreError, superseded_unless};

/// A step of one payment, as it is to be recorded.
#[derive(Debug, Clone)]
pub(in crate::store) struct Transition {
    from: (State, i64),
    next: Payment,
    fence: Option<i64>,
    lease: Duration,
}

impl Store {
    /// Makes `from` what `next` is, and moves the money that moves with it: all of it or, when the payment is no longer
    /// `from`, nothing.
    ///
    /// # Errors
    /// The payment moved on; the wallet is short; the database.
    pub async fn transition(
        &self,
        from: &Payment,
        next: &Payment,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let fence = next.fence.map(i64::try_from).transpose();
        let transition = Transition {
            from: (from.state, from.version),
            next: next.clone(),
            fence: fence.map_err(|_| StoreError::Unreadable {
                row: next.payment_id.as_uuid(),
                column: "fence",
            })?,
            lease,
        };
        superseded_unless(self.transitions.call(transition).await?)
    }
}

/// Records transitions that meet; each answer says whether the payment still was what the transition is from.
pub(in crate::store) fn transitions(pool: PgPool) -> Batcher<Transition, bool> {
    let key = |step: &Transition| step.next.payment_id.as_uuid();
    Batcher::new("payment_transitions", key, move |batch| {
        let pool = pool.clone();
        async move { record(&pool, &batch).await }
    })
}

async fn record(pool: &PgPool, batch: &[Transition]) -> Result<Vec<bool>, sqlx::Error> {
    fn column<'a, T>(batch: &'a [Transition], value: impl Fn(&'a Transition) -> T) -> Vec<T> {
        batch.iter().map(value).collect()
    }
    let mut moved = Moved::default();
    for (item, transition) in (1..).zip(batch) {
        moved.add(item, transition);
    }
    // Money moves with the one transition that was made, and not with another of the same payment: the position says
    // which. Wallets are locked in the order of their users, so that no two batches wait for each other.
    let made = sqlx::query_scalar!(
        r#"WITH changed AS (
               UPDATE payments AS p
               SET state = wanted.state, version = wanted.version, fence = wanted.fence, attempt = wanted.attempt,
                   tries = 0, failure_code = wanted.failure_code, next_order_id = wanted.next_order_id,
                   asked_at = CASE WHEN wanted.state = 'CONFIRMING' THEN (SELECT frontrow_now()) ELSE asked_at END,
                   captured_at = CASE WHEN wanted.state = 'CAPTURED' THEN (SELECT frontrow_now()) ELSE captured_at END,
                   ended_at = CASE WHEN wanted.ends THEN (SELECT frontrow_now()) END,
                   payment_key = CASE WHEN NOT wanted.ends THEN payment_key END,
                   resume_at = CASE WHEN NOT wanted.ends
                                    THEN (SELECT frontrow_now()) + make_interval(secs => wanted.lease) END
               FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[],
                           $8::text[], $9::text[], $10::boolean[], $11::double precision[])
                    WITH ORDINALITY
                    AS wanted (payment_id, from_state, from_version, state, version, fence, attempt, failure_code,
                               next_order_id, ends, lease, item)
               WHERE p.payment_id = wanted.payment_id AND p.state = wanted.from_state
                     AND p.version = wanted.from_version
               RETURNING wanted.item, p.payment_id, p.user_id
           ), posted AS (
               INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id, created_at)
               SELECT moved.id, moved.operation, moved.kind, moved.debit, moved.credit, changed.user_id,
                      moved.amount, changed.payment_id, (SELECT frontrow_now())
               FROM changed JOIN unnest($12::bigint[], $13::uuid[], $14::text[], $15::text[], $16::text[], $17::text[],
                                        $18::bigint[])
                                 AS moved (item, id, operation, kind, debit, credit, amount) USING (item)
               ORDER BY changed.user_id, moved.id
           )
           SELECT item AS "item!" FROM changed"#,
        &column(batch, |step| step.next.payment_id.as_uuid()),
        &column(batch, |step| step.from.0.as_str()) as &[&str],
        &column(batch, |step| step.from.1),
        &column(batch, |step| step.next.state.as_str()) as &[&str],
        &column(batch, |step| step.next.version),
        &column(batch, |step| step.fence) as &[Option<i64>],
        &column(batch, |step| step.next.attempt),
        &column(batch, |step| step.next.failure.map(ProblemCode::as_str)) as &[Option<&str>],
        &column(batch, |step| step.next.next_order_id.as_ref().map(OrderId::as_str)) as &[Option<&str>],
        &column(batch, |step| step.next.state.has_ended()),
        &column(batch, |step| step.lease.as_secs_f64()),
        &moved.items,
        &moved.ids,
        &moved.operations,
        &moved.kinds as &[&str],
        &moved.debits as &[&str],
        &moved.credits as &[&str],
        &moved.amounts,
    )
    .fetch_all(pool)
    .await?;
    let made: HashSet<i64> = made.into_iter().collect();
    Ok((1..).zip(batch).map(|(item, _)| made.contains(&item)).collect())
}

/// The transfers of a batch, column by column.
#[derive(Default)]
struct Moved {
    items: Vec<i64>,
    ids: Vec<Uuid>,
    operations: Vec<String>,
    kinds: Vec<&'static str>,
    debits: Vec<&'static str>,
    credits: Vec<&'static str>,
    amounts: Vec<i64>,
}

impl Moved {
    fn add(&mut self, item: i64, transition: &Transition) {
        let (from, _) = transition.from;
        for movement in domain::movements(from, &transition.next) {
            self.items.push(item);
            self.ids.push(Uuid::now_v7());
            self.operations
                .push(movement.operation("payment", transition.next.payment_id));
            self.kinds.push(movement.kind.as_str());
            self.debits.push(movement.kind.debit());
            self.credits.push(movement.kind.credit());
            self.amounts.push(movement.amount.get());
        }
    }
}

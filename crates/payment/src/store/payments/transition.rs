//! Recording what a payment has become.

use std::time::Duration;

use service_kit::database::{Batcher, by_position};
use sqlx::PgPool;
use uuid::Uuid;
use vocabulary::ProblemCode;

use crate::domain::{self, OrderId, Payment, State};
use crate::store::{Store, StoreError};

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
        match self.transitions.call(transition).await? {
            Made::Moved => Ok(()),
            Made::Superseded => Err(StoreError::Superseded),
            Made::Short => Err(StoreError::InsufficientPoints),
        }
    }
}

/// What came of one transition of a batch.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Made {
    /// The payment is what it was to become.
    Moved,
    /// The payment was not what the transition is from.
    Superseded,
    /// The wallet holds fewer points.
    Short,
}

/// Records transitions that meet.
pub(in crate::store) fn transitions(pool: PgPool) -> Batcher<Transition, Made> {
    let key = |step: &Transition| step.next.payment_id;
    Batcher::new("payment_transitions", key, move |batch| {
        let pool = pool.clone();
        async move { record(&pool, &batch).await }
    })
}

async fn record(pool: &PgPool, batch: &[Transition]) -> Result<Vec<Made>, sqlx::Error> {
    fn column<'a, T>(batch: &'a [Transition], value: impl Fn(&'a Transition) -> T) -> Vec<T> {
        batch.iter().map(value).collect()
    }
    let mut moved = Moved::default();
    for (item, transition) in (1..).zip(batch) {
        moved.add(item, transition);
    }
    // A lease that has most of its time left stays as it is: then no indexed column changes until the end, and the row's
    // indexes need no entry for its new version.
    //
    // Money moves with the one transition that was made, and not with another of the same payment: the position says
    // which. Wallets are locked in the order of their users, so that no two batches wait for each other. Who is seen to be
    // short is left out; where two take from one wallet at once, its constraint refuses them all, and each is tried alone.
    let rows = sqlx::query!(
        r#"WITH moved AS MATERIALIZED (
               SELECT * FROM unnest($12::bigint[], $13::uuid[], $14::text[], $15::text[], $16::text[], $17::text[],
                                    $18::bigint[], $19::uuid[])
                             AS moved (item, id, operation, kind, debit, credit, amount, user_id)
           ), short AS MATERIALIZED (
               SELECT item FROM moved
               WHERE debit = 'WALLET'
                     AND amount > coalesce((SELECT balance FROM wallets AS w WHERE w.user_id = moved.user_id), 0)
           ), wanted AS MATERIALIZED (
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[],
                                    $7::integer[], $8::text[], $9::text[], $10::boolean[], $11::double precision[])
                             WITH ORDINALITY
                             AS wanted (payment_id, from_state, from_version, state, version, fence, attempt,
                                        failure_code, next_order_id, ends, lease, item)
           ), changed AS (
               UPDATE payments AS p
               SET state = wanted.state, version = wanted.version, fence = wanted.fence, attempt = wanted.attempt,
                   tries = 0, failure_code = wanted.failure_code, next_order_id = wanted.next_order_id,
                   asked_at = CASE WHEN wanted.state = 'CONFIRMING' THEN (SELECT frontrow_now()) ELSE asked_at END,
                   captured_at = CASE WHEN wanted.state = 'CAPTURED' THEN (SELECT frontrow_now()) ELSE captured_at END,
                   ended_at = CASE WHEN wanted.ends THEN (SELECT frontrow_now()) END,
                   payment_key = CASE WHEN NOT wanted.ends THEN payment_key END,
                   resume_at = CASE
                       WHEN wanted.ends THEN NULL
                       WHEN p.resume_at BETWEEN (SELECT frontrow_now()) + make_interval(secs => wanted.lease * 0.75)
                                            AND (SELECT frontrow_now()) + make_interval(secs => wanted.lease)
                           THEN p.resume_at
                       ELSE (SELECT frontrow_now()) + make_interval(secs => wanted.lease)
                   END
               FROM wanted
               WHERE p.payment_id = wanted.payment_id AND p.state = wanted.from_state
                     AND p.version = wanted.from_version AND wanted.item NOT IN (SELECT item FROM short)
               RETURNING wanted.item, p.payment_id, p.user_id
           ), posted AS (
               INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id, created_at)
               SELECT moved.id, moved.operation, moved.kind, moved.debit, moved.credit, changed.user_id,
                      moved.amount, changed.payment_id, (SELECT frontrow_now())
               FROM changed JOIN moved USING (item)
               ORDER BY changed.user_id, moved.id
           )
           SELECT item AS "item!", false AS "short!" FROM changed
           UNION ALL
           SELECT item, true FROM short JOIN wanted USING (item) JOIN payments AS p USING (payment_id)
           WHERE p.state = wanted.from_state AND p.version = wanted.from_version"#,
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
        &moved.users,
    )
    .fetch_all(pool)
    .await?;
    let made = rows
        .into_iter()
        .map(|row| (row.item, if row.short { Made::Short } else { Made::Moved }));
    let made = by_position(batch.len(), made).into_iter();
    Ok(made.map(|made| made.unwrap_or(Made::Superseded)).collect())
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
    users: Vec<Uuid>,
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
            self.users.push(transition.next.user_id.as_uuid());
        }
    }
}

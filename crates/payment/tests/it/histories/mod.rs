//! Promises 7 to 10: whatever happens in whatever order, books agree in the end, and with a plain model of the money.
//!
//! A history is what happens to a buyer or two: purchases, charges, cancellations, canceled dates, holds that lapse, repeated
//! and concurrent requests, webhooks true and forged; and to the calls that follow: lost, late, doubled, made by processes
//! that die. All of it is drawn from one seed ([`plan`]). Many happen at once in one database, between steps of its clock,
//! while two other processes look for what is due ([`shop`]). What must be true after each is in [`model`].
//!
//! `FRONTROW_HISTORIES=10000` sets how many, `FRONTROW_HISTORY_SEED=...` lets one happen again by itself, and with the other
//! so many from it on. A seed says what happens, not how long Postgres takes: a race that was lost by a hair may need some
//! tries, or the company that it had.

mod asking;
mod history;
mod model;
mod plan;
mod provider;
mod shop;

use std::collections::BTreeMap;

use payment::domain::{ChargeState, RefundState, State};
use rand::Rng as _;

use self::history::Kind;
use self::plan::Plan;
use self::shop::Shop;

/// How many happen when nobody says: as many as a check of every change has time for.
const HISTORIES: usize = 2_000;
/// How many share a database.
const BATCH: usize = 250;
/// How many of a control do.
const CONTROL_BATCH: usize = 300;
/// How many times so many a control may take.
const CONTROL_BATCHES: usize = 10;

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn seeds(from: u64, count: usize) -> Vec<u64> {
    (from..).take(count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_10_random_histories_end_with_equal_books() {
    let count = number("FRONTROW_HISTORIES");
    let seeds = match number("FRONTROW_HISTORY_SEED") {
        Some(first) => seeds(first, count.unwrap_or(1)),
        None => seeds(rand::rng().random_range(0..1 << 48), count.unwrap_or(HISTORIES)),
    };
    let mut states: BTreeMap<_, i64> = BTreeMap::new();
    for batch in seeds.chunks(BATCH) {
        let outcome = Shop::open("").await.run(batch).await;
        let wrong = outcome.wrong.join("\n");
        assert!(
            wrong.is_empty(),
            "of {} seeds from {}:\n{wrong}",
            batch.len(),
            batch[0]
        );
        for (state, count) in outcome.states {
            *states.entry(state).or_default() += count;
        }
    }
    println!("{} histories: {states:?}", seeds.len());
    // Histories that never go some way would prove nothing about it.
    if seeds.len() >= HISTORIES {
        let payments = State::ALL.iter().filter(|state| state.has_ended());
        let charges = ChargeState::ALL.iter().filter(|state| state.has_ended());
        let refunds = RefundState::ALL.iter().filter(|state| state.has_ended());
        let all = payments.map(|state| (Kind::Payment, state.to_string()));
        let all = all.chain(charges.map(|state| (Kind::Charge, state.to_string())));
        let mut all = all.chain(refunds.map(|state| (Kind::Refund, state.to_string())));
        assert_eq!(
            all.find(|ended| !states.contains_key(ended)),
            None,
            "is never reached"
        );
    }
}

/// What always the same histories come to after this was done to their database: batch after batch until one goes wrong, as
/// what races lose depends on the machine. A guard that is not missed in [`CONTROL_BATCHES`] guards nothing.
async fn without(guard: &'static str) -> Vec<String> {
    let telling = |seed: &u64| Plan::of(*seed).sleeps_over_cancellations();
    let seeds: Vec<_> = (1..)
        .filter(telling)
        .take(CONTROL_BATCHES * CONTROL_BATCH)
        .collect();
    for batch in seeds.chunks(CONTROL_BATCH) {
        let wrong = Shop::open(guard).await.run(batch).await.wrong;
        if !wrong.is_empty() {
            return wrong;
        }
    }
    Vec::new()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_check_of_state_and_version_histories_go_wrong() {
    // Both columns become equal to whatever a statement demands of them; the constraints keep reading them as they are.
    let wrong = without(
        "CREATE DOMAIN any_state AS text;
         CREATE DOMAIN any_version AS bigint;
         ALTER TABLE payments ALTER state TYPE any_state, ALTER version TYPE any_version;
         ALTER TABLE charges ALTER state TYPE any_state, ALTER version TYPE any_version;
         ALTER TABLE refunds ALTER state TYPE any_state, ALTER version TYPE any_version;
         CREATE FUNCTION is_any(any_state, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE FUNCTION is_any(any_version, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE OPERATOR = (FUNCTION = is_any, LEFTARG = any_state, RIGHTARG = text);
         CREATE OPERATOR = (FUNCTION = is_any, LEFTARG = any_version, RIGHTARG = bigint)",
    )
    .await;
    assert!(!wrong.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_record_of_idempotency_keys_histories_go_wrong() {
    let wrong = without(
        "CREATE FUNCTION forget_key() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             NEW.idempotency_key := NULL;
             NEW.request_hash := NULL;
             RETURN NEW;
         END $$;
         CREATE TRIGGER forget_key BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION forget_key();
         CREATE TRIGGER forget_key BEFORE INSERT ON charges FOR EACH ROW EXECUTE FUNCTION forget_key();
         CREATE TRIGGER forget_key BEFORE INSERT ON refunds FOR EACH ROW EXECUTE FUNCTION forget_key()",
    )
    .await;
    assert!(!wrong.is_empty());
}

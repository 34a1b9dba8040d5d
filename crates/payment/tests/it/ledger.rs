//! What must be true of the money whenever nothing is open: the promises 7, 8 and 10.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::reconciling::assert_reconciled;
use crate::world::{Hold, World};

/// Fails unless the ledger, the wallets, the payments and the provider's books tell the same story.
pub(crate) async fn assert_balanced(world: &World) {
    let pool = world.database.pool();
    assert_eq!(world.open_sagas().await, 0, "everything has ended");
    assert_reconciled(world).await;

    let wrong_wallets: Vec<uuid::Uuid> = sqlx::query_scalar(
        "SELECT w.user_id FROM wallets w, LATERAL (
             SELECT coalesce(sum(CASE 'WALLET' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END), 0) AS balance,
                    coalesce(sum(CASE 'HELD' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END), 0) AS pending
             FROM transfers t WHERE t.user_id = w.user_id) AS told
         WHERE (w.balance, w.pending) IS DISTINCT FROM (told.balance, told.pending)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(
        wrong_wallets.is_empty(),
        "a wallet is the sum of its entries: {wrong_wallets:?}"
    );

    let accounts: Vec<(String, i64)> = sqlx::query_as(
        "SELECT account, sum(amount)::bigint FROM (
             SELECT credit AS account, amount FROM transfers UNION ALL SELECT debit, -amount FROM transfers
         ) AS sides GROUP BY account",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let accounts: BTreeMap<_, _> = accounts.into_iter().collect();
    assert_eq!(
        accounts.values().sum::<i64>(),
        0,
        "debits are credits: {accounts:?}"
    );
    assert_eq!(
        accounts.get("HELD").copied().unwrap_or(0),
        0,
        "nothing is left set aside"
    );

    // Success means that points and card make up the total, but for what went back; anything else that nothing is kept.
    let wrong_payments: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "SELECT payment_id, state FROM payments p
         WHERE (SELECT coalesce(sum(CASE 'HOUSE' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END), 0)
                FROM transfers t WHERE t.payment_id = p.payment_id)
               <> CASE state WHEN 'SUCCEEDED' THEN points + card_amount ELSE 0 END
                  - (SELECT coalesce(sum(r.points + r.card_amount), 0) FROM refunds r
                     WHERE r.payment_id = p.payment_id AND r.state = 'COMPLETED')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(
        wrong_payments.is_empty(),
        "points and card make up the total, or nothing: {wrong_payments:?}"
    );

    let wrong_charges: Vec<(uuid::Uuid, String)> = sqlx::query_as(
        "SELECT charge_id, state FROM charges c
         WHERE (SELECT coalesce(sum(amount), 0) FROM transfers t WHERE t.charge_id = c.charge_id)
               <> CASE state WHEN 'SUCCEEDED' THEN amount ELSE 0 END",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(
        wrong_charges.is_empty(),
        "a charge brings its points, or nothing: {wrong_charges:?}"
    );

    let card_entries: Vec<(String, i64)> = sqlx::query_as(
        "SELECT orders.order_id,
                coalesce(sum(CASE 'PROVIDER' WHEN debit THEN t.amount WHEN credit THEN -t.amount ELSE 0 END), 0)::bigint
         FROM (SELECT order_id, payment_id, NULL::uuid AS charge_id FROM payments WHERE order_id IS NOT NULL
               UNION ALL SELECT order_id, NULL, charge_id FROM charges) AS orders
         LEFT JOIN transfers t ON t.payment_id = orders.payment_id OR t.charge_id = orders.charge_id
         GROUP BY orders.order_id",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut card_entries: BTreeMap<_, _> = card_entries.into_iter().collect();
    let books = world.provider_books().await;
    for payment in books["payments"].as_array().unwrap() {
        if payment["approvedAt"] != Value::Null {
            let order_id = payment["orderId"].as_str().unwrap();
            let entries = card_entries.get_mut(order_id);
            let entries = entries.unwrap_or_else(|| panic!("{order_id} was captured for nothing of ours"));
            *entries -= payment["balanceAmount"].as_i64().unwrap();
        }
    }
    card_entries.retain(|_, difference| *difference != 0);
    assert!(
        card_entries.is_empty(),
        "captures - refunds = card entries of each order: {card_entries:?}"
    );
}

#[tokio::test]
async fn the_ledger_cannot_be_rewritten() {
    let world = World::start().await;
    world.hold().await;
    for attempt in [
        "UPDATE transfers SET amount = 1",
        "DELETE FROM transfers",
        "TRUNCATE transfers",
    ] {
        let refusal = sqlx::query(attempt)
            .execute(world.database.pool())
            .await
            .unwrap_err();
        assert!(refusal.to_string().contains("immutable"), "{attempt}: {refusal}");
    }
}

#[tokio::test]
async fn impossible_rows_are_refused_by_name() {
    let world = World::start().await;
    let hold = world.hold().await;
    world.pay(&hold, 10_000, None).await.unwrap();
    for (attempt, constraint) in [
        ("UPDATE wallets SET balance = -1", "wallets_balance_is_not_negative"),
        ("UPDATE wallets SET pending = -1", "wallets_pending_is_not_negative"),
        (
            "UPDATE payments SET state = 'PAID', ended_at = NULL, resume_at = frontrow_now()",
            "payments_state_is_known",
        ),
        ("UPDATE payments SET points = -1", "payments_amounts_are_not_negative"),
        ("UPDATE payments SET currency = 'USD'", "payments_points_pay_won"),
        ("UPDATE payments SET order_id = 'order-1'", "payments_cards_have_an_order"),
        (
            "UPDATE payments SET state = 'UNKNOWN', ended_at = NULL, resume_at = frontrow_now()",
            "payments_without_card_ask_nobody",
        ),
        ("UPDATE payments SET payment_key = 'key'", "payments_forget_the_key"),
        ("UPDATE payments SET fence = NULL", "payments_carry_the_fence"),
        ("UPDATE payments SET captured_at = frontrow_now()", "payments_captured_say_when"),
        ("UPDATE payments SET failure_code = 'payment-failed'", "payments_failures_have_a_reason"),
        ("UPDATE payments SET resume_at = frontrow_now()", "payments_end_for_good"),
        ("UPDATE payments SET idempotency_key = 'key'", "payments_keys_have_a_request"),
        (
            "INSERT INTO payments SELECT (json_populate_record(p, '{\"payment_id\":
             \"01900000-0000-7000-8000-000000000001\"}')).* FROM payments p",
            "payments_one_success_per_reservation",
        ),
        (
            "INSERT INTO transfers SELECT '01900000-0000-7000-8000-000000000001', operation, kind, debit, credit, user_id,
             amount, payment_id FROM transfers LIMIT 1",
            "transfers_operation_happens_once",
        ),
        (
            "INSERT INTO transfers SELECT '01900000-0000-7000-8000-000000000001', 'x', kind, credit, debit, user_id,
             amount, payment_id FROM transfers LIMIT 1",
            "transfers_kind_has_two_accounts",
        ),
        (
            "INSERT INTO transfers SELECT '01900000-0000-7000-8000-000000000001', 'x', kind, debit, credit, user_id,
             -amount, payment_id FROM transfers LIMIT 1",
            "transfers_amount_is_positive",
        ),
    ] {
        let refusal = sqlx::query(attempt).execute(world.database.pool()).await.unwrap_err();
        let named = refusal.as_database_error().and_then(|error| error.constraint());
        assert_eq!(named, Some(constraint), "{attempt}: {refusal}");
    }
}

#[tokio::test]
async fn promise_7_many_payments_of_one_wallet_never_overdraw_it() {
    let world = World::start().await;
    let rich = world.hold_with(10_000, 45_000).await;
    assert_eq!(pay_twenty_times(&world, &rich).await, 4);
    assert_eq!(world.wallet(&rich).await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn control_without_its_constraint_the_same_wallet_is_overdrawn() {
    let world = World::start().await;
    sqlx::query("ALTER TABLE wallets DROP CONSTRAINT wallets_balance_is_not_negative")
        .execute(world.database.pool())
        .await
        .unwrap();
    let rich = world.hold_with(10_000, 45_000).await;
    assert_eq!(pay_twenty_times(&world, &rich).await, 20);
    assert_eq!(world.wallet(&rich).await, (-155_000, 0));
}

/// Pays 10,000 points twenty times at once. Answers how many payments succeeded.
async fn pay_twenty_times(world: &World, buyer: &Hold) -> i64 {
    let holds: Vec<Hold> = (0..20)
        .map(|_| world.booking.hold_of(buyer.user_id, 10_000, "KRW"))
        .collect();
    futures::future::join_all(holds.iter().map(|hold| world.pay(hold, 10_000, None))).await;
    world.settle(&world.replica()).await;
    sqlx::query_scalar("SELECT count(*) FROM payments WHERE state = 'SUCCEEDED'")
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

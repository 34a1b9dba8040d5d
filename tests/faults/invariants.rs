//! The check of the invariants itself: it sees each kind of broken state.

use end_to_end::invariants::{self, Books};
use end_to_end::{Sale, World};
use sqlx::Executor as _;
use test_support::unique_name;

use crate::large;

#[tokio::test]
async fn control_a_broken_state_breaks_the_invariants() {
    let world = World::with_env(&[]).await;
    let sale = Sale::open(&world, large(10)).await;
    let mut buyers = [world.buyer().await, world.buyer().await, world.buyer().await];
    let mut last = None;
    for buyer in &mut buyers {
        let held = buyer.enter_and_hold(&sale, 1).await;
        buyer
            .pay(&held, 0, Some(&unique_name("test_ok")))
            .await
            .expect(201);
        last = Some(held);
    }
    let canceled = buyers[2].cancel(&last.unwrap()).await;
    assert!(canceled.is_success(), "{}", canceled.body);
    buyers[2].charge(1_000, &unique_name("test_ok")).await.expect(201);
    invariants::hold(&world).await;

    // Each wrong is done past the guards that refuse it, seen, and undone.
    let wrongs = [
        (
            "booking",
            "promise 1: a seat",
            "DROP INDEX reservation_seats_one_live_owner;
             UPDATE reservation_seats SET (seat_id, seat_index) = (SELECT seat_id, seat_index FROM reservation_seats
                 ORDER BY reservation_id LIMIT 1)",
        ),
        (
            "booking",
            "a seat stands as",
            "UPDATE reservation_seats SET state = 'RELEASED'",
        ),
        (
            "booking",
            "promise 6: a reservation",
            "UPDATE reservations SET total = total + 1",
        ),
        (
            "booking",
            "promise 6: a user's",
            "UPDATE user_schedule_seats SET held = held + 1",
        ),
        (
            "booking",
            "promise 8: confirmed is paid",
            "UPDATE reservations SET state = 'EXPIRED', payment_id = NULL WHERE state = 'CONFIRMED'",
        ),
        (
            "booking",
            "promise 8: canceled is refunded",
            "UPDATE reservations SET refund_id = gen_random_uuid() WHERE refund_id IS NOT NULL",
        ),
        (
            "queue",
            "promise 11",
            "UPDATE visits SET state = 'PAGE', ended_at = NULL; UPDATE rooms SET capacity = 1",
        ),
        (
            "payment",
            "promise 7: a wallet",
            "INSERT INTO wallets (user_id, balance) VALUES (gen_random_uuid(), 1)",
        ),
        (
            "payment",
            "promise 7: nothing is set aside",
            "UPDATE wallets SET pending = 1; INSERT INTO wallets (user_id, pending) VALUES (gen_random_uuid(), 1)",
        ),
        (
            "payment",
            "promise 8: what was paid",
            "UPDATE payments SET card_amount = card_amount + 1",
        ),
        (
            "payment",
            "promise 8: what was paid",
            "UPDATE refunds SET card_amount = card_amount - 1",
        ),
        (
            "payment",
            "promise 8: canceled is refunded",
            "UPDATE refunds SET card_amount = card_amount - 1",
        ),
        (
            "payment",
            "promise 8: a charge",
            "UPDATE charges SET amount = amount + 1",
        ),
        (
            "payment",
            "promise 10",
            "INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id)
             SELECT gen_random_uuid(), 'again ' || payment_id, 'REFUND', 'HOUSE', 'PROVIDER', user_id, 1, payment_id
             FROM payments",
        ),
    ];
    for (service, rule, wrong) in wrongs {
        let mut books = Books::open(&world).await;
        let database = books.database(service);
        database.execute("BEGIN").await.unwrap();
        database.execute(wrong).await.unwrap();
        let broken = books.broken().await;
        books.database(service).execute("ROLLBACK").await.unwrap();
        assert!(
            broken.iter().any(|one| one.starts_with(rule)),
            "{rule} is not seen to be broken: {broken:?}"
        );
    }
    invariants::hold(&world).await;
}

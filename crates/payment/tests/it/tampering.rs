//! What somebody does behind our back, to one book at a time: each is found, and named.

use std::collections::BTreeSet;

use contracts::booking::ReservationStatus;
use serde_json::json;
use vocabulary::{PaymentId, UserId};

use crate::charging::{asked, charge};
use crate::reconciling::{assert_reconciled, at_console, found, paid, payment_of, reconcile, tamper};
use crate::refunding::cancel;
use crate::world::{World, card};

#[tokio::test]
async fn a_deleted_ledger_row_is_found() {
    let world = World::start().await;
    paid(&world).await;
    tamper(&world, "DELETE FROM transfers WHERE kind = 'CAPTURE'").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["captured-not-in-ledger", "payment-differs-from-ledger"])
    );
    tamper(&world, "DELETE FROM transfers WHERE kind = 'POST'").await;
    assert!(found(&world).await.contains("wallet-differs-from-entries"));
}

#[tokio::test]
async fn a_made_up_refund_in_the_ledger_is_found() {
    let world = World::start().await;
    paid(&world).await;
    tamper(
        &world,
        "INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id)
         SELECT gen_random_uuid(), 'made up', 'REFUND', 'HOUSE', 'PROVIDER', user_id, 1, payment_id FROM payments",
    )
    .await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["refund-missing-at-provider", "refund-differs-from-ledger"])
    );
}

#[tokio::test]
async fn a_changed_ledger_row_is_found() {
    let world = World::start().await;
    paid(&world).await;
    tamper(
        &world,
        "UPDATE transfers SET amount = 5999 WHERE kind = 'CAPTURE'",
    )
    .await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["captured-amount-differs", "payment-differs-from-ledger"])
    );
}

#[tokio::test]
async fn a_capture_behind_our_back_is_found() {
    let world = World::start().await;
    let declined = world.hold().await;
    let order_id = world.booking.order_id(&declined);
    world
        .pay(&declined, 4_000, Some(&card("declined")))
        .await
        .unwrap_err();
    world.settle(&world.replica()).await;
    let body = json!({"paymentKey": card("ok"), "orderId": order_id, "amount": 6_000});
    at_console(&world, "confirm", body).await;
    assert_eq!(found(&world).await, BTreeSet::from(["captured-not-in-ledger"]));

    let body = json!({"paymentKey": card("ok"), "orderId": "nobody-knows-it", "amount": 6_000});
    at_console(&world, "confirm", body).await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["captured-not-in-ledger", "unknown-order-at-provider"])
    );
}

#[tokio::test]
async fn a_cancellation_behind_our_back_is_found() {
    let world = World::start().await;
    let (_, key) = paid(&world).await;
    let body = json!({"cancelReason": "at the console", "cancelAmount": 1_000});
    at_console(&world, &format!("{key}/cancel"), body).await;
    let report = reconcile(&world).await.unwrap();
    let [difference] = &report.differences[..] else {
        panic!("{report}")
    };
    assert_eq!(difference.code(), "refund-not-in-ledger");
    assert!(difference.cause().contains("1000"), "{}", difference.cause());
}

#[tokio::test]
async fn a_capture_that_the_provider_never_had_is_found() {
    let world = World::start().await;
    let (hold, _) = paid(&world).await;
    tamper(&world, "UPDATE payments SET order_id = 'another-order'").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["ledger-without-capture", "unknown-order-at-provider"])
    );
    let total = 10_000;
    let payment_id = payment_of(&world, &hold).await;
    world
        .booking
        .tamper(&hold, ReservationStatus::Expired, Some(&payment_id), total);
    assert!(found(&world).await.contains("paid-without-reservation"));
}

#[tokio::test]
async fn a_reservation_that_nobody_paid_is_found() {
    let world = World::start().await;
    let hold = world.hold().await;
    let nobody = PaymentId::new().to_string();
    for payment_id in [None, Some(&*nobody)] {
        world
            .booking
            .tamper(&hold, ReservationStatus::Confirmed, payment_id, 10_000);
        assert_eq!(found(&world).await, BTreeSet::from(["confirmed-without-payment"]));
    }
    // Nor does a payment that failed pay for anything.
    let declined = world.hold().await;
    world
        .pay(&declined, 4_000, Some(&card("declined")))
        .await
        .unwrap_err();
    world.settle(&world.replica()).await;
    let payment_id = payment_of(&world, &declined).await;
    world
        .booking
        .tamper(&declined, ReservationStatus::Confirmed, Some(&payment_id), 10_000);
    assert_eq!(reconcile(&world).await.unwrap().differences.len(), 2);
}

#[tokio::test]
async fn a_second_refund_at_the_console_is_found() {
    let world = World::start().await;
    let (hold, key) = paid(&world).await;
    world.booking.gives_back(&hold, 50);
    cancel(&world, &hold).await.unwrap();
    assert_reconciled(&world).await;
    let body = json!({"cancelReason": "at the console", "cancelAmount": 1_000});
    at_console(&world, &format!("{key}/cancel"), body).await;
    assert_eq!(found(&world).await, BTreeSet::from(["refunded-twice"]));
}

#[tokio::test]
async fn a_refund_that_is_gone_is_found() {
    let world = World::start().await;
    let (hold, _) = paid(&world).await;
    cancel(&world, &hold).await.unwrap();
    tamper(&world, "DELETE FROM refunds").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["refund-missing", "refund-differs-from-ledger"])
    );
}

#[tokio::test]
async fn a_refund_that_booking_tells_otherwise_is_found() {
    let world = World::start().await;
    let (hold, _) = paid(&world).await;
    cancel(&world, &hold).await.unwrap();
    for (shown, code) in [
        (Some((9_999, true)), "refund-amount-differs"),
        (Some((10_000, false)), "refund-untold"),
        (None, "refund-without-cancellation"),
    ] {
        world.booking.tamper_refund(&hold, shown);
        assert_eq!(found(&world).await, BTreeSet::from([code]));
    }
}

#[tokio::test]
async fn what_is_cured_as_it_says_is_no_difference_any_more() {
    let world = World::start().await;
    let key = card("ok");
    let body = json!({"paymentKey": key, "orderId": "nobody-knows-it", "amount": 6_000});
    at_console(&world, "confirm", body).await;
    assert_eq!(found(&world).await, BTreeSet::from(["unknown-order-at-provider"]));
    let cancel_it = json!({"cancelReason": "nobody knows it"});
    at_console(&world, &format!("{key}/cancel"), cancel_it).await;
    assert_reconciled(&world).await;

    let (hold, key) = paid(&world).await;
    let cancel_it = json!({"cancelReason": "at the console"});
    at_console(&world, &format!("{key}/cancel"), cancel_it).await;
    assert_eq!(found(&world).await, BTreeSet::from(["refund-not-in-ledger"]));
    cancel(&world, &hold).await.unwrap();
    assert_reconciled(&world).await;

    tamper(&world, "UPDATE wallets SET balance = balance + 1").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["wallet-differs-from-entries"])
    );
    tamper(&world, "UPDATE wallets SET balance = balance - 1").await;
    assert_reconciled(&world).await;
}

#[tokio::test]
async fn a_charge_without_its_points_is_found() {
    let world = World::start().await;
    let user_id = UserId::new();
    charge(&world, asked(user_id, 5_000, &card("ok"))).await.unwrap();
    assert_reconciled(&world).await;
    tamper(&world, "DELETE FROM transfers WHERE kind = 'CHARGE'").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from([
            "captured-not-in-ledger",
            "charge-differs-from-ledger",
            "wallet-differs-from-entries"
        ])
    );
}

#[tokio::test]
async fn a_price_that_changed_after_it_was_paid_is_found() {
    let world = World::start().await;
    let (hold, _) = paid(&world).await;
    let payment_id = payment_of(&world, &hold).await;
    world
        .booking
        .tamper(&hold, ReservationStatus::Confirmed, Some(&payment_id), 10_001);
    assert_eq!(found(&world).await, BTreeSet::from(["amount-differs"]));
}

#[tokio::test]
async fn a_wallet_that_was_changed_is_found() {
    let world = World::start().await;
    paid(&world).await;
    tamper(&world, "UPDATE wallets SET balance = balance + 1").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["wallet-differs-from-entries"])
    );
    tamper(&world, "UPDATE wallets SET balance = balance - 1, pending = 1").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["wallet-differs-from-entries"])
    );
    tamper(&world, "DELETE FROM wallets").await;
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["wallet-differs-from-entries"])
    );
}

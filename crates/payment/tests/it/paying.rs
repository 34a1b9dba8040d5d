//! Payments that go their way: what is paid by what, and who may.

use contracts::booking::payment_credential::Credential;
use contracts::booking::{PaymentCredential, QueueCredential, ReservationStatus};
use contracts::payment::{Card, PayResponse, PaymentStatus};
use futures::future::join_all;
use service_kit::problem::Problem;
use test_support::eventually;
use vocabulary::{ConcertId, ProblemCode, UserId};

use crate::booking::Call;
use crate::ledger::assert_balanced;
use crate::world::{Hold, World, card, request, status};

#[tokio::test]
async fn points_alone_pay_without_the_provider() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 12_000).await;
    let paid = world.pay(&hold, 10_000, None).await.unwrap();
    let payment = paid.payment.unwrap();
    assert_eq!(
        (status(&payment), payment.points, payment.card_amount),
        (PaymentStatus::Succeeded, 10_000, 0)
    );
    assert_eq!(paid.reservation.unwrap().status(), ReservationStatus::Confirmed);
    assert_eq!(world.wallet(&hold).await, (2_000, 0));
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_card_alone_pays_without_the_wallet() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 0).await;
    let paid = world.pay(&hold, 0, Some(&card("ok"))).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(paid.reservation.unwrap().status(), ReservationStatus::Confirmed);
    assert_eq!(world.provider_totals().await, (10_000, 0));
    assert_eq!(world.wallet(&hold).await, (0, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_price_is_split_between_points_and_card() {
    let world = World::start().await;
    let hold = world.hold().await;
    let paid = world.pay(&hold, 3_000, Some(&card("ok"))).await.unwrap();
    let payment = paid.payment.unwrap();
    assert_eq!((payment.points, payment.card_amount), (3_000, 7_000));
    assert_eq!(world.wallet(&hold).await, (7_000, 0));
    assert_eq!(world.provider_totals().await, (7_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_total_of_zero_needs_neither_points_nor_card() {
    let world = World::start().await;
    for currency in ["KRW", "USD"] {
        let hold = world.booking.hold(0, currency);
        let paid = world.pay(&hold, 0, None).await.unwrap();
        assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn what_cannot_be_paid_like_this_names_its_field_and_changes_nothing() {
    let world = World::start().await;
    let hold = world.hold().await;
    let dollars = world.booking.hold(50, "USD");
    let other_order = |order_id: &str| {
        let mut asked = request(&hold, 0, None);
        asked.card = Some(Card {
            payment_key: card("ok"),
            order_id: order_id.to_owned(),
        });
        asked
    };
    let mut long_key = request(&hold, 10_000, None);
    long_key.idempotency_key = "k".repeat(256);
    for (asked, field) in [
        (request(&hold, 10_001, None), "points"),
        (request(&hold, -1, None), "points"),
        // The rest would be less than the provider charges a card.
        (request(&hold, 9_901, Some(&card("ok"))), "points"),
        (request(&hold, 9_999, None), "points"),
        (request(&hold, 0, Some("")), "card.paymentKey"),
        (request(&hold, 0, Some(&"k".repeat(201))), "card.paymentKey"),
        (other_order("order-of-yesterday"), "card.orderId"),
        (other_order("none"), "card.orderId"),
        (long_key, "idempotencyKey"),
        (request(&dollars, 50, None), "points"),
        (request(&dollars, 0, Some("test_ok_1")), "card"),
    ] {
        let refusal = world.send(asked).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::InvalidField, "{refusal}");
        assert_eq!(refusal.fields[0].field, field, "{refusal}");
    }
    let refusal = world.pay(&hold, 9_900, None).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::CardRequired);
    assert_eq!(world.booking.status(&hold), ReservationStatus::Pending);
    assert_eq!(world.booking.calls(Call::Begin), 0);
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_17_a_reservation_of_another_user_does_not_exist() {
    let world = World::start().await;
    let hold = world.hold().await;
    let mut asked = request(&hold, 10_000, None);
    asked.user_id = UserId::new().to_string();
    assert_eq!(
        world.send(asked.clone()).await.unwrap_err().code,
        ProblemCode::NotFound
    );
    asked.user_id = hold.user_id.to_string();
    let paid = world.send(asked).await.unwrap().payment.unwrap();

    let theirs = world.payment(UserId::new(), &paid.payment_id).await;
    assert_eq!(theirs.unwrap_err().code, ProblemCode::NotFound);
    let mine = world.payment(hold.user_id, &paid.payment_id).await.unwrap();
    assert_eq!(mine, paid);
}

#[tokio::test]
async fn the_credential_is_bookings_to_judge() {
    let world = World::start().await;
    let hold = world.hold().await;
    let with = |credential: Credential| {
        let mut asked = request(&hold, 10_000, None);
        asked.credential = Some(PaymentCredential {
            credential: Some(credential),
        });
        asked
    };
    let visit = |user_id: UserId| {
        Credential::Queue(QueueCredential {
            user_id: user_id.to_string(),
            concert_id: ConcertId::new().to_string(),
            number: 7,
        })
    };
    let forged = world.send(with(Credential::PaymentToken("forged".into()))).await;
    assert_eq!(forged.unwrap_err().code, ProblemCode::PaymentTokenInvalid);
    let foreign = world.send(with(visit(UserId::new()))).await;
    assert_eq!(foreign.unwrap_err().code, ProblemCode::NotFound);
    world.send(with(visit(hold.user_id))).await.unwrap();
}

#[tokio::test]
async fn a_hold_that_is_over_or_paid_is_not_paid_again() {
    let world = World::start().await;
    let lapsed = world.hold().await;
    world.booking.lapse(&lapsed);
    let refusal = world.pay(&lapsed, 0, Some(&card("ok"))).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentWindowClosed);

    let paid = world.hold().await;
    world.pay(&paid, 10_000, None).await.unwrap();
    let refusal = world.pay(&paid, 0, Some(&card("ok"))).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::AlreadyPaid);
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_8_paying_many_times_at_once_is_one_success_and_one_capture() {
    let world = World::start().await;
    let hold = world.hold().await;
    let (paid, refused): (Vec<_>, Vec<_>) = pay_at_once(&world, &hold, "ok")
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(paid.len(), 1);
    for refusal in refused {
        let code = refusal.unwrap_err().code;
        assert!(
            matches!(code, ProblemCode::PaymentInProgress | ProblemCode::AlreadyPaid),
            "{code}"
        );
    }
    assert_eq!(world.provider_totals().await, (9_000, 0));
    assert_eq!(world.wallet(&hold).await, (9_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn while_a_payment_is_open_no_other_begins() {
    let world = World::with(&[("PAY_WAIT_MS", "100")]).await;
    let hold = world.hold().await;
    let answers = pay_at_once(&world, &hold, "lost").await;
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(problem) if problem.code == ProblemCode::PaymentInProgress));
    assert_eq!((refused.count(), payments_of(&world, &hold).await), (11, 1));
    eventually("the points to be set aside", async || {
        (world.wallet(&hold).await == (9_000, 1_000)).then_some(())
    })
    .await;
    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (9_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn control_without_its_index_others_begin_while_a_payment_is_open() {
    let world = World::with(&[("PAY_WAIT_MS", "100")]).await;
    sqlx::query("DROP INDEX payments_one_open_per_reservation")
        .execute(world.database.pool())
        .await
        .unwrap();
    let hold = world.hold().await;
    pay_at_once(&world, &hold, "lost").await;
    assert_eq!(payments_of(&world, &hold).await, 12);
    // Booking's fence still lets one of them through only.
    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (9_000, 0));
    assert_balanced(&world).await;
}

/// Twelve payments of one hold, each with a card of its own.
async fn pay_at_once(world: &World, hold: &Hold, outcome: &str) -> Vec<Result<PayResponse, Problem>> {
    let cards: Vec<_> = (0..12).map(|_| card(outcome)).collect();
    join_all(cards.iter().map(|card| world.pay(hold, 1_000, Some(card)))).await
}

async fn payments_of(world: &World, hold: &Hold) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM payments WHERE reservation_id = $1")
        .bind(hold.reservation_id.as_uuid())
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_slow_provider_is_answered_for_in_time_and_succeeds_later() {
    let world = World::with(&[("PAY_WAIT_MS", "100")]).await;
    let hold = world.hold().await;
    let answer = world.pay(&hold, 4_000, Some(&card("slow"))).await.unwrap();
    let payment = answer.payment.unwrap();
    assert_ne!(status(&payment), PaymentStatus::Succeeded);
    assert_eq!(answer.reservation, None);
    eventually("the payment to succeed", async || {
        let payment = world.payment(hold.user_id, &payment.payment_id).await.unwrap();
        (status(&payment) == PaymentStatus::Succeeded).then_some(())
    })
    .await;
    assert_eq!(world.wallet(&hold).await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_takes_no_payment_with_it() {
    let world = World::start().await;
    let hold = world.hold().await;
    let paying = world.pay(&hold, 0, Some("test_slow_1"));
    let begun = eventually("the payment to begin", async || {
        (world.open_sagas().await > 0).then_some(())
    });
    tokio::select! {
        answer = paying => panic!("answered before the caller hung up: {answer:?}"),
        () = begun => {}
    }
    eventually("the seats to be sold", async || {
        (world.booking.status(&hold) == ReservationStatus::Confirmed).then_some(())
    })
    .await;
    eventually("the saga to end", async || {
        (world.open_sagas().await == 0).then_some(())
    })
    .await;
    assert_balanced(&world).await;
}

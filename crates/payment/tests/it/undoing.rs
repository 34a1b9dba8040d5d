//! Payments that come to nothing: everything goes back to where it came from, once.

use contracts::booking::ReservationStatus;
use contracts::payment::{Card, PaymentStatus};
use vocabulary::ProblemCode;

use crate::booking::{Call, Fault};
use crate::ledger::assert_balanced;
use crate::world::{World, card, request, status};

#[tokio::test]
async fn a_wallet_that_is_short_leaves_the_hold_to_be_paid_otherwise() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 9_900).await;
    for (points, card) in [(10_000, None), (10_000, Some("test_ok_1"))] {
        let refusal = world.pay(&hold, points, card).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::InsufficientPoints);
        assert_eq!(world.booking.status(&hold), ReservationStatus::Pending);
    }
    assert_eq!(world.wallet(&hold).await, (9_900, 0));
    assert_eq!(world.provider_totals().await, (0, 0));

    world.pay(&hold, 9_900, Some(&card("ok"))).await.unwrap();
    assert_eq!(world.provider_totals().await, (100, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_declined_card_gives_points_back_and_names_the_next_order() {
    let world = World::start().await;
    let hold = world.hold().await;
    let first_order = world.booking.order_id(&hold);
    let refusal = world
        .pay(&hold, 4_000, Some(&card("declined")))
        .await
        .unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentFailed);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_eq!(world.booking.status(&hold), ReservationStatus::Pending);
    let next_order = refusal.members["orderId"].as_str().unwrap().to_owned();
    assert_eq!(next_order, world.booking.order_id(&hold));
    assert_ne!(next_order, first_order);
    let failed = refusal.members["paymentId"].as_str().unwrap();
    let failed = world.payment(hold.user_id, failed).await.unwrap();
    assert_eq!(
        (status(&failed), failed.failure_code.as_str()),
        (PaymentStatus::Failed, "payment-failed")
    );

    let mut again = request(&hold, 4_000, None);
    again.card = Some(Card {
        payment_key: card("ok"),
        order_id: next_order,
    });
    world.send(again).await.unwrap();
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_capture_for_seats_that_are_gone_is_given_back_once() {
    let world = World::start().await;
    let hold = world.hold().await;
    world.booking.fault(Call::Confirm, Fault::LapsedBefore);
    let refusal = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentWindowClosed);
    assert_eq!(world.provider_totals().await, (6_000, 6_000));
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    let refunded = refusal.members["paymentId"].as_str().unwrap();
    let refunded = world.payment(hold.user_id, refunded).await.unwrap();
    assert_eq!(
        (status(&refunded), refunded.failure_code.as_str()),
        (PaymentStatus::Refunded, "payment-window-closed")
    );
    assert_balanced(&world).await;
}

#[tokio::test]
async fn points_for_seats_that_are_gone_go_back() {
    let world = World::start().await;
    let hold = world.hold().await;
    world.booking.fault(Call::Confirm, Fault::LapsedBefore);
    let refusal = world.pay(&hold, 10_000, None).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentWindowClosed);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_hold_that_lapses_before_the_payment_begins_costs_nothing() {
    let world = World::start().await;
    let hold = world.hold().await;
    world.booking.fault(Call::Begin, Fault::LapsedBefore);
    let refusal = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentWindowClosed);
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_payment_key_of_another_order_pays_nothing() {
    let world = World::start().await;
    let (first, second) = (world.hold().await, world.hold().await);
    let used = card("ok");
    world.pay(&first, 0, Some(&used)).await.unwrap();
    let refusal = world.pay(&second, 0, Some(&used)).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentFailed);
    assert_eq!(world.booking.status(&second), ReservationStatus::Pending);
    assert_eq!(world.provider_totals().await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_payment_key_that_nobody_authenticated_pays_nothing() {
    let world = World::start().await;
    let hold = world.hold().await;
    let refusal = world.pay(&hold, 1_000, Some("never-seen")).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentFailed);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn while_booking_does_not_answer_a_payment_waits_and_then_goes_on() {
    let world = World::start().await;
    for call in [Call::Begin, Call::Confirm] {
        for fault in [Fault::Away, Fault::AnswerLost] {
            let hold = world.hold().await;
            world.booking.fault(call, fault);
            let paid = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap();
            assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
        }
    }
    for fault in [Fault::Away, Fault::AnswerLost] {
        let hold = world.hold().await;
        world.booking.fault(Call::Release, fault);
        let refusal = world
            .pay(&hold, 4_000, Some(&card("declined")))
            .await
            .unwrap_err();
        assert_eq!(refusal.code, ProblemCode::PaymentFailed);
        assert_eq!(world.booking.status(&hold), ReservationStatus::Pending);
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn booking_being_away_from_the_start_is_unavailable_and_leaves_no_payment() {
    let world = World::start().await;
    let hold = world.hold().await;
    world.booking.fault(Call::Payable, Fault::Away);
    let refusal = world.pay(&hold, 10_000, None).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::Unavailable);
    world.pay(&hold, 10_000, None).await.unwrap();
    assert_balanced(&world).await;
}

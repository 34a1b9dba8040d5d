//! Answers of the provider that are lost, late or odd: never guessed, and asked for until known.

use std::time::Duration;

use contracts::booking::ReservationStatus;
use contracts::payment::PaymentStatus;
use payment::app::saga::Saga as _;
use vocabulary::ProblemCode;

use crate::booking::{Call, Fault};
use crate::ledger::assert_balanced;
use crate::world::{World, card, status};

const IMPATIENT: &[(&str, &str)] = &[("PAY_WAIT_MS", "150"), ("PROVIDER_TIMEOUT_MS", "400")];

#[tokio::test]
async fn promise_8_a_lost_answer_is_unknown_until_the_provider_says() {
    let world = World::with(&[("PROVIDER_TIMEOUT_MS", "300"), ("PAY_WAIT_MS", "5000")]).await;
    let hold = world.hold().await;
    let paid = world.pay(&hold, 4_000, Some(&card("lost"))).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(world.booking.calls(Call::MarkUnknown), 1);
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_provider_that_is_unavailable_twice_is_tried_a_third_time() {
    let world = World::start().await;
    let hold = world.hold().await;
    let paid = world.pay(&hold, 4_000, Some(&card("unavailable"))).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn an_unknown_payment_is_resumed_by_another_process_and_keeps_its_seats() {
    let world = World::with(IMPATIENT).await;
    let hold = world.hold().await;
    let answer = world.pay(&hold, 4_000, Some("test_slow_1")).await.unwrap();
    let payment_id = answer.payment.unwrap().payment_id;
    // The one who asked is cut off while the provider is still at it; another looks and finds the capture.
    world.booking.fault(Call::MarkUnknown, Fault::AnswerLost);
    let other = world.replica();
    world.settle(&other).await;
    let payment = world.payment(hold.user_id, &payment_id).await.unwrap();
    assert_eq!(status(&payment), PaymentStatus::Succeeded);
    assert_eq!(world.booking.status(&hold), ReservationStatus::Confirmed);
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn an_unknown_payment_whose_seats_are_gone_is_never_confirmed_again_and_given_back_when_captured() {
    let world = World::with(IMPATIENT).await;
    let hold = world.hold().await;
    world.booking.fault(Call::MarkUnknown, Fault::LapsedBefore);
    world.pay(&hold, 4_000, Some(&card("lost"))).await.unwrap();
    world.settle(&world.replica()).await;
    assert_eq!(world.booking.status(&hold), ReservationStatus::Expired);
    assert_eq!(world.provider_totals().await, (6_000, 6_000));
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_payment_that_was_left_before_the_provider_was_asked_asks_booking_first() {
    let world = World::start().await;
    let hold = world.hold().await;
    // Its driver died with the points taken.
    let app = world.replica();
    let payment = crate::interruptions::recorded(&world, &hold, 4_000, &card("ok")).await;
    payment.advance(&app).await.unwrap();
    world.booking.lapse(&hold);
    world.database.step_clock(Duration::from_secs(60)).await;
    assert_eq!(app.resume_once().await.unwrap(), 1);
    assert_eq!(
        world.provider_totals().await,
        (0, 0),
        "no money for seats that are gone"
    );
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_process_that_was_thought_dead_changes_nothing_any_more() {
    let world = World::start().await;
    let hold = world.hold().await;
    let (stale, other) = (world.replica(), world.replica());
    let payment = crate::interruptions::recorded(&world, &hold, 4_000, &card("ok")).await;
    world.database.step_clock(Duration::from_secs(60)).await;
    other.resume_once().await.unwrap();
    let refusal = stale.drive(payment, Duration::ZERO).await.unwrap_err();
    assert_eq!(refusal.to_string(), "the saga is in other hands");
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn two_processes_take_up_a_payment_once() {
    let world = World::start().await;
    for _ in 0..10 {
        let hold = world.hold().await;
        crate::interruptions::recorded(&world, &hold, 4_000, &card("ok")).await;
    }
    world.database.step_clock(Duration::from_secs(60)).await;
    let (one, other) = (world.replica(), world.replica());
    let (one, other) = tokio::join!(one.resume_once(), other.resume_once());
    assert_eq!(one.unwrap() + other.unwrap(), 10);
    assert_eq!(world.provider_totals().await, (60_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_declined_answer_that_was_lost_is_found_out() {
    let world = World::start().await;
    let hold = world.hold().await;
    // Declined at the provider, and its answer never recorded here.
    let lost = card("declined");
    let payment = crate::interruptions::recorded(&world, &hold, 4_000, &lost).await;
    let app = crate::mishaps::losing_answers(&world);
    let driven = app.drive(payment, Duration::from_secs(5)).await.unwrap();
    assert_eq!(driven.saga.failure, Some(ProblemCode::PaymentFailed));
    assert_eq!(world.booking.status(&hold), ReservationStatus::Pending);
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_balanced(&world).await;
}

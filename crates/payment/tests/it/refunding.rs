//! Paid reservations that are canceled: each won goes back to where it came from, once, whatever goes wrong on the way.

use std::time::Duration;

use contracts::booking::ReservationStatus;
use contracts::payment::{
    CancelReservationRequest, CancelReservationResponse, GetRefundRequest, ListWalletEntriesRequest, Refund,
    RefundReason, RefundStatus,
};
use futures::future::join_all;
use payment::domain::NewRefund;
use payment::store::RefundInserted;
use service_kit::problem::Problem;
use vocabulary::{PaymentId, ProblemCode, RefundId, ReservationId, UserId};

use crate::booking::{Call, Fault};
use crate::ledger::assert_balanced;
use crate::mishaps::losing_requests;
use crate::world::{Hold, LEASE, World, card};

/// A paid reservation of 10,000 won, so many of them points.
pub(crate) async fn paid(world: &World, points: i64, card: Option<&str>) -> Hold {
    let hold = world.hold().await;
    world.pay(&hold, points, card).await.unwrap();
    hold
}

pub(crate) async fn cancel(world: &World, hold: &Hold) -> Result<CancelReservationResponse, Problem> {
    cancel_with(world, hold, "").await
}

async fn cancel_with(world: &World, hold: &Hold, key: &str) -> Result<CancelReservationResponse, Problem> {
    let request = CancelReservationRequest {
        user_id: hold.user_id.to_string(),
        reservation_id: hold.reservation_id.to_string(),
        idempotency_key: key.to_owned(),
    };
    let answer = world.client.clone().cancel_reservation(request).await;
    answer.map(tonic::Response::into_inner).map_err(Problem::from)
}

pub(crate) async fn refund_of(world: &World, hold: &Hold) -> Result<Refund, Problem> {
    let request = GetRefundRequest {
        user_id: hold.user_id.to_string(),
        reservation_id: hold.reservation_id.to_string(),
    };
    let answer = world.client.clone().get_refund(request).await;
    let answer = answer.map_err(Problem::from)?;
    Ok(answer.into_inner().refund.unwrap())
}

pub(crate) async fn refunds(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM refunds")
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

pub(crate) fn told(refund: &Refund) -> (RefundStatus, u32, i64, i64) {
    (refund.status(), refund.percent, refund.points, refund.card_amount)
}

#[tokio::test]
async fn what_was_paid_goes_back_to_where_it_came_from() {
    let world = World::start().await;
    for (points, by_card) in [(10_000, 0), (0, 10_000), (4_000, 6_000)] {
        let (captured, given_back) = world.provider_totals().await;
        let payment_key = card("ok");
        let hold = paid(&world, points, (by_card > 0).then_some(&payment_key)).await;
        let answer = cancel(&world, &hold).await.unwrap();
        let refund = answer.refund.unwrap();
        assert!(answer.created);
        assert_eq!(told(&refund), (RefundStatus::Completed, 100, points, by_card));
        assert_eq!(refund.reason(), RefundReason::Buyer);
        assert!(refund.ended_at.is_some());
        assert_eq!(refund_of(&world, &hold).await.unwrap(), refund);
        assert_eq!(world.wallet(&hold).await, (10_000, 0));
        assert_eq!(
            world.provider_totals().await,
            (captured + by_card, given_back + by_card)
        );
        assert_eq!(world.booking.status(&hold), ReservationStatus::Canceled);
        assert!(world.booking.is_refunded(&hold));
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_share_goes_back_by_the_same_ways() {
    let world = World::start().await;
    let hold = paid(&world, 3_333, Some(&card("ok"))).await;
    world.booking.gives_back(&hold, 33);
    let refund = cancel(&world, &hold).await.unwrap().refund.unwrap();
    // 3,300 in all; of the card's 6,667 a third and a bit, rounded down.
    assert_eq!(told(&refund), (RefundStatus::Completed, 33, 1_100, 2_200));
    assert_eq!(world.wallet(&hold).await, (10_000 - 3_333 + 1_100, 0));
    assert_eq!(world.provider_totals().await, (6_667, 2_200));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn the_wallets_history_tells_of_the_refund() {
    let world = World::start().await;
    let hold = paid(&world, 10_000, None).await;
    let refund = cancel(&world, &hold).await.unwrap().refund.unwrap();
    let request = ListWalletEntriesRequest {
        user_id: hold.user_id.to_string(),
        ..ListWalletEntriesRequest::default()
    };
    let history = world.client.clone().list_wallet_entries(request).await.unwrap();
    let newest = history.into_inner().entries.swap_remove(0);
    assert_eq!(
        (
            newest.kind.as_str(),
            newest.amount,
            newest.refund_id,
            newest.payment_id
        ),
        ("REFUND_POINTS", 10_000, refund.refund_id, refund.payment_id)
    );
}

#[tokio::test]
async fn after_the_window_nothing_moves_and_the_reason_is_kept() {
    let world = World::start().await;
    let hold = paid(&world, 4_000, Some(&card("ok"))).await;
    world.booking.gives_back(&hold, 0);
    let refusal = cancel(&world, &hold).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::CancellationWindowClosed);
    let refused = refund_of(&world, &hold).await.unwrap();
    assert_eq!(
        (refused.status(), refused.failure_code.as_str()),
        (RefundStatus::Refused, "cancellation-window-closed")
    );
    assert_eq!(world.booking.status(&hold), ReservationStatus::Confirmed);
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_balanced(&world).await;

    // A refusal undoes nothing, so it stands in nobody's way.
    world.booking.cancel_date(&hold);
    let refund = cancel(&world, &hold).await.unwrap().refund.unwrap();
    assert_eq!(told(&refund), (RefundStatus::Completed, 100, 4_000, 6_000));
    assert_eq!(refund.reason(), RefundReason::ScheduleCanceled);
    assert_balanced(&world).await;
}

#[tokio::test]
async fn what_is_not_paid_cannot_be_canceled_and_what_is_not_yours_is_not_found() {
    let world = World::start().await;
    let unpaid = world.hold().await;
    let refusal = cancel(&world, &unpaid).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::ReservationNotCancelable);

    let own = paid(&world, 10_000, None).await;
    cancel(&world, &own).await.unwrap();
    for stranger in [
        Hold {
            user_id: UserId::new(),
            ..own
        },
        Hold {
            reservation_id: ReservationId::new(),
            ..own
        },
    ] {
        let refusal = cancel(&world, &stranger).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::NotFound);
        let refusal = refund_of(&world, &stranger).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::NotFound);
    }
    assert_eq!(refunds(&world).await, 1);
}

#[tokio::test]
async fn a_payment_that_is_about_to_succeed_is_not_said_to_be_unpaid() {
    let world = World::start().await;
    let hold = world.hold().await;
    // Booking confirmed, and this was not recorded here.
    let payment = crate::interruptions::recorded(&world, &hold, 10_000, "").await;
    world.booking.fault(Call::Confirm, Fault::AnswerLost);
    world.replica().drive(payment, Duration::ZERO).await.unwrap();
    assert_eq!(world.booking.status(&hold), ReservationStatus::Confirmed);
    let refusal = cancel(&world, &hold).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentInProgress);

    world.settle(&world.replica()).await;
    cancel(&world, &hold).await.unwrap();
    assert_balanced(&world).await;
}

#[tokio::test]
async fn asked_again_it_is_the_same_refund() {
    let world = World::start().await;
    let hold = paid(&world, 4_000, Some(&card("ok"))).await;
    let first = cancel(&world, &hold).await.unwrap();
    let again = cancel(&world, &hold).await.unwrap();
    assert!(first.created && !again.created);
    assert_eq!(first.refund, again.refund);
    assert_eq!(world.provider_totals().await, (6_000, 6_000));
}

#[tokio::test]
async fn asked_by_many_at_once_it_is_one_refund() {
    let world = World::start().await;
    let hold = paid(&world, 4_000, Some(&card("ok"))).await;
    let answers = join_all((0..16).map(|_| cancel(&world, &hold))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
    let id = |answer: &CancelReservationResponse| answer.refund.as_ref().unwrap().refund_id.clone();
    assert!(answers.iter().all(|answer| id(answer) == id(&answers[0])));
    world.settle(&world.replica()).await;
    assert_eq!((refunds(&world).await, world.booking.calls(Call::Cancel)), (1, 1));
    assert_eq!(world.provider_totals().await, (6_000, 6_000));
    assert_balanced(&world).await;
}

/// Two requests that both found the payment succeeded and no refund of it. Answers how many recorded one.
async fn insert_twice(world: &World) -> usize {
    let hold = world.hold().await;
    let paid = world.pay(&hold, 10_000, None).await.unwrap();
    let payment_id: PaymentId = paid.payment.unwrap().payment_id.parse().unwrap();
    let store = world.store();
    let new = || NewRefund {
        refund_id: RefundId::new(),
        payment_id,
        reservation_id: hold.reservation_id,
        user_id: hold.user_id,
        reason: payment::domain::RefundReason::Buyer,
    };
    let (one, other) = (new(), new());
    let (one, other) = tokio::join!(
        store.insert_refund(&one, None, LEASE),
        store.insert_refund(&other, None, LEASE),
    );
    [one.unwrap(), other.unwrap()]
        .iter()
        .filter(|inserted| matches!(inserted, RefundInserted::New(_)))
        .count()
}

#[tokio::test]
async fn a_payment_is_undone_once() {
    let world = World::start().await;
    assert_eq!(insert_twice(&world).await, 1);
}

#[tokio::test]
async fn control_without_its_index_a_payment_is_undone_twice() {
    let world = World::start().await;
    sqlx::query("DROP INDEX refunds_one_per_payment")
        .execute(world.database.pool())
        .await
        .unwrap();
    assert_eq!(insert_twice(&world).await, 2);
}

#[tokio::test]
async fn promise_9_the_same_key_is_the_same_cancellation() {
    let world = World::start().await;
    let (one, other) = (paid(&world, 10_000, None).await, paid(&world, 10_000, None).await);
    let first = cancel_with(&world, &one, "key").await.unwrap();
    let again = cancel_with(&world, &one, "key").await.unwrap();
    assert_eq!(first, again, "answered as it was answered then");
    let same_user = Hold {
        user_id: one.user_id,
        ..other
    };
    let refusal = cancel_with(&world, &same_user, "key").await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::IdempotencyKeyReused);
    // Another user's key is another key.
    assert!(cancel_with(&world, &other, "key").await.unwrap().created);

    world.database.step_clock(Duration::from_secs(25 * 3_600)).await;
    let late = cancel_with(&world, &one, "key").await.unwrap();
    assert_eq!((late.refund, late.created), (first.refund, false));
}

#[tokio::test]
async fn a_key_whose_request_still_waits_says_so() {
    let world = World::start().await;
    let hold = paid(&world, 10_000, None).await;
    let running = {
        let (world, hold) = (&world, &hold);
        for _ in 0..8 {
            world.booking.fault(Call::Cancel, Fault::Away);
        }
        cancel_with(world, hold, "key")
    };
    let second = async {
        test_support::eventually("the first is recorded", || async {
            (refunds(&world).await == 1).then_some(())
        })
        .await;
        cancel_with(&world, &hold, "key").await
    };
    let (first, second) = tokio::join!(running, second);
    assert_eq!(second.unwrap_err().code, ProblemCode::IdempotencyKeyInProgress);
    assert_eq!(first.unwrap().refund.unwrap().status(), RefundStatus::Completed);
}

#[tokio::test]
async fn while_booking_does_not_answer_a_refund_waits_and_then_goes_on() {
    let world = World::start().await;
    for call in [Call::Cancel, Call::Complete] {
        for fault in [Fault::Away, Fault::AnswerLost] {
            let hold = paid(&world, 4_000, Some(&card("ok"))).await;
            world.booking.fault(call, fault);
            let refund = cancel(&world, &hold).await.unwrap().refund.unwrap();
            assert_eq!(told(&refund), (RefundStatus::Completed, 100, 4_000, 6_000));
            assert!(world.booking.is_refunded(&hold));
        }
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_provider_that_fails_is_asked_until_the_share_is_back_once() {
    let impatient = [("PROVIDER_TIMEOUT_MS", "300"), ("PAY_WAIT_MS", "5000")];
    let world = World::with(&impatient).await;
    let mut given_back = 0;
    for outcome in ["cancel_slow", "cancel_lost", "cancel_unavailable"] {
        let hold = paid(&world, 4_000, Some(&card(outcome))).await;
        world.booking.gives_back(&hold, 50);
        cancel(&world, &hold).await.unwrap();
        world.settle(&world.replica()).await;
        let refund = refund_of(&world, &hold).await.unwrap();
        assert_eq!(
            told(&refund),
            (RefundStatus::Completed, 50, 2_000, 3_000),
            "{outcome}"
        );
        given_back += 3_000;
        assert_eq!(world.provider_totals().await.1, given_back, "{outcome}");
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_the_card_to_be_repaid_later_and_the_points_are_back() {
    let world = World::with(&[("PAY_WAIT_MS", "200")]).await;
    let hold = paid(&world, 4_000, Some(&card("ok"))).await;
    let refund = recorded(&world, &hold).await;
    let cut_off = losing_requests(&world);
    let driven = cut_off.drive(refund, Duration::ZERO).await.unwrap();
    assert_eq!(driven.saga.state, payment::domain::RefundState::Refunding);
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_eq!(world.provider_totals().await, (6_000, 0));

    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (6_000, 6_000));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_provider_that_refuses_leaves_the_refund_to_people() {
    let world = World::with(&[("PAY_WAIT_MS", "200")]).await;
    let hold = paid(&world, 4_000, Some(&card("cancel_declined"))).await;
    let refund = cancel(&world, &hold).await.unwrap().refund.unwrap();
    assert_eq!(refund.status(), RefundStatus::Refunding);
    let calls = {
        world.database.step_clock(LEASE).await;
        world.replica().resume_once().await.unwrap()
    };
    assert_eq!(calls, 1, "it is asked for again, in case somebody has mended it");
    assert_eq!(world.provider_totals().await, (6_000, 0));
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
}

#[tokio::test]
async fn books_that_say_something_else_are_never_guessed_at() {
    let world = World::with(&[("PAY_WAIT_MS", "200")]).await;
    let payment_key = card("ok");
    let hold = paid(&world, 4_000, Some(&payment_key)).await;
    world.give_back_by_hand(&payment_key, 1_000).await;
    let refund = cancel(&world, &hold).await.unwrap().refund.unwrap();
    assert_eq!(refund.status(), RefundStatus::Refunding);
    world.database.step_clock(LEASE).await;
    world.replica().resume_once().await.unwrap();
    assert_eq!(world.provider_totals().await, (6_000, 1_000));
    let refund = refund_of(&world, &hold).await.unwrap();
    assert_eq!(refund.status(), RefundStatus::Refunding);
}

#[tokio::test]
async fn booking_is_told_when_the_owner_asked_however_late_it_hears() {
    let world = World::with(&[("PAY_WAIT_MS", "50")]).await;
    let hold = paid(&world, 10_000, None).await;
    for _ in 0..10 {
        world.booking.fault(Call::Cancel, Fault::Away);
    }
    let begun = cancel(&world, &hold).await.unwrap().refund.unwrap();
    assert_eq!(begun.status(), RefundStatus::Created);
    world.settle(&world.replica()).await;
    let asked_at = world.booking.asked_at(&hold).map(contracts::timestamp);
    assert_eq!(asked_at, begun.created_at);
}

#[tokio::test]
async fn refusals_do_not_pile_up() {
    let world = World::start().await;
    let hold = paid(&world, 10_000, None).await;
    world.booking.gives_back(&hold, 0);
    for _ in 0..3 {
        let refusal = cancel(&world, &hold).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::CancellationWindowClosed);
        assert_eq!(refunds(&world).await, 1);
    }
    // One with a key is kept as long as the key is good, and answers as it did.
    let refusal = cancel_with(&world, &hold, "again").await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::CancellationWindowClosed);
    assert_eq!(refunds(&world).await, 1);
    world.booking.gives_back(&hold, 50);
    let refusal = cancel_with(&world, &hold, "again").await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::CancellationWindowClosed);

    let answer = cancel(&world, &hold).await.unwrap();
    assert!(answer.created);
    assert_eq!(
        told(&answer.refund.unwrap()),
        (RefundStatus::Completed, 50, 5_000, 0)
    );
    assert_eq!(refunds(&world).await, 2);
    assert_balanced(&world).await;
}

#[tokio::test]
async fn what_was_refused_is_asked_for_again_by_many_and_begun_once() {
    let world = World::start().await;
    let hold = paid(&world, 10_000, None).await;
    world.booking.gives_back(&hold, 0);
    cancel(&world, &hold).await.unwrap_err();
    world.booking.gives_back(&hold, 100);
    let answers = join_all((0..8).map(|_| cancel(&world, &hold))).await;
    let created = answers.iter().filter(|answer| answer.as_ref().unwrap().created);
    assert_eq!((created.count(), refunds(&world).await), (1, 1));
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_flood_of_refunds_leaves_payments_their_places() {
    let world = World::with(&[("REFUND_CONCURRENCY", "1")]).await;
    for _ in 0..5 {
        let hold = paid(&world, 10_000, None).await;
        recorded(&world, &hold).await;
    }
    let hold = world.hold().await;
    crate::interruptions::recorded(&world, &hold, 10_000, "").await;
    world.database.step_clock(LEASE).await;
    assert_eq!(world.replica().resume_once().await.unwrap(), 2);
    assert_eq!(world.booking.status(&hold), ReservationStatus::Confirmed);
}

#[tokio::test]
async fn impossible_refunds_are_refused_by_name() {
    let world = World::start().await;
    let hold = paid(&world, 4_000, Some(&card("ok"))).await;
    cancel(&world, &hold).await.unwrap();
    for (attempt, constraint) in [
        (
            "UPDATE refunds SET state = 'GONE', ended_at = NULL, resume_at = frontrow_now()",
            "refunds_state_is_known",
        ),
        ("UPDATE refunds SET reason = 'WHIM'", "refunds_reason_is_known"),
        ("UPDATE refunds SET points = NULL", "refunds_amounts_are_known_in_time"),
        ("UPDATE refunds SET percent = 101", "refunds_amounts_are_within_bounds"),
        ("UPDATE refunds SET points = -1", "refunds_amounts_are_within_bounds"),
        ("UPDATE refunds SET order_id = NULL", "refunds_without_card_ask_nobody"),
        (
            "UPDATE refunds SET failure_code = 'not-found'",
            "refunds_refusals_have_a_reason",
        ),
        ("UPDATE refunds SET resume_at = frontrow_now()", "refunds_end_for_good"),
        ("UPDATE refunds SET idempotency_key = 'key'", "refunds_keys_have_a_request"),
        (
            "INSERT INTO refunds SELECT (json_populate_record(r, '{\"refund_id\":
             \"01900000-0000-7000-8000-000000000001\"}')).* FROM refunds r",
            "refunds_one_per_payment",
        ),
        (
            "INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id)
             SELECT '01900000-0000-7000-8000-000000000001', 'x', 'REFUND_POINTS', 'HOUSE', 'WALLET', user_id, 1,
                    payment_id FROM refunds",
            "transfers_of_refunds_name_them",
        ),
    ] {
        let refusal = sqlx::query(attempt)
            .execute(world.database.pool())
            .await
            .unwrap_err();
        let named = refusal.as_database_error().and_then(|error| error.constraint());
        assert_eq!(named, Some(constraint), "{attempt}: {refusal}");
    }
}

/// A refund that was recorded, and not a step further.
pub(crate) async fn recorded(world: &World, hold: &Hold) -> payment::domain::Refund {
    let store = world.store();
    let payment_id = store.payment_to_undo(hold.user_id, hold.reservation_id).await;
    let new = NewRefund {
        refund_id: RefundId::new(),
        payment_id: payment_id.unwrap().unwrap(),
        reservation_id: hold.reservation_id,
        user_id: hold.user_id,
        reason: payment::domain::RefundReason::Buyer,
    };
    let lease = world.config.settings.lease;
    match store.insert_refund(&new, None, lease).await.unwrap() {
        RefundInserted::New(refund) => refund,
        other => panic!("{other:?}"),
    }
}

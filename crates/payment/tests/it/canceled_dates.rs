//! Dates that their organisers cancel: what was paid is refunded in full at a bounded pace, and what is being paid finds out.

use contracts::payment::{PaymentStatus, RefundReason, RefundStatus};
use vocabulary::{ProblemCode, UserId};

use crate::booking::{Call, Fault};
use crate::ledger::assert_balanced;
use crate::refunding::{cancel, paid, refund_of, refunds, told};
use crate::world::{Hold, LEASE, World, card, status};

#[tokio::test]
async fn a_canceled_date_is_refunded_in_full_so_many_a_round() {
    let world = World::with(&[("REFUND_SCHEDULES_BATCH", "2")]).await;
    let mut holds = Vec::new();
    for _ in 0..5 {
        let hold = paid(&world, 4_000, Some(&card("ok"))).await;
        world.booking.gives_back(&hold, 0);
        world.booking.cancel_date(&hold);
        holds.push(hold);
    }
    let app = world.replica();
    world.booking.fault(Call::ToRefund, Fault::Away);
    app.refund_schedules_once(None).await.unwrap_err();
    assert_eq!(refunds(&world).await, 0);

    let mut after = None;
    for (round, begun) in [(1, 2), (2, 4), (3, 5)] {
        after = app.refund_schedules_once(after).await.unwrap();
        assert_eq!(refunds(&world).await, begun, "round {round}");
    }
    assert_eq!(after, None, "from the first again");
    world.settle(&app).await;
    for hold in &holds {
        let refund = refund_of(&world, hold).await.unwrap();
        assert_eq!(told(&refund), (RefundStatus::Completed, 100, 4_000, 6_000));
        assert_eq!(refund.reason(), RefundReason::ScheduleCanceled);
        assert!(world.booking.is_refunded(hold));
        assert_eq!(world.booking.asked_at(hold), None, "nobody asked");
    }
    assert_eq!(world.provider_totals().await, (30_000, 30_000));
    app.refund_schedules_once(None).await.unwrap();
    assert_eq!(refunds(&world).await, 5);
    assert_balanced(&world).await;
}

/// What booking refused once is refused for good, so the date's cancellation has a refund of its own.
#[tokio::test]
async fn what_its_buyer_asked_for_too_late_is_refunded_with_the_date() {
    let world = World::start().await;
    let hold = paid(&world, 10_000, None).await;
    world.booking.gives_back(&hold, 0);
    let refused = cancel(&world, &hold).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::CancellationWindowClosed);
    world.booking.cancel_date(&hold);
    let app = world.replica();
    app.refund_schedules_once(None).await.unwrap();
    world.settle(&app).await;
    let refund = refund_of(&world, &hold).await.unwrap();
    assert_eq!(told(&refund), (RefundStatus::Completed, 100, 10_000, 0));
    assert_eq!(
        (refunds(&world).await, refund.reason()),
        (2, RefundReason::ScheduleCanceled)
    );
    assert_balanced(&world).await;
}

#[tokio::test]
async fn rounds_of_two_processes_and_the_buyer_refund_once() {
    let world = World::start().await;
    let mut holds = Vec::new();
    for _ in 0..6 {
        let hold = paid(&world, 10_000, None).await;
        world.booking.cancel_date(&hold);
        holds.push(hold);
    }
    let (one, other) = (world.replica(), world.replica());
    let (one_round, other_round, by_buyer) = tokio::join!(
        one.refund_schedules_once(None),
        other.refund_schedules_once(None),
        cancel(&world, &holds[3]),
    );
    one_round.unwrap();
    other_round.unwrap();
    by_buyer.unwrap();
    world.settle(&one).await;
    assert_eq!((refunds(&world).await, world.booking.calls(Call::Cancel)), (6, 6));
    for hold in &holds {
        assert_eq!(world.wallet(hold).await, (10_000, 0));
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_refund_of_a_canceled_date_that_booking_refuses_is_begun_once_and_left_to_people() {
    let world = World::start().await;
    let hold = paid(&world, 10_000, None).await;
    world.booking.cancel_date(&hold);
    // Booking knows no such reservation of this user.
    let stranger = UserId::new();
    sqlx::query("UPDATE payments SET user_id = $1")
        .bind(stranger.as_uuid())
        .execute(world.database.pool())
        .await
        .unwrap();
    let app = world.replica();
    for _ in 0..3 {
        app.refund_schedules_once(None).await.unwrap();
        world.database.step_clock(LEASE).await;
        assert_eq!(app.resume_once().await.unwrap(), 1);
    }
    assert_eq!(refunds(&world).await, 1);
    let as_paid = Hold {
        user_id: stranger,
        ..hold
    };
    let refund = refund_of(&world, &as_paid).await.unwrap();
    assert_eq!(refund.status(), RefundStatus::Created);
}

#[tokio::test]
async fn a_running_process_refunds_a_canceled_date_by_itself() {
    let world = World::with(&[("REFUND_SCHEDULES_EVERY_MS", "20"), ("RESUME_EVERY_MS", "20")]).await;
    let hold = paid(&world, 4_000, Some(&card("ok"))).await;
    world.booking.cancel_date(&hold);
    test_support::eventually("the money is back", || async {
        world.booking.is_refunded(&hold).then_some(())
    })
    .await;
    world.settle(&world.replica()).await;
    assert_eq!(world.provider_totals().await, (6_000, 6_000));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_canceled_date_ends_payments_and_says_why() {
    let world = World::start().await;
    for (call, captured) in [(Call::Begin, 0), (Call::Confirm, 6_000)] {
        let hold = world.hold().await;
        world.booking.fault(call, Fault::DateCanceledBefore);
        let refusal = world.pay(&hold, 4_000, Some(&card("ok"))).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::ScheduleCanceled);
        assert_eq!(world.wallet(&hold).await, (10_000, 0));
        assert_eq!(world.provider_totals().await, (captured, captured));
        let ended = refusal.members["paymentId"].as_str().unwrap();
        let ended = world.payment(hold.user_id, ended).await.unwrap();
        let expected = if captured > 0 {
            PaymentStatus::Refunded
        } else {
            PaymentStatus::Failed
        };
        assert_eq!(
            (status(&ended), ended.failure_code.as_str()),
            (expected, "schedule-canceled")
        );
        // What was given up with its date says so to whoever tries again, too.
        let refusal = world.pay(&hold, 10_000, None).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::ScheduleCanceled);
    }
    assert_balanced(&world).await;
}

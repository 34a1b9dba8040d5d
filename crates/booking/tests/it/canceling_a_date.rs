//! A whole date that is canceled: its sale, its holds, its payments, and what was paid.

use std::collections::HashSet;
use std::time::Duration;

use contracts::booking::ReservationStatus;
use futures::future::join_all;
use service_kit::database::begin;
use test_support::eventually;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use vocabulary::{PaymentId, ProblemCode, RefundId, ScheduleId};

use crate::queue_peer::Told;
use crate::world::{GRACE, HOLD, Held, PRICE, STARTS_AT, World, code};

#[tokio::test]
async fn a_canceled_date_sells_nothing_and_its_holds_are_given_up() {
    let world = World::with_seats(4).await;
    let mut held = Vec::new();
    for seat in &world.seats[..3] {
        held.push(world.held(&[*seat]).await);
    }
    let elsewhere = world.another_date(&[]).await;
    let elsewhere = world.held_of(elsewhere.0, &[elsewhere.1]).await;
    let canceled_at = world.cancel_schedule(world.schedule_id).await.unwrap();

    let late = world.hold(&world.visitor(), &world.seats[3..]).await;
    assert_eq!(code(late), ProblemCode::ScheduleCanceled);
    let begun = world.begin(&held[0], PaymentId::new()).await;
    assert_eq!(code(begun), ProblemCode::ScheduleCanceled);
    assert_eq!(world.status(&held[0]).await, ReservationStatus::Pending);
    assert_eq!(world.progress(world.schedule_id).await.unwrap().unpaid_left, 3);

    // In bounded batches; another process may take the next one.
    assert_eq!(world.booking.give_up_holds(2).await.unwrap(), 2);
    assert_eq!(world.progress(world.schedule_id).await.unwrap().unpaid_left, 1);
    assert_eq!(world.booking.give_up_holds(2).await.unwrap(), 1);
    assert_eq!(world.booking.give_up_holds(2).await.unwrap(), 0);
    for held in &held {
        let read = world.get(held).await.unwrap();
        assert_eq!(read.status(), ReservationStatus::Canceled);
        assert_eq!(read.cancellation, None, "nothing was paid");
        assert_eq!(world.counted(held.visitor.user_id).await, 0);
        let told = world.queue.told(held.visitor.visit_id);
        assert_eq!(told, [Told::PageEnded, Told::Expired]);
    }
    assert_eq!(world.seat_states().await, (6, "AAAA".to_owned()));
    assert_eq!(world.status(&elsewhere).await, ReservationStatus::Pending);

    // For good, and only once.
    world.database.step_clock(Duration::from_secs(60)).await;
    assert_eq!(
        world.cancel_schedule(world.schedule_id).await.unwrap(),
        canceled_at
    );
    assert_eq!(
        code(world.cancel_schedule(ScheduleId::new()).await),
        ProblemCode::NotFound
    );
    let standing = world.progress(elsewhere.reservation.schedule_id.parse().unwrap());
    assert_eq!(code(standing.await), ProblemCode::NotFound);
}

#[tokio::test]
async fn holds_of_a_canceled_date_are_given_up_without_being_asked_for() {
    let world = World::with(1, &[("SWEEP_SECONDS", "1")]).await;
    let held = world.held(&world.seats).await;
    world.cancel_schedule(world.schedule_id).await.unwrap();
    test_support::eventually("the hold's end", async || {
        (world.status(&held).await == ReservationStatus::Canceled).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hold_that_lapsed_before_it_was_given_up_expires() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    world.cancel_schedule(world.schedule_id).await.unwrap();
    world.database.step_clock(HOLD).await;
    assert_eq!(world.booking.give_up_holds(10).await.unwrap(), 0);
    assert_eq!(world.expire_due(10).await.expired, 1);
    assert_eq!(world.status(&held).await, ReservationStatus::Expired);
    let told = world.queue.told(held.visitor.visit_id);
    assert_eq!(told, [Told::PageEnded, Told::Expired]);
}

#[tokio::test]
async fn payments_of_a_canceled_date_come_to_their_end_and_take_no_seat() {
    let world = World::with_seats(5).await;
    let mut paying = Vec::new();
    for seat in &world.seats {
        let (held, payment) = (world.held(&[*seat]).await, PaymentId::new());
        let fence = world.begin(&held, payment).await.unwrap().version;
        paying.push((held, payment, fence));
    }
    let [confirms, unknown, releases, asks_again, dies] = &paying[..] else {
        panic!("five payments");
    };
    world
        .mark_unknown(&unknown.0, unknown.1, unknown.2)
        .await
        .unwrap();
    world.cancel_schedule(world.schedule_id).await.unwrap();
    assert_eq!(world.booking.give_up_holds(10).await.unwrap(), 0, "none is held");
    assert_eq!(world.progress(world.schedule_id).await.unwrap().unpaid_left, 5);

    // Its seats are gone: the payment gives its money back by itself, and has nothing left here.
    for _ in 0..2 {
        let refused = world.confirm(&confirms.0, confirms.1, confirms.2).await;
        assert_eq!(code(refused), ProblemCode::ScheduleCanceled);
        assert_eq!(world.status(&confirms.0).await, ReservationStatus::Canceled);
    }
    let stale = world.confirm(&releases.0, releases.1, releases.2 + 1).await;
    assert_eq!(code(stale), ProblemCode::PaymentWindowClosed);
    for _ in 0..2 {
        let released = world.release_payment(&releases.0, releases.1, releases.2).await;
        assert_eq!(released.unwrap().status(), ReservationStatus::Canceled);
    }
    let again = world.begin(&asks_again.0, asks_again.1).await;
    assert_eq!(code(again), ProblemCode::ScheduleCanceled);
    assert_eq!(world.status(&asks_again.0).await, ReservationStatus::Paying);

    // One whose payment is gone lapses as ever; one whose outcome is unknown stays until it is known.
    world.database.step_clock(HOLD + GRACE).await;
    assert_eq!(world.booking.sweep().await.unwrap(), 2);
    assert_eq!(world.status(&dies.0).await, ReservationStatus::Expired);
    assert_eq!(world.status(&unknown.0).await, ReservationStatus::Paying);
    // It learns that a capture would buy nothing, before it tries one.
    let marked = world.mark_unknown(&unknown.0, unknown.1, unknown.2).await;
    assert_eq!(code(marked), ProblemCode::ScheduleCanceled);
    let stale = world.mark_unknown(&unknown.0, unknown.1, unknown.2 + 1).await;
    assert_eq!(code(stale), ProblemCode::PaymentWindowClosed);
    let late = world.confirm(&unknown.0, unknown.1, unknown.2).await;
    assert_eq!(code(late), ProblemCode::ScheduleCanceled);
    assert_eq!(world.status(&unknown.0).await, ReservationStatus::Canceled);

    assert_eq!(world.seat_states().await, (10, "AAAAA".to_owned()));
    for (held, ..) in &paying {
        assert_eq!(world.counted(held.visitor.user_id).await, 0);
        let told = world.queue.told(held.visitor.visit_id);
        assert_eq!(told, [Told::PageEnded, Told::Expired]);
    }
    let progress = world.progress(world.schedule_id).await.unwrap();
    assert_eq!((progress.unpaid_left, progress.reservations), (0, 0));
    assert!(world.to_refund("", 0).await.is_empty());
}

#[tokio::test]
async fn what_was_paid_of_a_canceled_date_is_listed_refunded_in_full_and_counted() {
    let world = World::with_seats(8).await;
    let mut paid = Vec::new();
    for seat in &world.seats[..5] {
        paid.push(world.paid(&[*seat]).await);
    }
    // Canceled by its owner before: no matter of the date's cancellation.
    let (own, _) = paid.pop().unwrap();
    world.cancel(&own, RefundId::new()).await.unwrap();
    // Of a date that stands.
    let other = world.another_date(&[]).await;
    let standing = world.held_of(other.0, &[other.1]).await;
    let fence = world.begin(&standing, PaymentId::new()).await;
    fence.unwrap();

    world.cancel_schedule(world.schedule_id).await.unwrap();
    let first = world.to_refund("", 3).await;
    let rest = world.to_refund(&first[2].reservation_id, 3).await;
    let listed: Vec<_> = first.iter().chain(&rest).collect();
    let ids: Vec<_> = listed
        .iter()
        .map(|listed| listed.reservation_id.as_str())
        .collect();
    let expected: Vec<_> = paid.iter().map(|(held, _)| held.id.to_string()).collect();
    assert_eq!(ids, expected);
    for (listed, (_, payment)) in listed.iter().zip(&paid) {
        assert_eq!(listed.payment_id, payment.to_string());
        assert_eq!(listed.status(), ReservationStatus::Confirmed);
    }
    let total = 4 * 2 * PRICE;
    let progress = world.progress(world.schedule_id).await.unwrap();
    assert_eq!((progress.reservations, progress.refunded), (4, 0));
    assert_eq!((progress.amount, progress.amount_refunded), (total, 0));
    assert_eq!(progress.currency, "KRW");

    // All of it comes back, and the policy has no say, also after the beginning.
    world
        .database
        .step_clock((STARTS_AT - time::OffsetDateTime::now_utc()).try_into().unwrap())
        .await;
    for (number, (held, _)) in paid.iter().enumerate() {
        let refund = RefundId::new();
        let canceled = world.cancel(held, refund).await.unwrap();
        assert!(canceled.schedule_canceled);
        let cancellation = canceled.reservation.unwrap().cancellation.unwrap();
        assert_eq!((cancellation.percent, cancellation.refund), (100, 2 * PRICE));
        assert_eq!(world.to_refund("", 0).await.len(), 3 - number);
        if number < 3 {
            world.complete_refund(held.id, refund).await.unwrap();
        }
    }
    let progress = world.progress(world.schedule_id).await.unwrap();
    assert_eq!((progress.reservations, progress.refunded), (4, 3));
    assert_eq!(
        (progress.amount, progress.amount_refunded),
        (total, total / 4 * 3)
    );
}

/// A refund whose driver was told that it is too late, while another driver of it stalled: the date's cancellation must
/// not let it through behind the first one's back, or nobody would carry it on.
#[tokio::test]
async fn what_was_asked_for_too_late_stays_refused_when_the_date_is_canceled_and_is_listed() {
    let mut world = World::with_seats(1).await;
    let (closed, seat) = world.another_date(&[]).await;
    (world.schedule_id, world.seats) = (closed, vec![seat]);
    let (held, _) = world.paid(&world.seats).await;
    let (refund, asked_at) = (RefundId::new(), OffsetDateTime::now_utc());
    world.database.step_clock(Duration::from_secs(60)).await;
    let refused = world.cancel_asked_at(&held, refund, asked_at).await;
    assert_eq!(code(refused), ProblemCode::CancellationWindowClosed);

    let canceled_at = world.cancel_schedule(world.schedule_id).await.unwrap();
    let again = world.cancel_asked_at(&held, refund, asked_at).await;
    assert_eq!(code(again), ProblemCode::CancellationWindowClosed);
    assert_eq!(world.to_refund("", 0).await.len(), 1);

    // Whoever asks from then on has all of it back.
    let refund = RefundId::new();
    let canceled = world.cancel_asked_at(&held, refund, canceled_at).await.unwrap();
    assert!(canceled.schedule_canceled);
    assert!(world.to_refund("", 0).await.is_empty());
}

#[tokio::test]
async fn a_canceled_date_is_looked_at_for_refunds_until_nothing_is_left_to_begin() {
    let world = World::with_seats(2).await;
    let mut paid = Vec::new();
    for seat in &world.seats {
        paid.push(world.paid(&[*seat]).await.0);
    }
    let done = async || {
        world.booking.sweep().await.unwrap();
        let done = sqlx::query_scalar::<_, bool>("SELECT refunds_begun_at IS NOT NULL FROM schedules");
        done.fetch_one(world.database.pool()).await.unwrap()
    };
    assert!(!done().await, "it stands");
    world.cancel_schedule(world.schedule_id).await.unwrap();
    for (left, held) in [(2, &paid[0]), (1, &paid[1])] {
        assert!(!done().await);
        assert_eq!(world.to_refund("", 0).await.len(), left);
        world.cancel(held, RefundId::new()).await.unwrap();
    }
    assert!(done().await);
    // Nobody looks there again.
    sqlx::query(
        "UPDATE reservations SET state = 'CONFIRMED', refund_id = NULL, canceled_at = NULL, \
                        refund_percent = NULL, with_schedule = false",
    )
    .execute(world.database.pool())
    .await
    .unwrap();
    assert!(world.to_refund("", 0).await.is_empty());
}

/// Payments that confirm while the date is being canceled. Answers who was told that they are CONFIRMED, and who of all
/// was so only after the cancellation was acknowledged.
async fn race_of_confirms(world: &World) -> (Vec<Held>, usize) {
    let mut paying = Vec::new();
    for seat in &world.seats {
        let (held, payment) = (world.held(&[*seat]).await, PaymentId::new());
        let fence = world.begin(&held, payment).await.unwrap().version;
        paying.push((held, payment, fence));
    }
    let (begin, begun) = oneshot::channel();
    let mut begin = Some(begin);
    let confirms = async {
        let mut outcomes = Vec::new();
        for (round, some) in paying.chunks(10).enumerate() {
            let confirms = some
                .iter()
                .map(|(held, payment, fence)| world.confirm(held, *payment, *fence));
            let answers = join_all(confirms);
            if round == 1 {
                begin.take().unwrap().send(()).unwrap();
            }
            outcomes.extend(answers.await);
        }
        outcomes
    };
    let cancel = async {
        begun.await.unwrap();
        world.cancel_schedule(world.schedule_id).await.unwrap();
        confirmed(world).await
    };
    let (outcomes, at_the_cancellation) = tokio::join!(confirms, cancel);
    let mut won = Vec::new();
    for ((held, ..), outcome) in paying.into_iter().zip(outcomes) {
        match outcome {
            Ok(_) => won.push(held),
            Err(refusal) => assert_eq!(refusal.code, ProblemCode::ScheduleCanceled, "{refusal}"),
        }
    }
    let late = confirmed(world).await.difference(&at_the_cancellation).count();
    (won, late)
}

async fn confirmed(world: &World) -> HashSet<uuid::Uuid> {
    let ids = sqlx::query_scalar("SELECT reservation_id FROM reservations WHERE state = 'CONFIRMED'")
        .fetch_all(world.database.pool());
    ids.await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_a_confirmation_is_before_the_cancellation_and_refunded_or_not_at_all() {
    let world = World::with_seats(120).await;
    let (won, late) = race_of_confirms(&world).await;
    assert!(
        (1..120).contains(&won.len()),
        "{} of 120: the race is none",
        won.len()
    );
    assert_eq!(late, 0, "confirmed after the cancellation was acknowledged");
    let listed: HashSet<String> = world
        .to_refund("", 1_000)
        .await
        .into_iter()
        .map(|listed| listed.reservation_id)
        .collect();
    let confirmed: HashSet<String> = won.iter().map(|held| held.id.to_string()).collect();
    assert_eq!(listed, confirmed);
    let states = world.seat_states().await.1;
    assert_eq!(states.matches('O').count(), won.len());
    assert_eq!(states.matches('P').count(), 0, "who lost holds nothing");
}

/// The control: with a guard that only looks, a payment that looked before the cancellation is confirmed after it.
#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_lock_payments_are_confirmed_after_the_cancellation() {
    let world = World::with_seats(1).await;
    let (held, payment) = (world.held(&world.seats).await, PaymentId::new());
    let fence = world.begin(&held, payment).await.unwrap().version;
    sqlx::query(
        "CREATE OR REPLACE FUNCTION date_is_canceled(of_schedule uuid) RETURNS boolean LANGUAGE plpgsql AS $$ \
         DECLARE canceled boolean := EXISTS ( \
             SELECT FROM schedules WHERE schedule_id = of_schedule AND canceled_at IS NOT NULL \
         ); \
         BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN canceled; END $$",
    )
    .execute(world.database.pool())
    .await
    .unwrap();
    let mut gate = begin(world.database.pool()).await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(1)")
        .execute(&mut *gate)
        .await
        .unwrap();
    let cancel = async {
        eventually("the payment to have looked", async || {
            let waits: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE NOT l.granted AND a.datname = current_database())",
            )
            .fetch_one(world.database.pool())
            .await
            .unwrap();
            waits.then_some(())
        })
        .await;
        world.cancel_schedule(world.schedule_id).await.unwrap();
        let at_the_cancellation = confirmed(&world).await;
        gate.rollback().await.unwrap();
        at_the_cancellation
    };
    let (confirmation, at_the_cancellation) = tokio::join!(world.confirm(&held, payment, fence), cancel);
    confirmation.unwrap();
    assert!(at_the_cancellation.is_empty());
    assert_eq!(confirmed(&world).await.len(), 1, "the guard is still there");
}

/// A payment in the middle of its confirmation is waited for, and is among those to refund before the call answers.
#[tokio::test]
async fn canceling_a_date_waits_for_a_confirmation_that_is_being_written() {
    let world = World::with_seats(1).await;
    let mut confirmation = begin(world.database.pool()).await.unwrap();
    let canceled: bool = sqlx::query_scalar("SELECT date_is_canceled($1)")
        .bind(world.schedule_id.as_uuid())
        .fetch_one(&mut *confirmation)
        .await
        .unwrap();
    assert!(!canceled);
    let mut cancel = std::pin::pin!(world.cancel_schedule(world.schedule_id));
    let waiting = tokio::time::timeout(Duration::from_millis(200), &mut cancel).await;
    assert!(waiting.is_err(), "it did not wait");
    confirmation.commit().await.unwrap();
    cancel.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_expiry_and_giving_up_each_hold_meets_one_and_no_deadlock() {
    let world = World::with_seats(60).await;
    let mut held = Vec::new();
    for (number, seat) in world.seats.iter().enumerate() {
        held.push(world.held(&[*seat]).await);
        if number == 29 {
            world.database.step_clock(Duration::from_secs(30)).await;
        }
    }
    world.database.step_clock(HOLD - Duration::from_secs(15)).await;
    world.cancel_schedule(world.schedule_id).await.unwrap();
    let expiries = join_all((0..3).map(|_| async {
        let mut expired = 0;
        for _ in 0..20 {
            expired += world.expire_due(3).await.expired;
        }
        expired
    }));
    let givings_up = join_all((0..3).map(|_| async {
        let mut given_up = 0;
        for _ in 0..20 {
            given_up += world.booking.give_up_holds(3).await.unwrap();
        }
        given_up
    }));
    let (expired, given_up) = tokio::join!(expiries, givings_up);
    assert_eq!(
        (expired.iter().sum::<u32>(), given_up.iter().sum::<u32>()),
        (30, 30)
    );
    for (number, held) in held.iter().enumerate() {
        let ended = if number < 30 {
            ReservationStatus::Expired
        } else {
            ReservationStatus::Canceled
        };
        assert_eq!(world.status(held).await, ended);
        assert_eq!(
            world.queue.told(held.visitor.visit_id),
            [Told::PageEnded, Told::Expired]
        );
    }
    assert_eq!(world.seat_states().await, (120, "A".repeat(60)));
}

/// An owner's cancellation and the date's meet: the share is the policy's or all of it, and never in between.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_cancels_as_the_date_does_gets_the_policys_share_or_everything() {
    let world = World::with_seats(40).await;
    let paid = join_all(
        world
            .seats
            .iter()
            .map(|seat| world.paid(std::slice::from_ref(seat))),
    )
    .await;
    let near = (STARTS_AT - time::Duration::hours(30)) - time::OffsetDateTime::now_utc();
    world.database.step_clock(near.try_into().unwrap()).await;
    let cancels = join_all(paid.iter().map(|(held, _)| world.cancel(held, RefundId::new())));
    let (canceled, canceled_at) = tokio::join!(cancels, world.cancel_schedule(world.schedule_id));
    canceled_at.unwrap();
    let mut with_schedule = 0;
    for answer in canceled {
        let answer = answer.unwrap();
        let percent = answer.reservation.unwrap().cancellation.unwrap().percent;
        assert_eq!(percent, if answer.schedule_canceled { 100 } else { 50 });
        with_schedule += u32::from(answer.schedule_canceled);
    }
    let progress = world.progress(world.schedule_id).await.unwrap();
    assert_eq!(progress.reservations, with_schedule);
    assert_eq!(world.seat_states().await.1, "A".repeat(40));
}

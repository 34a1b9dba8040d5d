//! Paid reservations that their owners cancel.

use std::time::Duration;

use booking::store::{LockOutcome, LockOwner, SeatLocks};
use contracts::booking::{
    CancelReservationRequest, ListPaidReservationsRequest, PaidReservation, ReservationStatus,
};
use futures::future::join_all;
use service_kit::config::load_from;
use service_kit::redis::RedisConfig;
use time::OffsetDateTime;
use vocabulary::{PaymentId, ProblemCode, RefundId, ReservationId, UserId};

use crate::world::{PRICE, STARTS_AT, World, code};

impl World {
    /// Stops the clock at so long before the date begins.
    async fn stop_clock(&self, before_start: Duration) {
        let now = (STARTS_AT - before_start).unix_timestamp_nanos() / 1_000;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "CREATE OR REPLACE FUNCTION frontrow_now() RETURNS timestamptz LANGUAGE sql STABLE \
             AS $$ SELECT timestamptz 'epoch' + {now} * interval '1 microsecond' $$"
        )))
        .execute(self.database.pool())
        .await
        .unwrap();
    }

    async fn paid_reservations(&self, after: &str, limit: u32) -> Vec<PaidReservation> {
        let request = ListPaidReservationsRequest {
            after_reservation_id: after.to_owned(),
            limit,
        };
        let answer = self.client.clone().list_paid_reservations(request).await;
        answer.unwrap().into_inner().reservations
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_canceled_reservation_gives_its_seats_and_its_share_back() {
    let world = World::with_seats(3).await;
    let (held, payment) = world.paid(&world.seats[..2]).await;
    let user = held.visitor.user_id;
    world.completed(&held).await;
    let (version, _) = world.seat_states().await;

    world.stop_clock(100 * HOUR).await;
    let refund = RefundId::new();
    let canceled = world.cancel(&held, refund).await.unwrap();
    assert_eq!(canceled.payment_id, payment.to_string());
    assert!(!canceled.schedule_canceled);
    let reservation = canceled.reservation.unwrap();
    assert_eq!(reservation.status(), ReservationStatus::Canceled);
    let cancellation = reservation.cancellation.clone().unwrap();
    assert_eq!(cancellation.refund_id, refund.to_string());
    assert_eq!((cancellation.percent, cancellation.refund), (50, 3 * PRICE / 2));
    assert_eq!(cancellation.refunded_at, None);
    assert_eq!(
        world.get(&held).await.unwrap(),
        reservation,
        "what is read is what was answered"
    );

    assert_eq!(world.seat_states().await, (version + 2, "AAA".to_owned()));
    assert_eq!(world.counted(user).await, 0);
    // The visit bought.
    world.completed(&held).await;
    // Its marks in Redis went too: somebody else, and the same user, hold the seats at once.
    world.held(&world.seats[..1]).await;
    let again = world.queue.admit(user, world.concert_id);
    world.hold(&again, &world.seats[1..]).await.unwrap();
}

/// The word that a seat is sold may reach Redis late: after its reservation was canceled it says nothing any more.
#[tokio::test]
async fn a_mark_that_comes_after_the_cancellation_keeps_no_seat_from_being_sold() {
    let world = World::with_seats(1).await;
    let (held, _) = world.paid(&world.seats).await;
    world.cancel(&held, RefundId::new()).await.unwrap();
    let redis = load_from(world.environment.clone(), RedisConfig::read).unwrap();
    let late = SeatLocks::new(redis.connection().unwrap(), HOUR);
    late.mark_sold(held.id, world.schedule_id, &world.seats).await;
    world.held(&world.seats).await;
}

/// A process that canceled a reservation may die before Redis heard: whoever asks again, or ends the refund, says it.
#[tokio::test]
async fn marks_that_outlived_the_cancellation_go_with_the_next_call() {
    let world = World::with_seats(2).await;
    let redis = load_from(world.environment.clone(), RedisConfig::read).unwrap();
    let locks = SeatLocks::new(redis.connection().unwrap(), HOUR);
    for (seat, ends) in world.seats.iter().zip([false, true]) {
        let seats = std::slice::from_ref(seat);
        let (held, _) = world.paid(seats).await;
        let refund = RefundId::new();
        world.cancel(&held, refund).await.unwrap();
        let owner = LockOwner::new(held.id, held.visitor.user_id, None);
        let left_behind = locks.take(&owner, world.schedule_id, seats, HOUR).await;
        assert_eq!(left_behind, LockOutcome::Locked);
        let refused = world.hold(&world.visitor(), seats).await;
        assert_eq!(code(refused), ProblemCode::SeatUnavailable);
        if ends {
            world.complete_refund(held.id, refund).await.unwrap();
        } else {
            world.cancel(&held, refund).await.unwrap();
        }
        let other = world.held(seats).await;

        // What is another's by now stays theirs.
        world.cancel(&held, refund).await.unwrap();
        world.complete_refund(held.id, refund).await.unwrap();
        let owner = LockOwner::new(ReservationId::new(), UserId::new(), None);
        let taken = locks.take(&owner, world.schedule_id, seats, HOUR).await;
        assert_eq!(taken, LockOutcome::Taken(seats.to_vec()), "{}", other.id);
    }
}

/// The share is that of the moment of asking, however long the call took to get through.
#[tokio::test]
async fn the_time_of_asking_decides_and_the_future_counts_as_now() {
    let world = World::with_seats(3).await;
    let mut paid = Vec::new();
    for seat in &world.seats {
        paid.push(world.paid(&[*seat]).await.0);
    }
    let instant = Duration::from_micros(1);
    world.stop_clock(24 * HOUR - instant).await;
    let cases = [
        (24 * HOUR, 50),
        // Less than Postgres keeps of a time is no time.
        (24 * HOUR - Duration::from_nanos(999), 50),
        (HOUR, 33),
    ];
    for (held, (before_start, percent)) in paid.iter().zip(cases) {
        let asked_at = STARTS_AT - before_start;
        let canceled = world.cancel_asked_at(held, RefundId::new(), asked_at).await;
        let cancellation = canceled.unwrap().reservation.unwrap().cancellation.unwrap();
        assert_eq!(cancellation.percent, percent, "{before_start:?}");
    }
    let long_ago = world.cancel_asked_at(&paid[0], RefundId::new(), OffsetDateTime::UNIX_EPOCH - HOUR);
    assert_eq!(code(long_ago.await), ProblemCode::InvalidField);
}

/// A process that never sold a seat of a large hall need not read all of it to give one back.
#[tokio::test]
async fn canceling_reads_no_hall() {
    let world = World::with_seats(1).await;
    let (held, _) = world.paid(&world.seats).await;
    let mut another = world.start_another(&[]).await;
    sqlx::query("ALTER TABLE seats RENAME TO hall")
        .execute(world.database.pool())
        .await
        .unwrap();
    let request = CancelReservationRequest {
        reservation_id: held.id.to_string(),
        user_id: held.visitor.user_id.to_string(),
        refund_id: RefundId::new().to_string(),
        asked_at: None,
    };
    another.cancel_reservation(request).await.unwrap();
}

#[tokio::test]
async fn the_longest_time_that_is_still_met_decides_and_its_last_instant_counts() {
    let world = World::with_seats(8).await;
    let mut paid = Vec::new();
    for seat in &world.seats {
        paid.push(world.paid(&[*seat]).await.0);
    }
    let instant = Duration::from_micros(1);
    let cases = [
        (999 * HOUR, Some(100)),
        (240 * HOUR, Some(100)),
        (240 * HOUR - instant, Some(50)),
        (24 * HOUR, Some(50)),
        (24 * HOUR - instant, Some(33)),
        (HOUR, Some(33)),
        (HOUR - instant, None),
        (Duration::ZERO, None),
    ];
    for ((before_start, percent), held) in cases.into_iter().zip(&paid) {
        world.stop_clock(before_start).await;
        let answer = world.cancel(held, RefundId::new()).await;
        let Some(percent) = percent else {
            assert_eq!(code(answer), ProblemCode::CancellationWindowClosed);
            assert_eq!(world.status(held).await, ReservationStatus::Confirmed);
            continue;
        };
        let reservation = answer.unwrap().reservation.unwrap();
        let cancellation = reservation.cancellation.unwrap();
        assert_eq!(
            cancellation.percent, percent,
            "{before_start:?} before the beginning"
        );
        let share = reservation.total * i64::from(percent) / 100;
        assert_eq!(cancellation.refund, share);
        let kept: i64 = sqlx::query_scalar("SELECT refund FROM reservations WHERE reservation_id = $1")
            .bind(held.id.as_uuid())
            .fetch_one(world.database.pool())
            .await
            .unwrap();
        assert_eq!(kept, share, "Postgres keeps what is answered");
    }
}

#[tokio::test]
async fn canceling_again_for_the_same_refund_has_the_same_answer_also_after_the_window_closed() {
    let world = World::with_seats(1).await;
    let (held, _) = world.paid(&world.seats).await;
    let refund = RefundId::new();
    world.stop_clock(30 * HOUR).await;
    let first = world.cancel(&held, refund).await.unwrap();
    let version = world.seat_states().await.0;
    // The seat is somebody else's by now, and stays theirs.
    world.paid(&world.seats).await;

    world.stop_clock(Duration::ZERO).await;
    assert_eq!(world.cancel(&held, refund).await.unwrap(), first);
    let another = world.cancel(&held, RefundId::new()).await;
    assert_eq!(code(another), ProblemCode::ReservationNotCancelable);
    assert_eq!(world.seat_states().await, (version + 2, "O".to_owned()));

    // And also once the date is canceled: what was decided stays.
    world.cancel_schedule(world.schedule_id).await.unwrap();
    assert_eq!(world.cancel(&held, refund).await.unwrap(), first);
}

#[tokio::test]
async fn only_its_owner_cancels_and_only_what_is_paid() {
    let world = World::with_seats(3).await;
    let (paid, _) = world.paid(&world.seats[..1]).await;
    let foreign = world.cancel_as(UserId::new(), paid.id, RefundId::new()).await;
    assert_eq!(code(foreign), ProblemCode::NotFound);
    let absent = world.cancel_as(paid.visitor.user_id, ReservationId::new(), RefundId::new());
    assert_eq!(code(absent.await), ProblemCode::NotFound);
    assert_eq!(world.status(&paid).await, ReservationStatus::Confirmed);

    let held = world.held(&world.seats[1..2]).await;
    let refused = world.cancel(&held, RefundId::new()).await;
    assert_eq!(code(refused), ProblemCode::ReservationNotCancelable);
    world.begin(&held, PaymentId::new()).await.unwrap();
    let refused = world.cancel(&held, RefundId::new()).await;
    assert_eq!(code(refused), ProblemCode::ReservationNotCancelable);
    let released = world.held(&world.seats[2..]).await;
    world.release(&released).await.unwrap();
    let refused = world.cancel(&released, RefundId::new()).await;
    assert_eq!(code(refused), ProblemCode::ReservationNotCancelable);
}

#[tokio::test]
async fn a_refund_is_complete_once_and_telling_so_again_changes_nothing() {
    let world = World::with_seats(1).await;
    let (held, _) = world.paid(&world.seats).await;
    let refund = RefundId::new();
    let too_early = world.complete_refund(held.id, refund).await;
    assert_eq!(code(too_early), ProblemCode::ReservationNotCancelable);
    world.cancel(&held, refund).await.unwrap();

    let another = world.complete_refund(held.id, RefundId::new()).await;
    assert_eq!(code(another), ProblemCode::ReservationNotCancelable);
    let absent = world.complete_refund(ReservationId::new(), refund).await;
    assert_eq!(code(absent), ProblemCode::NotFound);

    world.complete_refund(held.id, refund).await.unwrap();
    let first = world.get(&held).await.unwrap();
    assert!(first.cancellation.as_ref().unwrap().refunded_at.is_some());
    world.database.step_clock(HOUR).await;
    world.complete_refund(held.id, refund).await.unwrap();
    assert_eq!(world.get(&held).await.unwrap(), first);
}

/// A payment whose answer was lost asks again when its reservation is canceled already: it did succeed.
#[tokio::test]
async fn a_payment_that_confirms_again_after_the_cancellation_has_succeeded() {
    let world = World::with_seats(1).await;
    let (held, payment) = (world.held(&world.seats).await, PaymentId::new());
    let fence = world.begin(&held, payment).await.unwrap().version;
    world.confirm(&held, payment, fence).await.unwrap();
    world.cancel(&held, RefundId::new()).await.unwrap();
    for date_canceled in [false, true] {
        if date_canceled {
            world.cancel_schedule(world.schedule_id).await.unwrap();
        }
        let again = world.confirm(&held, payment, fence).await.unwrap();
        assert_eq!(again.status(), ReservationStatus::Canceled);
    }
    let another = world.confirm(&held, PaymentId::new(), fence).await;
    assert_eq!(code(another), ProblemCode::ScheduleCanceled);
}

#[tokio::test]
async fn what_is_or_was_paid_is_listed_in_pages() {
    let world = World::with_seats(6).await;
    let mut paid = Vec::new();
    for seat in &world.seats[..4] {
        paid.push(world.paid(&[*seat]).await);
    }
    let refund = RefundId::new();
    world.cancel(&paid[1].0, refund).await.unwrap();
    // Neither was paid.
    world.held(&world.seats[4..5]).await;
    let released = world.held(&world.seats[5..]).await;
    world.release(&released).await.unwrap();

    let first = world.paid_reservations("", 3).await;
    let rest = world.paid_reservations(&first[2].reservation_id, 3).await;
    let listed: Vec<_> = first.iter().chain(&rest).collect();
    assert_eq!(listed.len(), 4);
    for (listed, (held, payment)) in listed.iter().zip(&paid) {
        assert_eq!(listed.reservation_id, held.id.to_string());
        assert_eq!(listed.user_id, held.visitor.user_id.to_string());
        assert_eq!(listed.payment_id, payment.to_string());
        assert_eq!(listed.total, held.reservation.total);
        assert_eq!(listed.currency, "KRW");
    }
    let cancellation = listed[1].cancellation.as_ref().unwrap();
    assert_eq!(listed[1].status(), ReservationStatus::Canceled);
    assert_eq!(cancellation.refund_id, refund.to_string());
    assert_eq!(listed[0].status(), ReservationStatus::Confirmed);
    assert_eq!(listed[0].cancellation, None);
    assert!(world.to_refund("", 0).await.is_empty(), "the date stands");
}

/// Everybody cancels the same reservation, each for a refund of their own; answers how many were told that they did.
async fn race_of_refunds(world: &World) -> usize {
    let (held, _) = world.paid(&world.seats).await;
    let cancels = (0..12).map(|_| world.cancel(&held, RefundId::new()));
    let answers = join_all(cancels).await;
    for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refusal.code, ProblemCode::ReservationNotCancelable, "{refusal}");
    }
    answers.iter().filter(|answer| answer.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_of_many_refunds_of_one_reservation_exactly_one_wins() {
    let world = World::with_seats(2).await;
    for _ in 0..5 {
        assert_eq!(race_of_refunds(&world).await, 1);
        assert_eq!(world.seat_states().await.1, "AA");
    }
    let released: Vec<i32> = sqlx::query_scalar("SELECT DISTINCT version FROM reservation_seats")
        .fetch_all(world.database.pool())
        .await
        .unwrap();
    assert_eq!(released, [3], "each seat was given back once");
}

/// The seats of paid reservations are wanted by a crowd while they are being canceled. Answers how often a seat was got.
async fn race_for_canceled_seats(world: &World) -> usize {
    let paid = join_all(
        world
            .seats
            .iter()
            .map(|seat| world.paid(std::slice::from_ref(seat))),
    )
    .await;
    let cancels = join_all(paid.iter().map(|(held, _)| world.cancel(held, RefundId::new())));
    let crowd = async {
        let mut got = 0;
        for _ in 0..10 {
            let holds = join_all(world.seats.iter().map(|seat| async {
                let visitor = world.visitor();
                world.hold(&visitor, std::slice::from_ref(seat)).await
            }));
            for answer in holds.await {
                match answer {
                    Ok(_) => got += 1,
                    Err(refusal) => assert_eq!(refusal.code, ProblemCode::SeatUnavailable, "{refusal}"),
                }
            }
        }
        got
    };
    let (canceled, mut got) = tokio::join!(cancels, crowd);
    for answer in canceled {
        answer.unwrap();
    }
    // Whoever comes after gets what nobody got.
    for seat in &world.seats {
        let visitor = world.visitor();
        got += usize::from(world.hold(&visitor, &[*seat]).await.is_ok());
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_a_canceled_seat_is_sold_again_and_never_twice() {
    let world = World::with_seats(12).await;
    assert_eq!(race_for_canceled_seats(&world).await, 12);
    assert_eq!(world.seat_states().await.1, "P".repeat(12));
}

/// The control: without lock and index the same race gives seats away more than once.
#[tokio::test(flavor = "multi_thread")]
async fn control_without_lock_and_index_a_canceled_seat_is_sold_twice() {
    let mut world = World::with_seats(12).await;
    world.redis.stop().await;
    sqlx::query("DROP INDEX reservation_seats_one_live_owner")
        .execute(world.database.pool())
        .await
        .unwrap();
    let got = race_for_canceled_seats(&world).await;
    assert!(got > 12, "{got} of 12 seats were got: the race is none");
}

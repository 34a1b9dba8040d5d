//! Many at once.

use std::collections::HashSet;
use std::time::Duration;

use contracts::booking::ReservationStatus;
use futures::future::join_all;
use vocabulary::{PaymentId, ProblemCode, SeatId, UserId};

use crate::world::{GRACE, HOLD, Held, World};

const CROWD: usize = 200;

/// Everybody wants the one seat. Answers how many got it; everybody else was told that it is taken.
async fn race_for_one_seat(world: &World) -> usize {
    let crowd: Vec<_> = (0..CROWD).map(|_| world.visitor()).collect();
    let answers = join_all(crowd.iter().map(|visitor| world.hold(visitor, &world.seats))).await;
    let winners = answers.iter().filter(|answer| answer.is_ok()).count();
    for refusal in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refusal.code, ProblemCode::SeatUnavailable);
        assert_eq!(
            refusal.members["seatIds"],
            serde_json::json!([world.seats[0].to_string()])
        );
    }
    winners
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_of_200_who_want_one_seat_one_gets_it() {
    let world = World::with_seats(1).await;
    assert_eq!(race_for_one_seat(&world).await, 1);
    assert_eq!(world.seat_states().await, (1, "P".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_3_without_redis_still_one_of_200_gets_the_seat() {
    let mut world = World::with_seats(1).await;
    world.redis.stop().await;
    assert_eq!(race_for_one_seat(&world).await, 1);
    assert_eq!(world.seat_states().await, (1, "P".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_3_with_a_frozen_redis_still_one_of_200_gets_the_seat() {
    let world = World::with(1, &[("SEAT_LOCK_TIMEOUT_MS", "100")]).await;
    world.redis.pause();
    assert_eq!(race_for_one_seat(&world).await, 1);
    world.redis.resume();
}

/// The control of the races above: with neither lock nor index the same race sells the seat more than once.
#[tokio::test(flavor = "multi_thread")]
async fn control_without_lock_and_index_the_same_race_sells_the_seat_twice() {
    let mut world = World::with_seats(1).await;
    world.redis.stop().await;
    sqlx::query("DROP INDEX reservation_seats_one_live_owner")
        .execute(world.database.pool())
        .await
        .unwrap();
    let winners = race_for_one_seat(&world).await;
    assert!(winners > 1, "{winners} got the seat: the race is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_6_overlapping_holds_take_all_or_nothing_and_never_wait_for_each_other() {
    for redis_is_there in [true, false] {
        let mut world = World::with_seats(8).await;
        if !redis_is_there {
            world.redis.stop().await;
        }
        let world = &world;
        // Every hold overlaps its neighbours', named in a turning order.
        let wishes: Vec<Vec<SeatId>> = (0..120)
            .map(|i| {
                let mut seats: Vec<SeatId> = (0..4).map(|k| world.seats[(i + k * 3) % 8]).collect();
                seats.rotate_left(i % 4);
                seats
            })
            .collect();
        let answers = join_all(wishes.iter().map(|seats| async move {
            let visitor = world.visitor();
            world.hold(&visitor, seats).await
        }))
        .await;

        let mut owned = HashSet::new();
        for (wish, answer) in wishes.iter().zip(&answers) {
            match answer {
                Ok(reservation) => {
                    assert_eq!(reservation.seats.len(), 4);
                    for seat in wish {
                        assert!(owned.insert(*seat), "a seat of two owners");
                    }
                }
                // A deadlock would answer otherwise.
                Err(refusal) => assert_eq!(refusal.code, ProblemCode::SeatUnavailable, "{refusal}"),
            }
        }
        assert!(!owned.is_empty());
        let (version, states) = world.seat_states().await;
        assert_eq!(version, owned.len() as u64);
        for (seat, state) in world.seats.iter().zip(states.chars()) {
            assert_eq!(owned.contains(seat), state == 'P');
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_6_one_user_in_many_windows_gets_four_seats() {
    let world = World::with_seats(40).await;
    let user = UserId::new();
    let answers = join_all(world.seats.iter().map(|seat| {
        let (visitor, world) = (world.queue.admit(user, world.concert_id), &world);
        async move { world.hold(&visitor, &[*seat]).await }
    }))
    .await;
    let held = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(held, 4);
    for refusal in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refusal.code, ProblemCode::SeatCapExceeded);
    }
    assert_eq!(world.counted(user).await, 4);
    assert_eq!(world.seat_states().await.0, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_one_visit_in_many_windows_makes_one_hold() {
    let world = World::with_seats(20).await;
    let visitor = world.visitor();
    let answers = join_all(
        world
            .seats
            .iter()
            .map(|seat| world.hold(&visitor, std::slice::from_ref(seat))),
    )
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refusal in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refusal.code, ProblemCode::PageLeft);
    }
    assert_eq!(world.seat_states().await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_of_expiry_and_confirmation_exactly_one_wins() {
    let world = World::with_seats(40).await;
    let mut paying = Vec::new();
    for seat in &world.seats {
        let held = world.held(&[*seat]).await;
        let payment = PaymentId::new();
        let version = world.begin(&held, payment).await.unwrap().version;
        paying.push((held, payment, version));
    }
    world.database.step_clock(HOLD + GRACE).await;

    let confirm_all = join_all(
        paying
            .iter()
            .map(|(held, payment, version)| world.confirm(held, *payment, *version)),
    );
    let expire_all = async {
        for _ in 0..40 {
            world.expire_due(2).await;
        }
    };
    let (confirmed, ()) = tokio::join!(confirm_all, expire_all);

    let (_, states) = world.seat_states().await;
    for (((held, ..), outcome), state) in paying.iter().zip(confirmed).zip(states.chars()) {
        let status = world.status(held).await;
        match outcome {
            Ok(answer) => {
                assert_eq!(answer.status(), ReservationStatus::Confirmed);
                assert_eq!((status, state), (ReservationStatus::Confirmed, 'O'));
            }
            Err(refusal) => {
                assert_eq!(refusal.code, ProblemCode::PaymentWindowClosed);
                assert_eq!((status, state), (ReservationStatus::Expired, 'A'));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweeps_at_once_expire_each_hold_once_and_meet_no_hold_in_a_deadlock() {
    let world = World::with_seats(60).await;
    let users: Vec<UserId> = (0..15).map(|_| UserId::new()).collect();
    let mut held: Vec<Held> = Vec::new();
    for (seat, user) in world.seats.iter().zip(users.iter().cycle()) {
        let visitor = world.queue.admit(*user, world.concert_id);
        let reservation = world.hold(&visitor, &[*seat]).await.unwrap();
        held.push(Held {
            id: reservation.reservation_id.parse().unwrap(),
            visitor,
            reservation,
        });
    }
    world.database.step_clock(HOLD + Duration::from_secs(1)).await;

    // The same users hold again, the same seats, while these are being taken from them.
    let hold_again = async {
        for round in 0..3 {
            join_all(world.seats.iter().zip(users.iter().cycle()).map(|(seat, user)| {
                let visitor = world.queue.admit(*user, world.concert_id);
                let world = &world;
                async move {
                    match world.hold(&visitor, &[*seat]).await {
                        Ok(_) => {}
                        Err(refusal) => assert!(
                            matches!(
                                refusal.code,
                                ProblemCode::SeatUnavailable | ProblemCode::SeatCapExceeded
                            ),
                            "round {round}: {refusal}"
                        ),
                    }
                }
            }))
            .await;
        }
    };
    let sweeps = join_all((0..4).map(|_| async {
        let mut expired = 0;
        for _ in 0..20 {
            expired += world.expire_due(5).await.expired;
        }
        expired
    }));
    let ((), expired) = tokio::join!(hold_again, sweeps);
    assert_eq!(expired.iter().sum::<u32>(), 60);
    for held in &held {
        assert_eq!(world.status(held).await, ReservationStatus::Expired);
    }
    let live: i64 = sqlx::query_scalar("SELECT count(*) FROM reservation_seats WHERE state <> 'RELEASED'")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    let counted: i64 = sqlx::query_scalar("SELECT sum(held)::bigint FROM user_schedule_seats")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(live, counted, "the caps count exactly what is held");
}

//! Holding seats, one hold at a time.

use contracts::booking::ReservationStatus;
use test_support::eventually;
use vocabulary::{ConcertId, ProblemCode, ScheduleId, SeatId, UserId};

use crate::queue_peer::Told;
use crate::world::{HOLD, PRICE, World, code};

#[tokio::test]
async fn a_hold_answers_what_is_to_be_paid_until_when_and_by_what() {
    let world = World::with_seats(4).await;
    let visitor = world.visitor();
    let hold = world
        .hold(&visitor, &[world.seats[2], world.seats[0]])
        .await
        .unwrap();

    assert_eq!(hold.status(), ReservationStatus::Pending);
    assert_eq!(hold.user_id, visitor.user_id.to_string());
    assert_eq!(hold.concert_id, world.concert_id.to_string());
    let seats: Vec<_> = hold
        .seats
        .iter()
        .map(|seat| (seat.seat_id.clone(), seat.grade.as_str(), seat.price))
        .collect();
    let expected = [
        (world.seats[0].to_string(), "VIP", 2 * PRICE),
        (world.seats[2].to_string(), "R", PRICE),
    ];
    assert_eq!(seats, expected, "in the order of the layout");
    assert_eq!((hold.total, hold.currency.as_str()), (3 * PRICE, "KRW"));
    let kept = hold.expires_at.unwrap().seconds - hold.created_at.unwrap().seconds;
    assert_eq!(kept, HOLD.as_secs() as i64);
    assert!(!hold.payment_token.is_empty());
    assert!((6..=64).contains(&hold.order_id.len()));
    assert_eq!(hold.version, 1);
    assert_eq!(world.seat_states().await, (2, "PAPA".to_owned()));
    assert_eq!(world.counted(visitor.user_id).await, 2);
}

#[tokio::test]
async fn what_a_hold_answers_is_what_is_read_afterwards() {
    let world = World::with_seats(4).await;
    let held = world.held(&[world.seats[3], world.seats[1]]).await;
    assert_eq!(world.get(&held).await.unwrap(), held.reservation);
}

#[tokio::test]
async fn the_page_is_free_as_soon_as_the_hold_is_answered() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    assert_eq!(world.queue.told(held.visitor.visit_id), [Told::PageEnded]);
}

#[tokio::test]
async fn a_hold_of_taken_seats_names_them_and_takes_none() {
    let world = World::with_seats(4).await;
    world.held(&[world.seats[1]]).await;
    world.held(&[world.seats[3]]).await;
    for redis in ["there", "flushed"] {
        let late = world.visitor();
        let refusal = world.hold(&late, &world.seats).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::SeatUnavailable, "Redis {redis}");
        let mut named: Vec<String> = serde_json::from_value(refusal.members["seatIds"].clone()).unwrap();
        named.sort();
        let mut taken = [world.seats[1].to_string(), world.seats[3].to_string()];
        taken.sort();
        assert_eq!(named, taken, "Redis {redis}");
        assert_eq!(world.seat_states().await, (2, "APAP".to_owned()));
        assert_eq!(world.counted(late.user_id).await, 0);
        assert!(
            world.queue.told(late.visit_id).is_empty(),
            "a refused hold leaves the visit on its page"
        );
        world.redis.flush().await;
    }
}

#[tokio::test]
async fn a_refused_hold_leaves_the_other_seats_to_the_next() {
    let world = World::with_seats(2).await;
    world.held(&[world.seats[0]]).await;
    world.redis.flush().await;
    let refused = world.visitor();
    assert_eq!(
        code(world.hold(&refused, &world.seats).await),
        ProblemCode::SeatUnavailable
    );
    // Also at once: the refused one's lock on the free seat went with its refusal.
    world.hold(&refused, &[world.seats[1]]).await.unwrap();
}

#[tokio::test]
async fn a_wrong_list_of_seats_is_refused_and_the_field_named() {
    let world = World::with_seats(5).await;
    let foreign = SeatId::new();
    let seats = &world.seats;
    let cases: [(&str, Vec<String>); 5] = [
        ("seatIds", vec![]),
        ("seatIds", seats.iter().map(ToString::to_string).collect()),
        ("seatIds[1]", vec![seats[0].to_string(), seats[0].to_string()]),
        ("seatIds[1]", vec![seats[0].to_string(), foreign.to_string()]),
        ("seatIds[0]", vec!["A7".to_owned()]),
    ];
    for (field, seat_ids) in cases {
        let mut request = world.hold_request(&world.visitor(), &[]);
        request.seat_ids = seat_ids;
        let refusal = world.send_hold(request).await.unwrap_err();
        assert_eq!(
            (refusal.code, refusal.fields[0].field.as_str()),
            (ProblemCode::InvalidField, field)
        );
    }
}

#[tokio::test]
async fn a_hold_of_an_unknown_schedule_finds_none() {
    let world = World::with_seats(1).await;
    let mut request = world.hold_request(&world.visitor(), &world.seats);
    request.schedule_id = ScheduleId::new().to_string();
    assert_eq!(code(world.send_hold(request).await), ProblemCode::NotFound);
}

#[tokio::test]
async fn queue_decides_who_may_hold() {
    let world = World::with_seats(1).await;
    for refusal in [
        ProblemCode::NotAdmitted,
        ProblemCode::QueueTokenExpired,
        ProblemCode::PageLeft,
        ProblemCode::Unavailable,
    ] {
        let visitor = world.visitor();
        world.queue.refuse(&visitor.token, refusal);
        assert_eq!(code(world.hold(&visitor, &world.seats).await), refusal);
    }

    let mut forged = world.visitor();
    forged.token = "forged".to_owned();
    assert_eq!(
        code(world.hold(&forged, &world.seats).await),
        ProblemCode::QueueTokenInvalid
    );

    let mut thief = world.visitor();
    thief.user_id = UserId::new();
    assert_eq!(
        code(world.hold(&thief, &world.seats).await),
        ProblemCode::QueueTokenForeign
    );

    let elsewhere = world.queue.admit(UserId::new(), ConcertId::new());
    assert_eq!(
        code(world.hold(&elsewhere, &world.seats).await),
        ProblemCode::NotAdmitted
    );
    assert_eq!(world.seat_states().await, (0, "A".to_owned()));
}

#[tokio::test]
async fn promise_14_a_visit_makes_one_hold_even_when_queue_has_not_heard_of_it() {
    let world = World::with_seats(2).await;
    let visitor = world.visitor();
    world.hold(&visitor, &[world.seats[0]]).await.unwrap();
    // This queue lets the token pass for ever.
    assert_eq!(
        code(world.hold(&visitor, &[world.seats[1]]).await),
        ProblemCode::PageLeft
    );
    assert_eq!(world.seat_states().await, (1, "PA".to_owned()));
}

#[tokio::test]
async fn promise_6_a_user_has_at_most_four_seats_of_a_date() {
    let world = World::with_seats(6).await;
    let user = UserId::new();
    let visit = || world.queue.admit(user, world.concert_id);
    world.hold(&visit(), &world.seats[..3]).await.unwrap();
    assert_eq!(
        code(world.hold(&visit(), &world.seats[3..5]).await),
        ProblemCode::SeatCapExceeded
    );
    world.hold(&visit(), &world.seats[3..4]).await.unwrap();
    assert_eq!(
        code(world.hold(&visit(), &world.seats[4..5]).await),
        ProblemCode::SeatCapExceeded
    );
    assert_eq!(world.seat_states().await, (4, "PPPPAA".to_owned()));
    // The seats that were refused for the cap are free for others at once.
    world.held(&world.seats[4..]).await;
}

#[tokio::test]
async fn a_released_hold_is_on_sale_again_and_its_visit_is_over() {
    let world = World::with_seats(2).await;
    let held = world.held(&world.seats).await;
    world.release(&held).await.unwrap();

    assert_eq!(world.status(&held).await, ReservationStatus::Canceled);
    assert_eq!(world.seat_states().await, (4, "AA".to_owned()));
    assert_eq!(world.counted(held.visitor.user_id).await, 0);
    assert_eq!(
        world.queue.told(held.visitor.visit_id),
        [Told::PageEnded, Told::Expired]
    );
    world.release(&held).await.unwrap();
    assert_eq!(world.seat_states().await.0, 4, "releasing again changes nothing");
    world.held(&world.seats).await;
}

#[tokio::test]
async fn promise_17_nobody_else_sees_or_releases_a_reservation() {
    let world = World::with_seats(1).await;
    let mut held = world.held(&world.seats).await;
    let stranger = UserId::new();
    assert_eq!(code(world.get_as(stranger, held.id).await), ProblemCode::NotFound);
    let owner = std::mem::replace(&mut held.visitor.user_id, stranger);
    assert_eq!(code(world.release(&held).await), ProblemCode::NotFound);
    held.visitor.user_id = owner;
    assert_eq!(world.status(&held).await, ReservationStatus::Pending);
}

#[tokio::test]
async fn a_lock_that_outlived_its_hold_refuses_until_its_own_end_only() {
    let world = World::with_seats(1).await;
    let mut redis = world.redis.connection().await;
    let key = format!("booking:seat:{{{}}}:{}", world.schedule_id, world.seats[0]);
    let _: () = redis::cmd("SET")
        .arg(&key)
        .arg("00000000-0000-7000-8000-000000000000:")
        .arg("PX")
        .arg(300)
        .query_async(&mut redis)
        .await
        .unwrap();
    let visitor = world.visitor();
    assert_eq!(
        code(world.hold(&visitor, &world.seats).await),
        ProblemCode::SeatUnavailable
    );
    eventually("the stale lock's end", async || {
        world.hold(&visitor, &world.seats).await.ok()
    })
    .await;
}

#[tokio::test]
async fn locks_last_as_long_as_their_hold_and_sold_seats_stay_marked() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let mut redis = world.redis.connection().await;
    let key = format!("booking:seat:{{{}}}:{}", world.schedule_id, world.seats[0]);
    let ttl: i64 = redis::cmd("PTTL")
        .arg(&key)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!((HOLD.as_millis() as i64 - 5_000..=HOLD.as_millis() as i64).contains(&ttl));

    let payment = vocabulary::PaymentId::new();
    let version = world.begin(&held, payment).await.unwrap().version;
    world.confirm(&held, payment, version).await.unwrap();
    let ttl: i64 = redis::cmd("PTTL")
        .arg(&key)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(ttl > HOLD.as_millis() as i64);
}

#[tokio::test]
async fn promise_3_holds_go_on_without_redis_and_use_it_again_when_it_is_back() {
    let mut world = World::with_seats(300).await;
    let mut seats = world.seats.clone().into_iter();
    let mut next = || [seats.next().unwrap()];
    world.redis.stop().await;
    world.held(&next()).await;
    world.redis.start_again().await;
    eventually("a lock in the Redis that is back", async || {
        let seat = next();
        world.held(&seat).await;
        let key = format!("booking:seat:{{{}}}:{}", world.schedule_id, seat[0]);
        let mut redis = world.redis.connection().await;
        let locked: bool = redis::cmd("EXISTS")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        locked.then_some(())
    })
    .await;
}

//! The same request sent twice.

use vocabulary::{ProblemCode, UserId};

use crate::world::{World, code};

#[tokio::test]
async fn promise_9_the_same_key_and_body_answer_the_same_reservation() {
    let world = World::with_seats(2).await;
    let visitor = world.visitor();
    let mut request = world.hold_request(&visitor, &world.seats);
    request.idempotency_key = "try-1".to_owned();
    let first = world.send_hold(request.clone()).await.unwrap();
    // Named in another order, they are the same seats.
    request.seat_ids.reverse();
    let again = world.send_hold(request).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(world.seat_states().await, (2, "PP".to_owned()));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let world = World::with_seats(2).await;
    let visitor = world.visitor();
    let mut request = world.hold_request(&visitor, &world.seats[..1]);
    request.idempotency_key = "try-1".to_owned();
    world.send_hold(request.clone()).await.unwrap();
    request.seat_ids = vec![world.seats[1].to_string()];
    assert_eq!(
        code(world.send_hold(request).await),
        ProblemCode::IdempotencyKeyReused
    );
}

#[tokio::test]
async fn a_key_belongs_to_its_user() {
    let world = World::with_seats(2).await;
    for seat in &world.seats {
        let mut request = world.hold_request(&world.visitor(), &[*seat]);
        request.idempotency_key = "everybody's".to_owned();
        world.send_hold(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_hold_does_not_use_its_key_up() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let visitor = world.visitor();
    let mut request = world.hold_request(&visitor, &world.seats);
    request.idempotency_key = "try-1".to_owned();
    assert_eq!(
        code(world.send_hold(request.clone()).await),
        ProblemCode::SeatUnavailable
    );
    world.release(&held).await.unwrap();
    world.send_hold(request).await.unwrap();
}

#[tokio::test]
async fn an_answer_given_again_is_the_reservation_as_it_stands() {
    let world = World::with_seats(1).await;
    let visitor = world.visitor();
    let mut request = world.hold_request(&visitor, &world.seats);
    request.idempotency_key = "try-1".to_owned();
    let first = world.send_hold(request.clone()).await.unwrap();
    let held = crate::world::Held {
        id: first.reservation_id.parse().unwrap(),
        visitor,
        reservation: first,
    };
    world.release(&held).await.unwrap();
    let again = world.send_hold(request).await.unwrap();
    assert_eq!(again.reservation_id, held.reservation.reservation_id);
    assert_eq!(again.status(), contracts::booking::ReservationStatus::Canceled);
    assert!(again.payment_token.is_empty(), "there is nothing to pay any more");
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let world = World::with_seats(1).await;
    let mut request = world.hold_request(&world.visitor(), &world.seats);
    request.idempotency_key = "k".repeat(256);
    let refusal = world.send_hold(request).await.unwrap_err();
    assert_eq!(refusal.fields[0].field, "idempotencyKey");
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let world = World::with_seats(1).await;
    let mut request = world.hold_request(&world.visitor(), &world.seats);
    request.idempotency_key = "try-1".to_owned();
    world.send_hold(request).await.unwrap();
    let count = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM idempotency")
            .fetch_one(world.database.pool())
            .await
            .unwrap()
    };
    world
        .database
        .step_clock(std::time::Duration::from_secs(23 * 3_600))
        .await;
    world.booking.sweep().await.unwrap();
    assert_eq!(count().await, 1);
    world
        .database
        .step_clock(std::time::Duration::from_secs(2 * 3_600))
        .await;
    world.booking.sweep().await.unwrap();
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn promise_9_one_request_sent_many_times_at_once_has_one_effect_and_one_answer() {
    for redis_is_there in [true, false] {
        let mut world = World::with_seats(2).await;
        if !redis_is_there {
            world.redis.stop().await;
        }
        let world = &world;
        let visitor = world.queue.admit(UserId::new(), world.concert_id);
        let mut request = world.hold_request(&visitor, &world.seats);
        request.idempotency_key = "impatient".to_owned();
        let answers = futures::future::join_all((0..20).map(|_| world.send_hold(request.clone()))).await;
        let first = answers[0].as_ref().unwrap();
        for answer in &answers {
            assert_eq!(answer.as_ref().unwrap(), first);
        }
        assert_eq!(world.seat_states().await, (2, "PP".to_owned()));
        assert_eq!(world.counted(visitor.user_id).await, 2);
    }
}

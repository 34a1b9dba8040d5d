//! What a process that dies between the two stores leaves behind, and how it is put right.

use queue::domain::{NumberRange, TokenState};
use queue::store::{Admission, Claim, ClaimWindows, Claimed, HighWater};
use service_kit::database::begin;
use test_support::eventually;
use time::OffsetDateTime;
use vocabulary::{ConcertId, QueueNumber};

use crate::world::{AT_ONCE, CLAIM, PAGE, Person, SECOND, World};

/// A room of one with two people in line, the first called.
async fn first_called(world: &World) -> (ConcertId, Person, Person) {
    let concert = world.room(1).await;
    let (first, next) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    (concert, first, next)
}

const fn told(issued_to: u64) -> HighWater {
    HighWater {
        issued_to: QueueNumber(issued_to),
        lapsed: 0,
    }
}

/// A claim by a process that says nothing more.
async fn claim(world: &World, concert: ConcertId, person: &Person) -> Claimed {
    let (visits, line) = world.stores();
    let room = visits.room(concert).await.unwrap().unwrap();
    let until = room.now + SECOND * 5;
    let windows = ClaimWindows {
        claim: CLAIM,
        valid_until: until.replace_millisecond(until.millisecond()).unwrap(),
        late_until: None,
    };
    match line
        .claim(&room, person.user, QueueNumber(person.number), windows)
        .await
        .unwrap()
        .unwrap()
    {
        Claim::Claimed(claimed) => claimed,
        other => panic!("{other:?}"),
    }
}

async fn admit(world: &World, concert: ConcertId, person: &Person, claimed: &Claimed) -> Admission {
    let (visits, _) = world.stores();
    visits
        .admit(concert, person.user, QueueNumber(person.number), claimed, PAGE)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_claim_whose_process_died_is_called_again() {
    let world = World::start().await;
    let (concert, first, next) = first_called(&world).await;
    claim(&world, concert, &first).await;
    world.expect(&first, TokenState::Waiting).await;
    world.tick().await;
    world.expect(&next, TokenState::Waiting).await;

    world.step(SECOND * 5).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 1);
    world.expect(&first, TokenState::Page).await;
    assert_eq!(world.pages(concert).await, 1);
}

#[tokio::test]
async fn a_visit_whose_process_died_before_it_told_keeps_its_place() {
    let world = World::start().await;
    let (concert, first, next) = first_called(&world).await;
    let claimed = claim(&world, concert, &first).await;
    assert!(matches!(
        admit(&world, concert, &first, &claimed).await,
        Admission::Admitted { .. }
    ));
    world.step(SECOND * 5).await;
    world.tick().await;
    world.expect(&first, TokenState::Page).await;
    world.expect(&next, TokenState::Waiting).await;
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.inside, room.called), (1, 0));
}

#[tokio::test]
async fn a_claim_that_was_settled_can_no_longer_become_a_visit() {
    let world = World::start().await;
    let (concert, first, next) = first_called(&world).await;
    let claimed = claim(&world, concert, &first).await;
    world.step(SECOND * 5).await;
    world.tick().await;
    // Its place is free again, so it must not become a visit any more.
    assert_eq!(admit(&world, concert, &first, &claimed).await, Admission::Refused);
    world.queue.leave(&first.token).await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Page).await;
    assert_eq!(admit(&world, concert, &first, &claimed).await, Admission::Refused);
    assert_eq!(world.pages(concert).await, 1);
}

#[tokio::test]
async fn promise_11_a_claim_of_a_lost_redis_can_no_longer_become_a_visit() {
    let world = World::start().await;
    let (concert, first, _) = first_called(&world).await;
    let claimed = claim(&world, concert, &first).await;
    world.redis.flush().await;
    world.tick().await;
    // Redis does not count it, and called the number anew.
    assert_eq!(admit(&world, concert, &first, &claimed).await, Admission::Refused);
    world.expect(&first, TokenState::Page).await;
    assert_eq!(world.pages(concert).await, 1);
}

#[tokio::test]
async fn a_claim_under_a_capacity_that_was_lowered_does_not_become_a_visit() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let (one, two) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    world.expect(&one, TokenState::Page).await;
    let claimed = claim(&world, concert, &two).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    assert_eq!(admit(&world, concert, &two, &claimed).await, Admission::Refused);
}

#[tokio::test]
async fn a_place_whose_visit_ended_unheard_is_freed() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (buyer, next) = (world.enter(concert).await, world.join(concert).await);
    let (visits, _) = world.stores();
    visits.end_page(world.visit_of(&buyer).await).await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Waiting).await;
    world.queue.reconcile().await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Page).await;
    world.expect(&buyer, TokenState::Payment).await;
}

#[tokio::test]
async fn a_place_that_is_being_claimed_is_not_freed_by_the_comparison() {
    let world = World::start().await;
    let (concert, first, next) = first_called(&world).await;
    let claimed = claim(&world, concert, &first).await;
    world.tick().await;
    world.queue.reconcile().await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Waiting).await;
    assert!(matches!(
        admit(&world, concert, &first, &claimed).await,
        Admission::Admitted { .. }
    ));
    assert_eq!(world.pages(concert).await, 1);
}

#[tokio::test]
async fn numbers_that_were_committed_as_called_are_called_by_the_next_tick() {
    let world = World::start().await;
    let concert = world.room(3).await;
    let people = world.join_many(concert, 3).await;
    let (visits, _) = world.stores();
    let epoch = visits.room(concert).await.unwrap().unwrap().epoch;
    let range = NumberRange {
        after: QueueNumber(0),
        to: QueueNumber(2),
    };
    let called_at: Option<OffsetDateTime> = visits.commit_call(concert, epoch, range, told(3)).await.unwrap();
    assert!(called_at.is_some());
    // Not called in Redis yet: nobody is in front, and not yet inside.
    assert_eq!(world.expect(&people[0], TokenState::Waiting).await.position, 0);
    world.tick().await;
    world.expect(&people[0], TokenState::Page).await;
    world.expect(&people[1], TokenState::Page).await;
    world.tick().await;
    world.expect(&people[2], TokenState::Page).await;
}

#[tokio::test]
async fn promise_12_of_two_replicas_that_plan_the_same_one_moves_the_line() {
    let world = World::start().await;
    let concert = world.room(3).await;
    world.join_many(concert, 3).await;
    let (visits, _) = world.stores();
    let epoch = visits.room(concert).await.unwrap().unwrap().epoch;
    let range = |to| NumberRange {
        after: QueueNumber(0),
        to: QueueNumber(to),
    };
    let moves = [3, 2, 1].map(|to| visits.commit_call(concert, epoch, range(to), told(3)));
    let moved = futures::future::join_all(moves).await;
    assert_eq!(
        moved.iter().filter(|moved| matches!(moved, Ok(Some(_)))).count(),
        1
    );
    let stale = visits
        .commit_call(concert, epoch - 1, range(3), told(3))
        .await
        .unwrap();
    assert_eq!(stale, None, "an old epoch moves nothing");
}

#[tokio::test]
async fn calls_that_nobody_may_answer_are_dropped() {
    let world = World::start().await;
    let concert = world.room(5).await;
    let people = world.join_many(concert, 5).await;
    world.tick().await;
    world.step(CLAIM * 2 + crate::world::LATE + SECOND * 61).await;
    world.tick().await;
    world.queue.reconcile().await.unwrap();
    let calls: i64 = sqlx::query_scalar("SELECT count(*) FROM calls")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(calls, 0);
    world.expect(&people[0], TokenState::Expired).await;
}

#[tokio::test]
async fn promise_15_a_transaction_given_up_while_it_begins_takes_no_later_commit_with_it() {
    let world = World::with(&[("DATABASE_MAX_CONNECTIONS", "1")]).await;
    let pool = world.config.database.pool().unwrap();
    for given_up in 1..=20_i64 {
        let told = sqlx::query("UPDATE clock_step SET step = step + interval '1 second'")
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(told.rows_affected(), 1);
        let kept: i64 = sqlx::query_scalar("SELECT extract(epoch FROM step)::bigint FROM clock_step")
            .fetch_one(world.database.pool())
            .await
            .unwrap();
        assert_eq!(kept, given_up);
        eventually("the connection to be back", async || {
            (pool.num_idle() > 0).then_some(())
        })
        .await;
        // Sent, and nobody waits for the answer.
        let begins = begin(&pool);
        assert!(futures::poll!(std::pin::pin!(begins)).is_pending());
    }
}

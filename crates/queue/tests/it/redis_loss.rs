//! Redis comes back empty, comes back old, or does not come back.

use queue::app::{AppError, VisitPurpose};
use queue::domain::TokenState;
use vocabulary::UserId;

use crate::world::{AT_ONCE, CLAIM, LATE, PAGE, World, is_unavailable};

#[tokio::test]
async fn who_is_inside_stays_inside_and_takes_a_place() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let (one, two, next) = (
        world.enter(concert).await,
        world.enter(concert).await,
        world.join(concert).await,
    );
    world.tick().await;
    world.redis.flush().await;
    world.tick().await;
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.room.serving.0, room.inside, room.called), (2, 2, 0));
    world.expect(&one, TokenState::Page).await;
    world.expect(&next, TokenState::Waiting).await;

    world.queue.leave(&two.token).await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Page).await;
    assert_eq!(world.pages(concert).await, 2);
}

#[tokio::test]
async fn promise_12_places_in_line_are_kept_by_the_tokens() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    let people = world.join_many(concert, 3).await;
    // A tick notes which numbers were given.
    world.tick().await;
    let before: Vec<_> = [
        world.look(&people[0]).await.position,
        world.look(&people[2]).await.position,
    ]
    .into();
    world.redis.flush().await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 1);
    let after: Vec<_> = [
        world.look(&people[0]).await.position,
        world.look(&people[2]).await.position,
    ]
    .into();
    assert_eq!(before, after);

    let mut last = inside;
    for person in people {
        world.queue.leave(&last.token).await.unwrap();
        world.tick().await;
        world.expect(&person, TokenState::Page).await;
        last = person;
    }
}

#[tokio::test]
async fn who_was_called_is_called_still() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (called, next) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    world.redis.flush().await;
    world.tick().await;
    assert_eq!(
        (world.serving(concert).await, world.called(concert).await),
        (1, 1)
    );
    world.expect(&next, TokenState::Waiting).await;
    world.expect(&called, TokenState::Page).await;
}

#[tokio::test]
async fn a_missed_turn_is_missed_still() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let late = world.join(concert).await;
    world.tick().await;
    world.step(CLAIM).await;
    world.tick().await;
    world.redis.flush().await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 0);
    world.expect(&late, TokenState::TurnMissed).await;
    world.tick().await;
    world.expect(&late, TokenState::Page).await;
}

#[tokio::test]
async fn promise_13_who_found_no_place_stays_first_however_long_ago_the_call_was() {
    let world = World::with(&[("PAGE_SECONDS", "3600")]).await;
    let concert = world.room(2).await;
    let (first, second) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    world.expect(&first, TokenState::Page).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    // As often as one who polls, and for longer than anybody may come late.
    for _ in 0..=(CLAIM + LATE).as_secs() * 2 / CLAIM.as_secs() {
        assert_eq!(world.expect(&second, TokenState::Waiting).await.position, 0);
        world.step(CLAIM / 2).await;
        world.tick().await;
    }
    let again = world.queue.join(concert, second.user).await.unwrap();
    assert_eq!(
        (again.view.number.0, again.view.state, again.view.position),
        (second.number, TokenState::Waiting, 0)
    );
    world.redis.flush().await;
    world.tick().await;
    assert_eq!(world.look(&second).await.position, 0);
    world.queue.leave(&first.token).await.unwrap();
    world.tick().await;
    world.expect(&second, TokenState::Page).await;
}

#[tokio::test]
async fn no_number_is_given_twice_and_numbers_in_doubt_keep_no_places() {
    let world = World::with(&[("NUMBER_BLOCK", "50")]).await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    let known = world.join(concert).await;
    world.tick().await;
    // Given after the last tick: nobody noted it but the one who holds the token.
    let doubtful = world.join(concert).await;
    world.redis.flush().await;
    let new = world.join(concert).await;
    assert_eq!((known.number, doubtful.number, new.number), (2, 3, 51));

    // The known number first; then the doubtful ones are passed over in one step, keeping no place.
    world.queue.leave(&inside.token).await.unwrap();
    world.tick().await;
    world.expect(&known, TokenState::Page).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 50);
    assert_eq!(world.look(&new).await.position, 1);
    world.queue.leave(&known.token).await.unwrap();
    world.tick().await;
    assert_eq!(world.called(concert).await, 1);
    world.expect(&new, TokenState::Page).await;

    // Who holds a doubtful number comes in as a late comer.
    world.expect(&doubtful, TokenState::TurnMissed).await;
    world.queue.leave(&new.token).await.unwrap();
    world.tick().await;
    world.expect(&doubtful, TokenState::Page).await;
}

#[tokio::test]
async fn ranges_in_doubt_of_two_losses_are_both_passed_over() {
    let world = World::with(&[("NUMBER_BLOCK", "10")]).await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    world.redis.flush().await;
    let two = world.join(concert).await;
    world.tick().await;
    world.redis.flush().await;
    let three = world.join(concert).await;
    assert_eq!((two.number, three.number), (11, 21));
    world.tick().await;
    world.queue.leave(&inside.token).await.unwrap();
    world.tick().await;
    world.expect(&two, TokenState::Page).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 20);
    world.queue.leave(&two.token).await.unwrap();
    world.tick().await;
    world.expect(&three, TokenState::Page).await;
}

#[tokio::test]
async fn who_is_inside_or_pays_gets_the_same_number_again() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let (inside, paying) = (world.enter(concert).await, world.enter(concert).await);
    world.queue.end_page(world.visit_of(&paying).await).await.unwrap();
    world.redis.flush().await;
    assert_eq!(world.join_as(concert, inside.user).await.number, inside.number);
    assert_eq!(world.join_as(concert, paying.user).await.number, paying.number);
}

#[tokio::test]
async fn promise_13_one_with_two_numbers_is_admitted_once() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let filler = [world.enter(concert).await, world.enter(concert).await];
    let first = world.join(concert).await;
    world.tick().await;
    world.redis.flush().await;
    // The user asks again, and Redis has forgotten the first number.
    let second = world.join_as(concert, first.user).await;
    assert!(second.number > first.number);
    world.queue.leave(&filler[0].token).await.unwrap();
    world.tick().await;
    world.expect(&first, TokenState::Page).await;
    world.expect(&second, TokenState::Expired).await;
    world.queue.leave(&first.token).await.unwrap();
    world.tick().await;
    world.expect(&second, TokenState::Expired).await;
}

#[tokio::test]
async fn the_later_number_gives_way_also_when_both_were_called() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let filler = world.enter(concert).await;
    let first = world.join(concert).await;
    world.tick().await;
    world.redis.flush().await;
    let second = world.join_as(concert, first.user).await;
    world.put_room(concert, 5, AT_ONCE, None).await;
    world.tick().await;
    world.tick().await;
    world.expect(&second, TokenState::Page).await;
    world.expect(&first, TokenState::Expired).await;
    assert_eq!(world.pages(concert).await, 2);
    world.expect(&filler, TokenState::Page).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_with_an_old_dump_counts_as_empty() {
    let mut world = World::start().await;
    let concert = world.room(2).await;
    let first = world.enter(concert).await;
    let dump = dump(&world).await;
    // What the dump does not know of: a visit, a number.
    let second = world.enter(concert).await;
    let third = world.join(concert).await;
    world.tick().await;
    world.redis.stop().await;
    world.redis.start_again().await;
    restore(&world, dump).await;
    // The broken connection is noticed by the first command, which takes nothing.
    test_support::eventually("redis to be back", async || world.queue.tick().await.ok()).await;

    let new = world.join(concert).await;
    assert!(new.number > third.number, "{new:?}");
    world.tick().await;
    world.tick().await;
    assert_eq!(world.queue.get_room(concert).await.unwrap().inside, 2);
    assert_eq!((world.pages(concert).await, world.serving(concert).await), (2, 2));
    for person in [first, second] {
        world.expect(&person, TokenState::Page).await;
    }
}

async fn dump(world: &World) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut redis = world.redis.connection().await;
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    let mut dump = Vec::new();
    for key in keys {
        let value = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        dump.push((key, value));
    }
    dump
}

async fn restore(world: &World, dump: Vec<(Vec<u8>, Vec<u8>)>) {
    let mut redis = world.redis.connection().await;
    for (key, value) in dump {
        redis::cmd("RESTORE")
            .arg(key)
            .arg(0)
            .arg(value)
            .exec_async(&mut redis)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn without_redis_joining_is_refused_and_what_postgres_knows_is_answered() {
    let mut world = World::start().await;
    let concert = world.room(1).await;
    let (inside, waiting) = (world.enter(concert).await, world.join(concert).await);
    world.tick().await;
    world.redis.stop().await;

    assert!(is_unavailable(&world.queue.join(concert, UserId::new()).await));
    assert!(is_unavailable(&world.queue.tick().await));
    world.expect(&inside, TokenState::Page).await;
    assert_eq!(world.expect(&waiting, TokenState::Waiting).await.position, 1);
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.room.serving.0, room.inside), (1, 1));
    world
        .queue
        .check_visit(&inside.token, inside.user, concert, VisitPurpose::Hold)
        .await
        .unwrap();
    world.queue.end_page(world.visit_of(&inside).await).await.unwrap();

    world.redis.start_again().await;
    test_support::eventually("redis to be back", async || world.queue.tick().await.ok()).await;
    world.expect(&waiting, TokenState::Page).await;
    world.expect(&inside, TokenState::Payment).await;
}

#[tokio::test]
async fn pages_end_on_time_without_redis() {
    let mut world = World::start().await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    world.redis.stop().await;
    world.step(PAGE).await;
    world.expect(&inside, TokenState::Expired).await;
    assert!(is_unavailable(&world.queue.tick().await));
    assert_eq!(world.pages(concert).await, 0);
}

#[tokio::test]
async fn a_room_that_does_not_exist_is_not_found_with_redis_or_without() {
    let world = World::start().await;
    let nowhere = vocabulary::ConcertId::new();
    let joined = world.queue.join(nowhere, UserId::new()).await;
    assert!(matches!(joined, Err(AppError::RoomNotFound)), "{joined:?}");
    assert!(matches!(
        world.queue.get_room(nowhere).await,
        Err(AppError::RoomNotFound)
    ));
    let token = world.token(nowhere, UserId::new(), 1);
    assert!(matches!(
        world.queue.get_token(&token).await,
        Err(AppError::RoomNotFound)
    ));
    world.queue.leave(&token).await.unwrap();
}

//! Giving a place up.

use queue::app::{AppError, VisitOutcome};
use queue::domain::TokenState;
use queue_token::InvalidToken;
use vocabulary::{ConcertId, UserId};

use crate::world::{CLAIM, World};

#[tokio::test]
async fn a_number_that_was_left_is_passed_over_without_a_wait() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    let (leaver, next) = (world.join(concert).await, world.join(concert).await);
    world.queue.leave(&leaver.token).await.unwrap();
    world.tick().await;
    assert_eq!(world.look(&next).await.position, 1, "nobody is in front any more");
    world.queue.leave(&inside.token).await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Page).await;
    world.expect(&leaver, TokenState::Expired).await;
    world.expect(&inside, TokenState::Expired).await;
}

#[tokio::test]
async fn a_number_that_was_left_stays_over_when_redis_forgets_it() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    let (leaver, next) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    world.queue.leave(&leaver.token).await.unwrap();
    world.redis.flush().await;
    world.queue.leave(&inside.token).await.unwrap();
    world.tick().await;
    world.expect(&leaver, TokenState::Expired).await;
    world.expect(&next, TokenState::Page).await;
}

#[tokio::test]
async fn who_is_called_frees_the_place_by_leaving() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (called, next) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    assert_eq!(world.called(concert).await, 1);
    world.queue.leave(&called.token).await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Page).await;
    world.expect(&called, TokenState::Expired).await;
}

#[tokio::test]
async fn a_missed_turn_can_be_left() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let late = world.join(concert).await;
    world.tick().await;
    world.step(CLAIM).await;
    world.expect(&late, TokenState::TurnMissed).await;
    world.queue.leave(&late.token).await.unwrap();
    world.tick().await;
    assert_eq!(world.called(concert).await, 0);
    world.expect(&late, TokenState::Expired).await;
}

#[tokio::test]
async fn leaving_while_paying_leaves_the_hold_alone() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let buyer = world.enter(concert).await;
    let visit = world.visit_of(&buyer).await;
    world.queue.end_page(visit).await.unwrap();
    world.queue.leave(&buyer.token).await.unwrap();
    world.expect(&buyer, TokenState::Payment).await;
    assert!(!world.queue.join(concert, buyer.user).await.unwrap().joined_now);
    world
        .queue
        .end_visits(&[(visit, VisitOutcome::Completed)])
        .await
        .unwrap();
    world.queue.leave(&buyer.token).await.unwrap();
    world.expect(&buyer, TokenState::Completed).await;
}

#[tokio::test]
async fn leaving_twice_is_leaving_once_and_one_may_join_anew() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let person = world.join(concert).await;
    world.queue.leave(&person.token).await.unwrap();
    world.queue.leave(&person.token).await.unwrap();
    world.expect(&person, TokenState::Expired).await;
    let again = world.join_as(concert, person.user).await;
    assert!(again.number > person.number);
    // The old token does not end the new place.
    world.queue.leave(&person.token).await.unwrap();
    world.tick().await;
    world.expect(&again, TokenState::Page).await;
}

#[tokio::test]
async fn only_a_token_of_ours_leaves() {
    let world = World::start().await;
    let right = world.token(ConcertId::new(), UserId::new(), 1);
    let (signed, signature) = right.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(signature.len()));
    for (token, why) in [
        (&*forged, InvalidToken::Forged),
        ("no token", InvalidToken::Malformed),
    ] {
        let refused = world.queue.leave(token).await;
        assert!(
            matches!(refused, Err(AppError::TokenInvalid(named)) if named == why),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn leaving_and_claiming_at_once_end_in_one_of_the_two() {
    let world = World::start().await;
    let concert = world.room(40).await;
    let people = world.join_many(concert, 40).await;
    world.tick().await;
    let races = people.iter().map(async |person| {
        let (_, left) = tokio::join!(
            world.queue.get_token(&person.token),
            world.queue.leave(&person.token)
        );
        left.unwrap();
    });
    futures::future::join_all(races).await;
    // Leaving came first or last: either way nobody is inside, and no place is lost.
    for person in &people {
        world.expect(person, TokenState::Expired).await;
    }
    assert_eq!(world.pages(concert).await, 0);
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.inside, room.called), (0, 0));
}

//! Gathering before an opening: a receipt that was given is kept, whatever becomes of Redis and of replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use queue::app::{AppError, VisitPurpose};
use queue::domain::{DrawState, RoomSettings, RoomState, Stage, TokenState};
use vocabulary::UserId;

use crate::world::{AT_ONCE, SECOND, World};

#[tokio::test]
async fn one_who_comes_before_the_opening_has_a_receipt_and_no_number() {
    let world = World::start().await;
    let concert = world.lobby(5).await;
    let (first, second) = (world.gather(concert).await, world.gather(concert).await);
    assert_eq!((first.receipt.index, second.receipt.index), (0, 1));
    world.tick().await;
    let view = world.expect(&first.person, TokenState::Gathering).await;
    assert_eq!((view.number.0, view.position, view.eta), (0, 0, None));
    assert!(view.poll_after_ms <= 30_000);

    let again = world.queue.join(concert, first.person.user).await.unwrap();
    assert!(!again.joined_now);
    assert_eq!(
        (again.queue_token, again.receipt.as_ref()),
        (first.person.token.clone(), Some(&first.receipt))
    );
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!(
        (room.state, room.last_number.0, room.room.reserved_to.0),
        (RoomState::Scheduled, 2, 0)
    );
    let visit = world
        .queue
        .check_visit(
            &first.person.token,
            first.person.user,
            concert,
            VisitPurpose::Read,
        )
        .await;
    assert!(matches!(visit, Err(AppError::NotAdmitted)), "{visit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_come_at_once_to_two_replicas_leave_no_gap() {
    let world = World::start().await;
    let concert = world.lobby(5).await;
    let twice = UserId::new();
    let replicas = [Arc::clone(&world.queue), world.replica()];
    let joins = (0..120).zip(replicas.iter().cycle()).map(|(i, replica)| {
        let replica = Arc::clone(replica);
        let user = if i % 3 == 0 { twice } else { UserId::new() };
        tokio::spawn(async move { replica.join(concert, user).await })
    });
    let (mut indexes, mut joined_now) = (BTreeSet::new(), 0);
    for join in futures::future::join_all(joins).await {
        let ticket = join.unwrap().unwrap();
        joined_now += usize::from(ticket.joined_now);
        indexes.insert(ticket.receipt.unwrap().index);
    }
    assert_eq!(indexes, (0..81).collect());
    assert_eq!(
        joined_now, 81,
        "promise 13: one who comes forty times has one place"
    );
}

#[tokio::test]
async fn receipts_need_no_redis_and_outlive_one_that_was_lost() {
    let mut world = World::start().await;
    let concert = world.lobby(5).await;
    let before = world.gather(concert).await;
    world.tick().await;
    world.redis.flush().await;
    world.redis.stop().await;
    let without = world.gather(concert).await;
    world.expect(&before.person, TokenState::Gathering).await;
    world.redis.start_again().await;
    for member in [&before, &without] {
        let again = world.gather_as(concert, member.person.user).await;
        assert_eq!(again.receipt, member.receipt);
    }
    assert_eq!(world.record(concert).await.count, 2);
}

#[tokio::test]
async fn who_leaves_and_comes_back_keeps_the_place_and_who_stays_away_is_passed_over() {
    let world = World::start().await;
    let concert = world.lobby(10).await;
    let members = world.gather_many(concert, 6).await;
    for member in &members[..4] {
        world.queue.leave(&member.person.token).await.unwrap();
        world.expect(&member.person, TokenState::Expired).await;
    }
    let back = world.gather_as(concert, members[0].person.user).await;
    assert_eq!(back.receipt, members[0].receipt);
    world.expect(&members[0].person, TokenState::Gathering).await;

    let draw = world.draw(concert).await;
    assert_eq!((draw.state, draw.count), (DrawState::Open, 6));
    world.tick().await;
    // Six numbers are called, and three of them keep no place.
    assert_eq!(
        (world.serving(concert).await, world.called(concert).await),
        (6, 3)
    );
    for (index, member) in members.iter().enumerate() {
        let state = if (1..4).contains(&index) {
            TokenState::Expired
        } else {
            TokenState::Page
        };
        world.expect(&member.person, state).await;
    }
    // Who had left may join anew, behind everybody.
    assert_eq!(world.join_as(concert, members[1].person.user).await.number, 7);
}

#[tokio::test]
async fn one_who_leaves_while_the_draw_is_made_is_passed_over_too() {
    let world = World::start().await;
    let concert = world.lobby(10).await;
    let members = world.gather_many(concert, 3).await;
    world.step(SECOND * 60).await;
    world.queue.advance_draws().await.unwrap();
    world.queue.leave(&members[0].person.token).await.unwrap();
    world.draw(concert).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 2);
    world.expect(&members[0].person, TokenState::Expired).await;
}

#[tokio::test]
async fn from_the_opening_on_nobody_is_in_the_lobby_whether_it_was_closed_yet_or_not() {
    let world = World::start().await;
    let concert = world.lobby(10).await;
    world.gather_many(concert, 3).await;
    world.tick().await;
    world.step(SECOND * 60).await;
    let late = world.join(concert).await;
    assert_eq!(late.number, 4);
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.room.stage, room.room.drawn_to.0), (Stage::Drawing, 3));
    assert_eq!(world.expect(&late, TokenState::Waiting).await.position, 4);
}

#[tokio::test]
async fn a_lobby_opens_at_once_where_the_organiser_says_so() {
    let world = World::start().await;
    let concert = world.lobby(10).await;
    let member = world.gather(concert).await;
    world.put_room(concert, 10, AT_ONCE, None).await;
    world.queue.advance_draws().await.unwrap();
    world.step(SECOND * 2).await;
    world.queue.advance_draws().await.unwrap();
    world.tick().await;
    world.expect(&member.person, TokenState::Page).await;
}

#[tokio::test]
async fn a_lobby_whose_opening_is_moved_goes_on_gathering() {
    let world = World::start().await;
    let concert = world.lobby(10).await;
    world.gather(concert).await;
    let later = world.now().await + SECOND * 600;
    world.put_room(concert, 10, AT_ONCE, Some(later)).await;
    world.step(SECOND * 60).await;
    world.queue.advance_draws().await.unwrap();
    assert_eq!(world.gather(concert).await.receipt.index, 1);
}

#[tokio::test]
async fn a_room_that_nobody_has_joined_gets_a_lobby_also_where_a_replica_has_not_heard_of_it() {
    let world = World::start().await;
    let concert = world.room(10).await;
    world.tick().await;
    let later = world.now().await + SECOND * 60;
    let settings = RoomSettings::new(10, AT_ONCE, Some(later));
    world.replica().put_room(concert, settings).await.unwrap();
    // This replica saw an open line a moment ago; the database gives it no number.
    let member = world.gather(concert).await;
    assert_eq!(member.receipt.index, 0);
    assert_eq!(world.queue.get_room(concert).await.unwrap().room.reserved_to.0, 0);
    world.expect(&member.person, TokenState::Gathering).await;
}

#[tokio::test]
async fn a_draw_is_never_made_anew() {
    let world = World::start().await;
    let concert = world.lobby(10).await;
    let member = world.gather(concert).await;
    let drawn = world.draw(concert).await;
    let later = world.now().await + SECOND * 600;
    world.put_room(concert, 10, AT_ONCE, Some(later)).await;
    world.queue.advance_draws().await.unwrap();
    assert_eq!(world.record(concert).await, drawn);
    world.tick().await;
    assert_eq!(
        world.expect(&member.person, TokenState::Waiting).await.number.0,
        1
    );
}

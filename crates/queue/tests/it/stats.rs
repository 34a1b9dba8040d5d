//! What an operator sees of a room.

use queue::app::{AppError, RoomStats, VisitOutcome};
use queue::domain::{RoomMode, TokenState};
use queue::store::VisitCounts;
use vocabulary::ConcertId;

use crate::world::{CLAIM, PAGE, SECOND, World};

impl World {
    async fn stats(&self, concert: ConcertId) -> RoomStats {
        self.queue.room_stats(concert).await.unwrap()
    }
}

#[tokio::test]
async fn counts_follow_people_from_the_line_to_their_end() {
    let world = World::start().await;
    let concert = world.room(3).await;
    let people = world.join_many(concert, 6).await;
    // A place that is given up before its turn is no visit.
    world.queue.leave(&people[5].token).await.unwrap();
    world.tick().await;
    let stats = world.stats(concert).await;
    assert_eq!(
        (
            stats.view.room.position(stats.view.last_number),
            stats.view.called,
            stats.view.inside
        ),
        (3, 3, 0)
    );
    let none = VisitCounts {
        paying: 0,
        completed: 0,
        expired: 0,
        admitted: 0,
        admitted_last_minute: 0,
    };
    assert_eq!(stats.visits, none);

    for person in &people[..3] {
        world.expect(person, TokenState::Page).await;
    }
    let stats = world.stats(concert).await;
    let three = VisitCounts {
        admitted: 3,
        admitted_last_minute: 3,
        ..none
    };
    assert_eq!(
        (stats.visits, stats.view.inside, stats.view.called),
        (three, 3, 0)
    );

    let (first, second) = (world.visit_of(&people[0]).await, world.visit_of(&people[1]).await);
    world.queue.end_page(first).await.unwrap();
    world.queue.end_page(second).await.unwrap();
    let stats = world.stats(concert).await;
    assert_eq!((stats.visits.paying, stats.view.inside), (2, 1));

    world
        .queue
        .end_visits(&[(first, VisitOutcome::Completed)])
        .await
        .unwrap();
    world
        .queue
        .end_visits(&[(second, VisitOutcome::Expired)])
        .await
        .unwrap();
    world.step(PAGE).await;
    world.tick().await;
    let over = VisitCounts {
        completed: 1,
        expired: 2,
        admitted: 3,
        ..none
    };
    assert_eq!(world.stats(concert).await.visits, over);
}

#[tokio::test]
async fn a_missed_turn_is_counted_once_and_stays_counted() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let people = world.join_many(concert, 3).await;
    world.tick().await;
    world.step(CLAIM).await;
    // One asks before the room is looked at, the other never.
    world.expect(&people[0], TokenState::TurnMissed).await;
    assert_eq!(world.stats(concert).await.lapsed, 1);
    world.tick().await;
    assert_eq!(world.stats(concert).await.lapsed, 2);
    // Coming late makes no turn good.
    world.expect(&people[0], TokenState::Page).await;
    world.step(SECOND).await;
    world.tick().await;
    assert_eq!(world.stats(concert).await.lapsed, 2);
    // A pause has none.
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(CLAIM * 2).await;
    world.tick().await;
    assert_eq!(world.stats(concert).await.lapsed, 2);
}

#[tokio::test]
async fn missed_turns_outlive_redis_and_are_told_without_it() {
    let mut world = World::start().await;
    let concert = world.room(2).await;
    world.join_many(concert, 4).await;
    world.tick().await;
    world.step(CLAIM).await;
    world.tick().await;
    assert_eq!(world.stats(concert).await.lapsed, 2);

    world.redis.flush().await;
    assert_eq!(world.stats(concert).await.lapsed, 2, "before it is filled");
    world.tick().await;
    assert_eq!(world.stats(concert).await.lapsed, 2, "after it is filled");
    world.step(CLAIM).await;
    world.tick().await;
    assert_eq!(world.stats(concert).await.lapsed, 4, "and counts on");

    world.redis.stop().await;
    let stats = world.stats(concert).await;
    assert_eq!((stats.lapsed, stats.visits.admitted), (4, 0));
}

#[tokio::test]
async fn a_room_that_is_not_there_has_no_counts() {
    let world = World::start().await;
    let nowhere = world.queue.room_stats(ConcertId::new()).await;
    assert!(matches!(nowhere, Err(AppError::RoomNotFound)), "{nowhere:?}");
}

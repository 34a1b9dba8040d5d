//! How long one who waits is told to wait.

use queue::domain::{RoomMode, TokenState};
use vocabulary::ConcertId;

use crate::world::{AT_ONCE, Person, SECOND, World};

/// A room that lets so many in, second by second.
async fn admit(world: &World, concert: ConcertId, seconds: impl IntoIterator<Item = usize>) {
    for people in seconds {
        let people = world.join_many(concert, people).await;
        world.tick().await;
        for person in &people {
            world.expect(person, TokenState::Page).await;
        }
        world.step(SECOND).await;
    }
    world.tick().await;
}

/// From, expected and to, in seconds.
async fn wait(world: &World, person: &Person) -> Option<(u32, u32, Option<u32>)> {
    let eta = world.look(person).await.eta?;
    Some((eta.from_seconds, eta.expected_seconds, eta.to_seconds))
}

#[tokio::test]
async fn a_wait_is_a_range_from_the_fastest_to_the_slowest_part_of_the_last_minute() {
    let world = World::with(&[("PAGE_SECONDS", "3600")]).await;
    let concert = world.room(500).await;
    admit(&world, concert, [0]).await;
    // A rush, a lull, and one a second.
    admit(&world, concert, [20].into_iter().chain([0; 15]).chain([1; 20])).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    let waiting = world.join_many(concert, 40).await;
    // The test takes time of its own, so nothing here is exact.
    let (from, expected, to) = wait(&world, &waiting[39]).await.unwrap();
    assert!(
        (20..=40).contains(&from) && (36..=90).contains(&expected),
        "{from} {expected}"
    );
    assert_eq!(to, None, "a part of it let nobody in");

    world.put_room(concert, 500, AT_ONCE, None).await;
    world.tick().await;
    for person in &waiting {
        world.expect(person, TokenState::Page).await;
    }
    // A minute on, all that is forgotten.
    world.step(60 * SECOND).await;
    admit(&world, concert, [2; 62]).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    let waiting = world.join_many(concert, 40).await;
    let (from, expected, to) = wait(&world, &waiting[39]).await.unwrap();
    let to = to.unwrap();
    assert!(
        20 <= from && from <= expected && expected <= to && to <= 80,
        "{from} {expected} {to}"
    );
}

#[tokio::test]
async fn nobody_is_told_of_a_wait_shorter_than_a_new_pace_allows() {
    let world = World::with(&[("PAGE_SECONDS", "3600")]).await;
    let concert = world.room(500).await;
    admit(&world, concert, [5; 12]).await;
    world.put_room(concert, 60, 1, None).await;
    let waiting = world.join_many(concert, 21).await;
    let (from, expected, _) = wait(&world, &waiting[20]).await.unwrap();
    assert!(from >= 20 && expected >= 20, "{from} {expected}");
}

#[tokio::test]
async fn nothing_is_estimated_in_a_pause_nor_from_what_was_before_it() {
    let world = World::with(&[("PAGE_SECONDS", "3600")]).await;
    let concert = world.room(500).await;
    admit(&world, concert, [1; 12]).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    let person = world.join(concert).await;
    assert!(wait(&world, &person).await.is_some());

    world.set_mode(concert, RoomMode::Paused).await;
    world.tick().await;
    assert_eq!(wait(&world, &person).await, None);
    world.step(60 * SECOND).await;
    world.set_mode(concert, RoomMode::Open).await;
    world.tick().await;
    assert_eq!(wait(&world, &person).await, None, "nothing is measured yet");
    world.put_room(concert, 500, AT_ONCE, None).await;
    world.tick().await;
    world.expect(&person, TokenState::Page).await;
    admit(&world, concert, [1; 12]).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    let other = world.join(concert).await;
    let (_, expected, _) = wait(&world, &other).await.unwrap();
    assert!((1..=3).contains(&expected), "{expected}");
}

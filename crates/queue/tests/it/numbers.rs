//! Numbers: given once, in order, across blocks and replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use queue::domain::TokenState;
use vocabulary::UserId;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_joins_on_two_replicas_get_every_number_once() {
    let world = World::with(&[("NUMBER_BLOCK", "25")]).await;
    let concert = world.room(1).await;
    let replicas = [Arc::clone(&world.queue), world.replica()];
    let joins = (0..100).zip(replicas.iter().cycle()).map(|(_, replica)| {
        let replica = Arc::clone(replica);
        tokio::spawn(async move { replica.join(concert, UserId::new()).await })
    });
    let mut numbers = BTreeSet::new();
    for join in futures::future::join_all(joins).await {
        assert!(numbers.insert(join.unwrap().unwrap().view.number.0));
    }
    assert_eq!(numbers, (1..=100).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_joins_many_times_at_once_gets_one_number() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let user = UserId::new();
    let replicas = [Arc::clone(&world.queue), world.replica()];
    let joins = (0..40).zip(replicas.iter().cycle()).map(|(_, replica)| {
        let replica = Arc::clone(replica);
        tokio::spawn(async move { replica.join(concert, user).await })
    });
    let tickets: Vec<_> = futures::future::join_all(joins)
        .await
        .into_iter()
        .map(|join| join.unwrap().unwrap())
        .collect();
    assert_eq!(tickets.iter().filter(|ticket| ticket.joined_now).count(), 1);
    assert!(tickets.iter().all(|ticket| ticket.view.number.0 == 1));
}

#[tokio::test]
async fn blocks_follow_each_other_without_a_gap_whatever_their_size() {
    for block in ["1", "2", "3"] {
        let world = World::with(&[("NUMBER_BLOCK", block)]).await;
        let concert = world.room(10).await;
        let people = world.join_many(concert, 10).await;
        assert_eq!(
            people.iter().map(|person| person.number).collect::<Vec<_>>(),
            (1..=10).collect::<Vec<_>>()
        );
        world.tick().await;
        for person in &people {
            world.expect(person, TokenState::Page).await;
        }
    }
}

#[tokio::test]
async fn every_room_has_numbers_of_its_own() {
    let world = World::start().await;
    let (one, two) = (world.room(1).await, world.room(1).await);
    let user = UserId::new();
    assert_eq!(world.join_as(one, user).await.number, 1);
    assert_eq!(world.join_as(two, user).await.number, 1);
}

#[tokio::test]
async fn a_number_that_was_never_given_is_expired() {
    let world = World::start().await;
    let concert = world.room(1).await;
    world.join(concert).await;
    for number in [1_000_000, u64::MAX] {
        let token = world.token(concert, UserId::new(), number);
        assert_eq!(
            world.queue.get_token(&token).await.unwrap().state,
            TokenState::Expired
        );
        world.queue.leave(&token).await.unwrap();
    }
}

#[tokio::test]
async fn promise_13_nobody_is_called_before_a_smaller_number() {
    let world = World::start().await;
    let concert = world.room(3).await;
    let people = world.join_many(concert, 12).await;
    let mut admitted = Vec::new();
    while admitted.len() < people.len() {
        world.tick().await;
        for person in &people {
            if !admitted.contains(&person.number) && world.look(person).await.state == TokenState::Page {
                admitted.push(person.number);
                if person.number % 2 == 0 {
                    world.queue.leave(&person.token).await.unwrap();
                }
            }
        }
        let oldest = people
            .iter()
            .find(|person| admitted.contains(&person.number) && person.number % 2 == 1);
        world.step(crate::world::PAGE).await;
        assert!(oldest.is_some());
    }
    assert!(admitted.is_sorted(), "{admitted:?}");
}

//! The draw: one outcome, whoever takes its steps, and one that everybody can check.

use std::sync::Arc;

use fair_draw::{Proof, Record, Room};
use futures::TryStreamExt as _;
use queue::app::AppError;
use queue::domain::{Draw, DrawState, OperatorTrusted, TokenState};
use vocabulary::{ConcertId, UserId};

use crate::world::{Member, SECOND, World};

/// The record as it is published.
pub(crate) fn published(draw: &Draw) -> Room {
    let revealed = draw.revealed.as_ref();
    let trusted = match revealed.map(|revealed| revealed.beacon) {
        None if draw.beacon.is_some() => None,
        None => Some(OperatorTrusted::NoBeacon),
        Some(beacon) => beacon.err(),
    };
    Room {
        concert_id: draw.concert_id.as_uuid(),
        fairness: Some(Record {
            version: fair_draw::VERSION,
            state: draw.state,
            receipt_key: draw.receipt_key,
            commitment: draw.commitment,
            beacon: draw.beacon.as_ref().map(|beacon| fair_draw::Beacon {
                chain: beacon.chain.clone(),
                round: beacon.round,
                value: revealed.and_then(|revealed| revealed.beacon.ok()),
            }),
            operator_trusted: trusted.is_some(),
            operator_trusted_because: trusted,
            count: Some(draw.count).filter(|_| draw.state > DrawState::Gathering),
            root: draw.sealed.map(|(root, _)| root),
            secret: revealed.map(|revealed| revealed.secret),
            seed: revealed.map(|revealed| revealed.seed),
        }),
    }
}

/// Checks everything that was published, as anybody may, and answers everybody's number.
pub(crate) async fn check(world: &World, concert: ConcertId, before: &Room, members: &[Member]) -> Vec<u64> {
    let record = published(&world.record(concert).await);
    let verified = fair_draw::verify_record(&record, Some(before)).unwrap();
    let mut numbers = Vec::new();
    for member in members {
        let proof = world.queue.proof(&member.person.token).await.unwrap();
        let proof = Proof {
            concert_id: proof.concert_id.as_uuid(),
            index: proof.index,
            path: proof.path,
            number: proof.number.map(|number| number.0),
        };
        let user = Some(member.person.user.as_uuid());
        let number = fair_draw::verify_receipt(&verified, &member.receipt, &proof, user).unwrap();
        assert_eq!(proof.number, Some(number));
        numbers.push(number);
    }
    let pages: Vec<_> = world
        .queue
        .list_leaves(concert)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let leaves: Vec<_> = pages.concat();
    for member in members {
        fair_draw::verify_all(&verified, &leaves, Some(&member.receipt)).unwrap();
    }
    numbers
}

#[tokio::test]
async fn everybody_is_admitted_once_in_the_drawn_order_and_late_comers_after_them() {
    let world = World::start().await;
    let concert = world.lobby(1).await;
    // More than one chunk of the tree.
    let members = world.gather_many(concert, 300).await;
    let before = published(&world.record(concert).await);
    world.draw(concert).await;
    let late = world.join(concert).await;
    assert_eq!(late.number, 301);

    let numbers = check(&world, concert, &before, &members).await;
    assert!(!numbers.is_sorted(), "the order is not that of arrival");
    let mut line: Vec<_> = numbers
        .iter()
        .copied()
        .zip(members.iter().map(|member| &member.person))
        .collect();
    line.sort_unstable_by_key(|(number, _)| *number);
    assert!(line.iter().map(|(number, _)| *number).eq(1..=300));

    for (number, person) in line.into_iter().take(4) {
        world.tick().await;
        let view = world.expect(person, TokenState::Page).await;
        assert_eq!(view.number.0, number);
        let again = world.queue.join(concert, person.user).await.unwrap();
        assert_eq!((again.view.number.0, again.joined_now), (number, false));
        world.queue.leave(&person.token).await.unwrap();
    }
    assert_eq!(world.look(&late).await.position, 301 - 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_replicas_that_close_a_lobby_at_once_one_does_and_nobody_is_lost() {
    let world = World::start().await;
    let concert = world.lobby(5).await;
    world.gather_many(concert, 3).await;
    // People go on coming while the opening comes and everybody closes.
    let replicas = [Arc::clone(&world.queue), world.replica(), world.replica()];
    let comers = (0..60).zip(replicas.iter().cycle()).map(|(_, replica)| {
        let replica = Arc::clone(replica);
        tokio::spawn(async move { replica.join(concert, UserId::new()).await.unwrap() })
    });
    let comers: Vec<_> = comers.collect();
    world.step(SECOND * 60).await;
    let draws = world.draws();
    let closings = futures::future::join_all((0..6).map(|_| draws.close(concert))).await;
    let comers = futures::future::join_all(comers).await;
    let closed = closings
        .into_iter()
        .filter(|closed| *closed.as_ref().unwrap())
        .count();
    assert!(closed <= 1, "{closed}");

    let count = world.record(concert).await.count;
    let mut numbers: Vec<_> = comers
        .into_iter()
        .map(|ticket| {
            let ticket = ticket.unwrap();
            match ticket.receipt {
                Some(receipt) => receipt.index + 1,
                None => ticket.view.number.0,
            }
        })
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(4..=63), "{numbers:?}");
    let kept = draws.commitments(concert, 0, 100).await.unwrap();
    assert_eq!(kept.len() as u64, count, "whoever has a receipt is counted");
}

#[tokio::test]
async fn control_a_closing_that_does_not_hold_the_draws_row_loses_who_comes_meanwhile() {
    let world = World::start().await;
    let concert = world.lobby(5).await;
    world.gather_many(concert, 3).await;
    let counted: i64 = sqlx::query_scalar("SELECT count FROM draws")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    let lost = world.gather(concert).await;
    sqlx::query("UPDATE draws SET state = 'CLOSED', count = $1")
        .bind(counted)
        .execute(world.database.pool())
        .await
        .unwrap();
    assert!(lost.receipt.index >= world.record(concert).await.count);
}

#[tokio::test]
async fn a_crash_between_any_two_steps_and_a_lost_redis_change_nothing() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    let members = world.gather_many(concert, 20).await;
    let before = published(&world.record(concert).await);
    world.step(SECOND * 60).await;
    let steps = [
        DrawState::Closed,
        DrawState::Sealed,
        DrawState::Drawn,
        DrawState::Open,
    ];
    for state in steps {
        if state == DrawState::Drawn {
            // The root is shown for a while before anything follows from it.
            assert!(!world.replica().step_draw(concert).await.unwrap());
            world.step(SECOND * 2).await;
        }
        // A process that was never here takes one step and is gone.
        world.redis.flush().await;
        assert!(world.replica().step_draw(concert).await.unwrap());
        assert_eq!(world.record(concert).await.state, state);
        for member in [&members[0], &members[19]] {
            let again = world.replica().join(concert, member.person.user).await.unwrap();
            assert_eq!(
                (again.joined_now, again.receipt.as_ref()),
                (false, Some(&member.receipt))
            );
        }
    }
    world.redis.flush().await;
    let numbers = check(&world, concert, &before, &members).await;
    world.tick().await;
    for (member, number) in members.iter().zip(numbers) {
        assert_eq!(
            world.expect(&member.person, TokenState::Page).await.number.0,
            number
        );
    }
    assert_eq!(world.pages(concert).await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_draw_at_once_come_to_one_outcome() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    let members = world.gather_many(concert, 10).await;
    let before = published(&world.record(concert).await);
    let replicas = [world.replica(), world.replica(), world.replica()];
    for step in [SECOND * 60, SECOND * 2] {
        world.step(step).await;
        let drives = replicas.iter().map(|replica| replica.advance_draws());
        for driven in futures::future::join_all(drives).await {
            driven.unwrap();
        }
    }
    assert_eq!(world.record(concert).await.state, DrawState::Open);
    let mut numbers = check(&world, concert, &before, &members).await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=10));
}

#[tokio::test]
async fn a_replica_that_has_just_come_to_a_lost_redis_shows_rooms_with_their_draws() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    world.gather(concert).await;
    world.step(SECOND * 60).await;
    world.queue.advance_draws().await.unwrap();
    world.redis.flush().await;
    let replica = world.replica();
    replica.tick().await.unwrap();
    let seen = replica.watch_rooms().borrow().rooms[&concert]
        .draw
        .clone()
        .unwrap();
    assert_eq!((seen.state, seen.count), (DrawState::Sealed, 1));
}

#[tokio::test]
async fn what_was_drawn_is_not_drawn_again() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    world.gather(concert).await;
    let drawn = world.draw(concert).await;
    let other = fair_draw::Hash::from([9; 32]);
    let again = world
        .draws()
        .reveal(concert, &other, Err(OperatorTrusted::NoBeacon))
        .await
        .unwrap();
    assert!(!again);
    assert!(!world.draws().close(concert).await.unwrap());
    assert_eq!(world.record(concert).await, drawn);
}

#[tokio::test]
async fn the_secret_is_shown_only_after_the_root() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    world.gather(concert).await;
    let early = world.draws().secret(concert).await.unwrap();
    assert_eq!(early, None, "nobody of ours reads it early either");
    world.step(SECOND * 60).await;
    world.queue.advance_draws().await.unwrap();
    let sealed = world.record(concert).await;
    assert_eq!((sealed.state, sealed.revealed), (DrawState::Sealed, None));
    assert!(sealed.sealed.is_some());
}

#[tokio::test]
async fn proofs_wait_for_the_root_and_late_comers_have_none() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    let member = world.gather(concert).await;
    let early = world.queue.proof(&member.person.token).await;
    assert!(matches!(early, Err(AppError::DrawPending)), "{early:?}");
    assert!(matches!(
        world.queue.list_leaves(concert).await,
        Err(AppError::DrawPending)
    ));
    world.draw(concert).await;
    let late = world.join(concert).await;
    let none = world.queue.proof(&late.token).await;
    assert!(matches!(none, Err(AppError::NoLobby)), "{none:?}");
    let never = world.room(1).await;
    assert!(matches!(
        world.queue.list_leaves(never).await,
        Err(AppError::NoLobby)
    ));
}

#[tokio::test]
async fn a_lobby_that_nobody_came_to_opens_as_any_room() {
    let world = World::start().await;
    let concert = world.lobby(50).await;
    let before = published(&world.record(concert).await);
    world.draw(concert).await;
    check(&world, concert, &before, &[]).await;
    let first = world.join(concert).await;
    assert_eq!(first.number, 1);
    world.tick().await;
    world.expect(&first, TokenState::Page).await;
}

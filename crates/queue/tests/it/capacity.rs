//! Promise 11: never more visits on the page than the room's capacity, at every instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use queue::app::{AppError, Queue, VisitOutcome};
use queue::domain::TokenState;
use queue::store::{Admission, Claimed};
use tokio::sync::watch;
use vocabulary::{ConcertId, QueueNumber};

use crate::world::{AT_ONCE, PAGE, Person, SECOND, World};

/// A room of `capacity` where `count` people are called at once, as only a change of its settings can do.
async fn called_at_once(world: &World, capacity: u32, count: u32) -> (ConcertId, Vec<Person>) {
    let concert = world.room(count).await;
    let people = world.join_many(concert, count as usize).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, count);
    world.put_room(concert, capacity, AT_ONCE, None).await;
    (concert, people)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_11_a_hundred_claims_at_once_take_no_more_places_than_there_are() {
    let world = World::start().await;
    let (concert, people) = called_at_once(&world, 7, 100).await;
    let replicas = [Arc::clone(&world.queue), world.replica()];
    let claims = people
        .iter()
        .zip(replicas.iter().cycle())
        .map(|(person, replica)| {
            let (replica, token) = (Arc::clone(replica), person.token.clone());
            tokio::spawn(async move { replica.get_token(&token).await.unwrap().state })
        });
    let states = futures::future::join_all(claims).await;
    let admitted = states
        .iter()
        .filter(|state| *state.as_ref().unwrap() == TokenState::Page)
        .count();
    assert_eq!((admitted, world.pages(concert).await), (7, 7));

    // Who was called and found no place is still called, and comes before anybody new.
    let newcomer = world.join(concert).await;
    assert_eq!(world.called(concert).await, 93);
    let (inside, waiting): (Vec<_>, Vec<_>) = people
        .iter()
        .zip(&states)
        .partition(|(_, state)| *state.as_ref().unwrap() == TokenState::Page);
    world.queue.leave(&inside[0].0.token).await.unwrap();
    world.tick().await;
    world.expect(&newcomer, TokenState::Waiting).await;
    world.expect(waiting[0].0, TokenState::Page).await;
    assert_eq!(world.pages(concert).await, 7);
}

/// The control of the test above: Postgres alone does not bound the page, so it is the script's guard that does.
#[tokio::test]
async fn without_the_guard_of_the_line_the_page_overflows() {
    let world = World::start().await;
    let (concert, people) = called_at_once(&world, 7, 100).await;
    let (visits, _) = world.stores();
    let claimed = Claimed {
        epoch: visits.room(concert).await.unwrap().unwrap().epoch,
        capacity: 7,
        valid_until: world.now().await + SECOND * 60,
        other_number: None,
    };
    let admissions = people.iter().map(async |person| {
        let number = QueueNumber(person.number);
        let admission = visits
            .admit(concert, person.user, number, &claimed, PAGE)
            .await
            .unwrap();
        matches!(admission, Admission::Admitted { .. })
    });
    let admitted = futures::future::join_all(admissions).await;
    assert!(admitted.iter().all(|admitted| *admitted));
    assert_eq!(world.pages(concert).await, 100);
}

/// Everybody polls, holds, pays, leaves or stays away, on two replicas that both tick.
async fn crowd(world: &World, concert: ConcertId, people: usize, lose_redis: bool) {
    let replicas = [Arc::clone(&world.queue), world.replica()];
    let over = Arc::new(AtomicBool::new(false));
    let samples = Arc::new(watch::Sender::new(0_u64));

    let watch = {
        let (pool, over, samples) = (
            world.database.pool().clone(),
            Arc::clone(&over),
            Arc::clone(&samples),
        );
        tokio::spawn(async move {
            let (mut most, mut serving) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let (pages, now_serving): (i64, i64) = sqlx::query_as(
                    "SELECT (SELECT count(*) FROM visits WHERE concert_id = $1 AND state = 'PAGE'),
                        (SELECT serving FROM rooms WHERE concert_id = $1)",
                )
                .bind(concert.as_uuid())
                .fetch_one(&pool)
                .await
                .unwrap();
                assert!(
                    now_serving >= serving,
                    "promise 12: {now_serving} after {serving}"
                );
                (most, serving) = (pages.max(most), now_serving);
                samples.send_modify(|samples| *samples += 1);
            }
            most
        })
    };
    let ticking = replicas.clone().map(|replica| {
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                // A tick that meets a lost Redis fails, and the next fills the room.
                let _ = replica.tick().await;
                let _ = replica.reconcile().await;
                tokio::task::yield_now().await;
            }
        })
    });
    let visitors: Vec<_> = (0..people)
        .map(|index| {
            let replica = Arc::clone(&replicas[index % 2]);
            tokio::spawn(visitor(replica, concert, index, samples.subscribe()))
        })
        .collect();
    if lose_redis {
        for _ in 0..12 {
            world.redis.flush().await;
            let served = world.serving(concert).await;
            test_support::eventually("the line to move on", async || {
                let done = visitors.iter().all(tokio::task::JoinHandle::is_finished);
                (done || world.serving(concert).await > served).then_some(())
            })
            .await;
        }
    }
    for visitor in visitors {
        visitor.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for ticking in ticking {
        ticking.await.unwrap();
    }
    let most = watch.await.unwrap();
    assert!((1..=5).contains(&most), "{most} on a page for 5");
}

/// Takes a place, waits for the turn, stays until the page was counted, and ends the visit in one of three ways.
async fn visitor(queue: Arc<Queue>, concert: ConcertId, index: usize, mut samples: watch::Receiver<u64>) {
    let user = vocabulary::UserId::new();
    let ticket = retry(|| queue.join(concert, user)).await;
    let visit = loop {
        let view = retry(|| queue.get_token(&ticket.queue_token)).await;
        match view.state {
            TokenState::Page => break view.visit_id.unwrap(),
            TokenState::Waiting | TokenState::TurnMissed => tokio::task::yield_now().await,
            other => panic!("{other} in line, {ticket:?}"),
        }
    };
    let admitted_at = *samples.borrow_and_update();
    // The count that runs now may have begun before.
    samples.wait_for(|now| *now >= admitted_at + 2).await.unwrap();
    match index % 5 {
        0 => retry(|| queue.leave(&ticket.queue_token)).await,
        1 => {
            let told = [(visit, VisitOutcome::Expired)];
            retry(|| queue.end_visits(&told)).await;
        }
        _ => {
            retry(|| queue.end_page(visit)).await;
            let told = [(visit, VisitOutcome::Completed)];
            retry(|| queue.end_visits(&told)).await;
        }
    }
    let end = retry(|| queue.get_token(&ticket.queue_token)).await.state;
    assert!(
        matches!(end, TokenState::Expired | TokenState::Completed),
        "{end}"
    );
}

async fn retry<T, F>(ask: impl Fn() -> F + Send) -> T
where
    F: Future<Output = Result<T, AppError>> + Send,
{
    for _ in 0..100 {
        match ask().await {
            Ok(answer) => return answer,
            Err(AppError::Unsettled) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the line did not settle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_11_and_12_hold_in_a_crowd_with_two_replicas_that_tick() {
    let world = World::with(&[("NUMBER_BLOCK", "7")]).await;
    let concert = world.room(5).await;
    crowd(&world, concert, 60, false).await;
    world.tick().await;
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.inside, room.called), (0, 0), "no place is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_11_and_12_hold_while_redis_is_lost_again_and_again() {
    let world = World::with(&[("NUMBER_BLOCK", "7")]).await;
    let concert = world.room(5).await;
    crowd(&world, concert, 120, true).await;
    world.tick().await;
    world.queue.reconcile().await.unwrap();
    assert_eq!(world.pages(concert).await, 0);
    assert_eq!(
        world.queue.get_room(concert).await.unwrap().inside,
        0,
        "no place is lost"
    );
}

//! Open, paused, draining: what an operator may do with a room while people wait.

use std::sync::Arc;
use std::time::Duration;

use queue::app::AppError;
use queue::domain::{RoomMode, RoomSettings, RoomState, Stage, TokenState};
use queue::store::{Admission, Claim, ClaimWindows, Claimed};
use rstest::rstest;
use service_kit::database::begin;
use test_support::eventually;
use vocabulary::{ConcertId, QueueNumber, UserId, VisitId};

use crate::world::{AT_ONCE, CLAIM, LATE, PAGE, Person, SECOND, World};

const HOUR: Duration = Duration::from_secs(3_600);

/// A room with a place for everybody, and so many people who are called.
async fn called(world: &World, count: usize) -> (ConcertId, Vec<Person>) {
    let concert = world.room(100).await;
    let people = world.join_many(concert, count).await;
    world.tick().await;
    assert_eq!(world.called(concert).await as usize, count);
    (concert, people)
}

#[tokio::test]
async fn a_paused_room_gives_numbers_and_calls_nobody() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let first = world.join(concert).await;
    let room = world.set_mode(concert, RoomMode::Paused).await;
    assert_eq!(room.state, RoomState::Paused);
    let second = world.join(concert).await;
    world.tick().await;
    assert_eq!((second.number, world.serving(concert).await), (2, 0));
    let view = world.expect(&first, TokenState::Waiting).await;
    assert_eq!((view.paused, view.position, view.eta), (true, 1, None));

    assert_eq!(
        world.set_mode(concert, RoomMode::Open).await.state,
        RoomState::Open
    );
    world.tick().await;
    for person in [first, second] {
        assert!(!world.expect(&person, TokenState::Page).await.paused);
    }
}

#[tokio::test]
async fn who_is_inside_a_paused_room_goes_on() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (inside, next) = (world.enter(concert).await, world.join(concert).await);
    world.set_mode(concert, RoomMode::Paused).await;
    let view = world.expect(&inside, TokenState::Page).await;
    assert!(!view.paused, "who is inside waits for nothing");
    world.queue.end_page(view.visit_id.unwrap()).await.unwrap();
    world.expect(&inside, TokenState::Payment).await;
    world.tick().await;
    world.expect(&next, TokenState::Waiting).await;
    assert_eq!(world.serving(concert).await, 1);
}

#[tokio::test]
async fn a_page_of_a_paused_room_ends_when_it_was_to_end() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let inside = world.enter(concert).await;
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(PAGE).await;
    world.tick().await;
    world.expect(&inside, TokenState::Expired).await;
    assert_eq!(world.queue.get_room(concert).await.unwrap().inside, 0);
}

#[tokio::test]
async fn who_was_called_before_a_pause_stays_called_however_long_it_is() {
    let world = World::start().await;
    let (concert, people) = called(&world, 2).await;
    world.set_mode(concert, RoomMode::Paused).await;
    for _ in 0..3 {
        world.step(HOUR).await;
        world.tick().await;
        // One polls, the other does not hear of it.
        let view = world.expect(&people[0], TokenState::Waiting).await;
        assert_eq!((view.paused, view.position), (true, 0));
    }
    assert_eq!((world.pages(concert).await, world.called(concert).await), (0, 2));
    world.set_mode(concert, RoomMode::Open).await;
    world.tick().await;
    world.expect(&people[0], TokenState::Page).await;
    world.expect(&people[1], TokenState::Page).await;
}

/// Turns go on where the pause found them.
#[tokio::test]
async fn a_pause_neither_shortens_a_turn_nor_makes_it_last() {
    let world = World::start().await;
    let (concert, people) = called(&world, 2).await;
    world.step(CLAIM - SECOND * 2).await;
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(HOUR).await;
    // Saying it again begins no new pause.
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(HOUR).await;
    world.set_mode(concert, RoomMode::Open).await;
    world.step(SECOND).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 2);
    world.expect(&people[0], TokenState::Page).await;
    world.step(SECOND).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 0);
    world.expect(&people[1], TokenState::TurnMissed).await;
}

#[tokio::test]
async fn one_who_polled_in_a_pause_has_a_whole_turn_after_it() {
    let world = World::start().await;
    let (concert, people) = called(&world, 1).await;
    world.step(CLAIM - SECOND).await;
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(HOUR).await;
    world.expect(&people[0], TokenState::Waiting).await;
    world.set_mode(concert, RoomMode::Open).await;
    world.step(CLAIM - SECOND).await;
    world.tick().await;
    world.expect(&people[0], TokenState::Page).await;
}

#[tokio::test]
async fn the_time_to_come_late_stands_still_in_a_pause() {
    let world = World::start().await;
    let (concert, people) = called(&world, 2).await;
    world.step(CLAIM).await;
    world.tick().await;
    // One has come before the pause, the other comes in it.
    world.expect(&people[0], TokenState::TurnMissed).await;
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(LATE * 2).await;
    world.tick().await;
    for person in &people {
        assert!(world.expect(person, TokenState::TurnMissed).await.paused);
        // Asking to join again gives the same place, for all that Postgres knows.
        assert_eq!(world.join_as(concert, person.user).await.number, person.number);
    }
    world.tick().await;
    assert_eq!(
        world.called(concert).await,
        0,
        "late comers are not called in a pause"
    );
    world.set_mode(concert, RoomMode::Open).await;
    world.tick().await;
    for person in &people {
        world.expect(person, TokenState::Page).await;
    }
    // Calls of a room that was paused are kept until nobody may answer them.
    world.queue.reconcile().await.unwrap();
    let calls: i64 = sqlx::query_scalar("SELECT count(*) FROM calls")
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn a_redis_that_is_lost_in_a_pause_calls_whom_it_had_called() {
    let world = World::start().await;
    let (concert, people) = called(&world, 3).await;
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(HOUR).await;
    world.redis.flush().await;
    world.tick().await;
    assert_eq!(
        (world.called(concert).await, world.serving(concert).await),
        (3, 3)
    );
    for person in &people {
        world.expect(person, TokenState::Waiting).await;
    }
    world.redis.flush().await;
    world.set_mode(concert, RoomMode::Open).await;
    world.tick().await;
    for person in &people {
        world.expect(person, TokenState::Page).await;
    }
}

#[tokio::test]
async fn after_a_pause_no_more_are_called_at_once_than_ever() {
    let world = World::start().await;
    let concert = ConcertId::new();
    // A bucket of ten.
    world.put_room(concert, 100, 40, None).await;
    world.join_many(concert, 60).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 10);
    world.set_mode(concert, RoomMode::Paused).await;
    world.step(HOUR).await;
    world.tick().await;
    world.set_mode(concert, RoomMode::Open).await;
    world.tick().await;
    let at_once = world.serving(concert).await - 10;
    assert!(at_once <= 10, "{at_once}");
    world.step(SECOND).await;
    world.tick().await;
    assert!(world.serving(concert).await <= 20 + at_once);
}

/// What a replica does that had read the room before it was paused.
async fn claim(world: &World, concert: ConcertId, people: &[Person]) -> Vec<Claimed> {
    let (visits, line) = world.stores();
    let room = visits.room(concert).await.unwrap().unwrap();
    let windows = ClaimWindows {
        claim: CLAIM,
        valid_until: room.now.replace_microsecond(0).unwrap() + SECOND * 60,
        late_until: None,
    };
    let mut claimed = Vec::new();
    for person in people {
        let number = QueueNumber(person.number);
        match line.claim(&room, person.user, number, windows).await.unwrap() {
            Some(Claim::Claimed(claim)) => claimed.push(claim),
            other => panic!("{other:?}"),
        }
    }
    claimed
}

#[rstest]
#[case::as_it_is(true)]
// The control: the line has given every place, so that Postgres alone keeps them out.
#[case::without_the_guard(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_pause_is_answered_nobody_is_let_in(#[case] guarded: bool) {
    let world = World::start().await;
    let (concert, people) = called(&world, 40).await;
    let claimed = claim(&world, concert, &people).await;
    let (visits, _) = world.stores();
    let admissions: Vec<_> = people
        .iter()
        .cloned()
        .zip(claimed)
        .map(|(person, claimed)| {
            let (visits, pool) = (visits.clone(), world.database.pool().clone());
            async move {
                let number = QueueNumber(person.number);
                if guarded {
                    let admitted = visits.admit(concert, person.user, number, &claimed, PAGE).await;
                    return matches!(admitted, Ok(Admission::Admitted { .. }));
                }
                sqlx::query(
                    "INSERT INTO visits (visit_id, concert_id, user_id, number, state, admitted_at, page_ends_at)
                    SELECT $1, concert_id, $3, $4, 'PAGE', frontrow_now(), frontrow_now() + interval '180 s'
                    FROM rooms WHERE concert_id = $2 AND epoch = $5",
                )
                .bind(VisitId::new().as_uuid())
                .bind(concert.as_uuid())
                .bind(person.user.as_uuid())
                .bind(i64::try_from(number.0).unwrap())
                .bind(claimed.epoch)
                .execute(&pool)
                .await
                .unwrap();
                true
            }
        })
        .collect();
    // Some race with the pause, some come after it.
    let mut admissions = admissions.into_iter();
    let racing: Vec<_> = admissions.by_ref().take(30).map(tokio::spawn).collect();
    world.set_mode(concert, RoomMode::Paused).await;
    let let_in = world.pages(concert).await;
    let late: Vec<_> = admissions.map(tokio::spawn).collect();
    let admitted = futures::future::join_all(racing.into_iter().chain(late)).await;
    let admitted = admitted
        .into_iter()
        .filter(|admitted| *admitted.as_ref().unwrap());
    assert_eq!(admitted.count() as i64, world.pages(concert).await);
    if guarded {
        assert_eq!(world.pages(concert).await, let_in);
    } else {
        assert!(world.pages(concert).await > let_in);
    }
}

/// Under a crowd a pause that admissions could overtake would wait for the crowd to end.
#[tokio::test]
async fn who_is_to_be_let_in_after_a_pause_was_asked_for_waits_for_it() {
    let world = World::start().await;
    let (concert, people) = called(&world, 2).await;
    let claimed = claim(&world, concert, &people).await;
    let admission = |index: usize| {
        let (visits, _) = world.stores();
        let (user, number, claimed) = (people[index].user, people[index].number, claimed[index]);
        tokio::spawn(async move {
            visits
                .admit(concert, user, QueueNumber(number), &claimed, PAGE)
                .await
                .unwrap()
        })
    };
    let waiting = async |locks: &str, count: i64| {
        eventually(&format!("{count} to wait for {locks}"), async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
                WHERE a.datname = current_database() AND NOT l.granted AND l.locktype = $1",
            )
            .bind(locks)
            .fetch_one(world.database.pool())
            .await
            .unwrap();
            (waiting == count).then_some(())
        })
        .await;
    };
    // The first is being let in for as long as somebody has its number and is not sure.
    let mut rival = begin(world.database.pool()).await.unwrap();
    sqlx::query(
        "INSERT INTO visits (visit_id, concert_id, user_id, number, state, ended_at)
        VALUES ($1, $2, $3, 1, 'EXPIRED', frontrow_now())",
    )
    .bind(VisitId::new().as_uuid())
    .bind(concert.as_uuid())
    .bind(UserId::new().as_uuid())
    .execute(&mut *rival)
    .await
    .unwrap();
    let first = admission(0);
    waiting("transactionid", 1).await;
    let paused = {
        let queue = Arc::clone(&world.queue);
        let settings =
            RoomSettings::new(100, AT_ONCE, None).map(|settings| settings.in_mode(RoomMode::Paused));
        tokio::spawn(async move { queue.put_room(concert, settings).await.unwrap().state })
    };
    waiting("advisory", 1).await;
    let second = admission(1);
    waiting("advisory", 2).await;
    rival.rollback().await.unwrap();
    assert!(matches!(first.await.unwrap(), Admission::Admitted { .. }));
    assert_eq!(paused.await.unwrap(), RoomState::Paused);
    assert_eq!(second.await.unwrap(), Admission::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_that_race_with_a_pause_keep_their_places() {
    let world = World::start().await;
    let (concert, people) = called(&world, 40).await;
    let replicas = [Arc::clone(&world.queue), world.replica()];
    let polls: Vec<_> = people
        .iter()
        .zip(replicas.iter().cycle())
        .map(|(person, replica)| {
            let (replica, token) = (Arc::clone(replica), person.token.clone());
            tokio::spawn(async move { replica.get_token(&token).await.unwrap().state })
        })
        .collect();
    world.set_mode(concert, RoomMode::Paused).await;
    let let_in = world.pages(concert).await;
    for poll in polls {
        poll.await.unwrap();
    }
    assert_eq!(world.pages(concert).await, let_in);
    // Who was refused is called still.
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!(i64::from(room.called), 40 - let_in);
    world.set_mode(concert, RoomMode::Open).await;
    for person in &people {
        world.expect(person, TokenState::Page).await;
    }
}

#[tokio::test]
async fn the_lobby_of_a_paused_room_is_drawn_and_nobody_is_called_before_it_goes_on() {
    let world = World::start().await;
    let concert = world.lobby(1).await;
    let first = world.gather(concert).await;
    let room = world.set_mode(concert, RoomMode::Paused).await;
    assert_eq!(room.state, RoomState::Scheduled, "the opening comes first");
    let second = world.gather(concert).await;
    world.draw(concert).await;
    world.tick().await;
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!(
        (room.state, room.room.stage, room.room.serving.0),
        (RoomState::Paused, Stage::Line, 0)
    );
    world.set_mode(concert, RoomMode::Open).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 1);
    for member in [first, second] {
        let view = world.look(&member.person).await;
        assert!(matches!(view.state, TokenState::Page | TokenState::Waiting));
        assert!(!view.paused);
    }
}

#[tokio::test]
async fn a_draining_room_calls_those_in_line_and_takes_nobody_in() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (inside, first, second) = (
        world.enter(concert).await,
        world.join(concert).await,
        world.join(concert).await,
    );
    let room = world.set_mode(concert, RoomMode::Draining).await;
    assert_eq!(room.state, RoomState::Draining);
    world.tick().await;
    let refused = world.queue.join(concert, UserId::new()).await;
    assert!(matches!(refused, Err(AppError::RoomClosed)), "{refused:?}");
    // Another replica learns of it within a tick.
    let replica = world.replica();
    replica.tick().await.unwrap();
    let refused = replica.join(concert, UserId::new()).await;
    assert!(matches!(refused, Err(AppError::RoomClosed)), "{refused:?}");

    assert_eq!(world.join_as(concert, first.user).await.number, first.number);
    let view = world.expect(&second, TokenState::Waiting).await;
    assert_eq!((view.position, view.paused), (2, false));
    world.queue.leave(&inside.token).await.unwrap();
    world.tick().await;
    world.expect(&first, TokenState::Page).await;

    // Whose place is over has none to get again.
    world.queue.leave(&first.token).await.unwrap();
    for over in [&inside, &first] {
        let refused = world.queue.join(concert, over.user).await;
        assert!(matches!(refused, Err(AppError::RoomClosed)), "{refused:?}");
    }
    world.tick().await;
    world.expect(&second, TokenState::Page).await;
    world.queue.leave(&second.token).await.unwrap();
    world.tick().await;
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!((room.inside, room.called, room.room.serving.0), (0, 0, 3));

    world.set_mode(concert, RoomMode::Open).await;
    // At once, also where the draining room was seen a moment ago.
    assert_eq!(world.join(concert).await.number, 4);
}

#[tokio::test]
async fn the_lobby_of_a_draining_room_takes_nobody_in_and_keeps_who_is_there() {
    let world = World::start().await;
    let concert = world.lobby(2).await;
    let (stays, leaves) = (world.gather(concert).await, world.gather(concert).await);
    world.queue.leave(&leaves.person.token).await.unwrap();
    world.set_mode(concert, RoomMode::Draining).await;
    for user in [UserId::new(), leaves.person.user] {
        let refused = world.queue.join(concert, user).await;
        assert!(matches!(refused, Err(AppError::RoomClosed)), "{refused:?}");
    }
    assert_eq!(
        world.gather_as(concert, stays.person.user).await.receipt,
        stays.receipt
    );
    world.draw(concert).await;
    world.tick().await;
    let refused = world.queue.join(concert, UserId::new()).await;
    assert!(matches!(refused, Err(AppError::RoomClosed)), "{refused:?}");
    world.expect(&stays.person, TokenState::Page).await;
    assert_eq!(world.record(concert).await.count, 2);
}

#[tokio::test]
async fn settings_change_while_people_wait() {
    let world = World::start().await;
    let concert = world.room(1).await;
    world.join_many(concert, 10).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 1);
    // A larger room calls more, as fast as its pace lets it.
    world.put_room(concert, 9, 8, None).await;
    world.step(SECOND).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 3);
    let paused = RoomSettings::new(9, AT_ONCE, None)
        .unwrap()
        .in_mode(RoomMode::Paused);
    world.queue.put_room(concert, Ok(paused)).await.unwrap();
    world.step(SECOND).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 3);
    world.set_mode(concert, RoomMode::Draining).await;
    world.step(SECOND).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 9);
}

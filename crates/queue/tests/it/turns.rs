//! Being called, coming, coming late, and the page's time.

use std::time::Duration;

use queue::domain::{RoomState, TokenState};
use queue::store::StoreError;
use vocabulary::{ConcertId, UserId};

use crate::world::{AT_ONCE, CLAIM, LATE, PAGE, SECOND, World};

#[tokio::test]
async fn as_many_as_there_are_places_are_let_in_and_the_rest_know_where_they_stand() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let people = world.join_many(concert, 4).await;
    assert_eq!(
        people.iter().map(|person| person.number).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    let first = world.look(&people[0]).await;
    assert_eq!(
        (first.state, first.position),
        (TokenState::Waiting, 1),
        "nobody is called without a tick"
    );

    world.tick().await;
    let now = world.now().await;
    for person in &people[..2] {
        let view = world.expect(person, TokenState::Page).await;
        let left = view.expires_at.unwrap() - now;
        assert!((left - PAGE).abs() < SECOND * 5, "{left}");
        assert!(view.visit_id.is_some());
    }
    for (person, position) in people[2..].iter().zip([1, 2]) {
        let view = world.expect(person, TokenState::Waiting).await;
        assert_eq!(view.position, position);
        assert!(view.poll_after_ms > 0);
    }
    let room = world.queue.get_room(concert).await.unwrap();
    assert_eq!(
        (room.room.serving.0, room.last_number.0, room.inside, room.called),
        (2, 4, 2, 0)
    );
}

#[tokio::test]
async fn a_claim_asked_again_is_the_same_visit() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let person = world.enter(concert).await;
    let (one, two) = (world.look(&person).await, world.look(&person).await);
    assert_eq!((one.visit_id, one.expires_at), (two.visit_id, two.expires_at));
    assert_eq!(world.pages(concert).await, 1);
}

#[tokio::test]
async fn many_requests_of_one_turn_make_one_visit() {
    let world = World::start().await;
    let concert = world.room(3).await;
    let person = world.join(concert).await;
    world.tick().await;
    let looks = (0..20).map(|_| world.look(&person));
    let views = futures::future::join_all(looks).await;
    assert!(
        views
            .iter()
            .all(|view| matches!(view.state, TokenState::Page | TokenState::Waiting))
    );
    world.expect(&person, TokenState::Page).await;
    assert_eq!(world.pages(concert).await, 1);
}

#[tokio::test]
async fn a_page_ends_by_itself_and_the_next_is_called() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let first = world.enter(concert).await;
    let second = world.join(concert).await;

    world.step(PAGE - SECOND * 5).await;
    world.tick().await;
    world.expect(&first, TokenState::Page).await;
    world.step(SECOND * 5).await;
    // Before any sweep.
    world.expect(&first, TokenState::Expired).await;
    assert_eq!(world.pages(concert).await, 1);
    world.tick().await;
    assert_eq!(world.pages(concert).await, 0);
    world.expect(&second, TokenState::Page).await;
    world.expect(&first, TokenState::Expired).await;
}

#[tokio::test]
async fn who_does_not_come_misses_the_turn_and_the_next_is_called() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (absent, next) = (world.join(concert).await, world.join(concert).await);
    world.tick().await;
    assert_eq!(
        (world.serving(concert).await, world.called(concert).await),
        (1, 1)
    );
    world.step(CLAIM).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 2);
    world.expect(&next, TokenState::Page).await;

    let missed = world.expect(&absent, TokenState::TurnMissed).await;
    assert_eq!(missed.position, 1);
    world.tick().await;
    world.expect(&absent, TokenState::TurnMissed).await;
}

#[tokio::test]
async fn a_late_comer_is_let_in_before_new_numbers() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let late = world.join(concert).await;
    world.tick().await;
    world.step(CLAIM).await;
    let inside = world.enter(concert).await;
    let newcomer = world.join(concert).await;
    world.expect(&late, TokenState::TurnMissed).await;

    world.queue.leave(&inside.token).await.unwrap();
    world.tick().await;
    world.expect(&newcomer, TokenState::Waiting).await;
    world.expect(&late, TokenState::Page).await;
    world.queue.leave(&late.token).await.unwrap();
    world.tick().await;
    world.expect(&newcomer, TokenState::Page).await;
}

#[tokio::test]
async fn late_comers_take_at_most_half_of_the_freed_places() {
    let world = World::start().await;
    let concert = world.room(6).await;
    let late = world.join_many(concert, 6).await;
    world.tick().await;
    world.step(CLAIM).await;
    for person in &late {
        world.expect(person, TokenState::TurnMissed).await;
    }
    let new = world.join_many(concert, 6).await;
    world.tick().await;
    let mut admitted = (0, 0);
    for (old, new) in late.iter().zip(&new) {
        admitted.0 += u32::from(world.look(old).await.state == TokenState::Page);
        admitted.1 += u32::from(world.look(new).await.state == TokenState::Page);
    }
    assert_eq!(admitted, (3, 3));
}

#[tokio::test]
async fn single_places_go_to_late_comers_and_newcomers_in_turn() {
    let world = World::start().await;
    let concert = world.room(3).await;
    let late = world.join_many(concert, 3).await;
    world.tick().await;
    world.step(CLAIM).await;
    world.put_room(concert, 1, AT_ONCE, None).await;
    let mut inside = world.enter(concert).await;
    for person in &late {
        world.expect(person, TokenState::TurnMissed).await;
    }
    let new = world.join_many(concert, 3).await;
    let mut order = Vec::new();
    for _ in 0..6 {
        world.queue.leave(&inside.token).await.unwrap();
        world.tick().await;
        for (person, kind) in late
            .iter()
            .map(|p| (p, "late"))
            .chain(new.iter().map(|p| (p, "new")))
        {
            let before = person.number == inside.number;
            if !before && world.look(person).await.state == TokenState::Page {
                inside = person.clone();
                order.push(kind);
            }
        }
    }
    assert_eq!(order, ["late", "new", "late", "new", "late", "new"]);
}

#[tokio::test]
async fn who_stays_away_too_long_is_expired_for_good() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (absent, late) = (world.join(concert).await, world.join(concert).await);
    world.put_room(concert, 2, AT_ONCE, None).await;
    world.tick().await;
    world.step(CLAIM + LATE - SECOND * 5).await;
    world.expect(&late, TokenState::TurnMissed).await;
    world.step(SECOND * 5).await;
    world.expect(&absent, TokenState::Expired).await;
    // The one who came late in time, but was not called before the time was over.
    world.expect(&late, TokenState::Expired).await;
    world.step(LATE).await;
    world.tick().await;
    world.queue.reconcile().await.unwrap();
    world.expect(&absent, TokenState::Expired).await;
}

#[tokio::test]
async fn a_missed_turn_missed_again_gives_no_second_window() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let person = world.join(concert).await;
    world.tick().await;
    world.step(CLAIM).await;
    world.expect(&person, TokenState::TurnMissed).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 1, "called once more");
    world.step(CLAIM).await;
    world.tick().await;
    assert_eq!(world.called(concert).await, 0);
    world.step(LATE - CLAIM).await;
    world.expect(&person, TokenState::Expired).await;
}

#[tokio::test]
async fn nobody_is_called_while_a_room_that_was_open_is_to_open_later() {
    let world = World::start().await;
    let concert = world.room(5).await;
    let person = world.join(concert).await;
    // Somebody has a number: it stays a line.
    let opens_at = world.now().await + Duration::from_secs(60);
    let room = world.put_room(concert, 5, AT_ONCE, Some(opens_at)).await;
    assert_eq!((room.state, room.draw), (RoomState::Scheduled, None));
    world.tick().await;
    assert_eq!(world.look(&person).await.position, 1);
    world.step(Duration::from_secs(61)).await;
    world.tick().await;
    assert_eq!(
        world.queue.get_room(concert).await.unwrap().state,
        RoomState::Open
    );
    world.expect(&person, TokenState::Page).await;
}

#[tokio::test]
async fn the_pace_bounds_how_many_are_called() {
    const PACE: u32 = 8;
    const BURST: u64 = 2;
    let world = World::start().await;
    let concert = ConcertId::new();
    world.put_room(concert, 1_000, PACE, None).await;
    world.join_many(concert, 60).await;
    let begun = world.now().await;
    for round in 1..=5 {
        for _ in 0..4 {
            world.tick().await;
        }
        let (serving, elapsed) = (world.serving(concert).await, world.now().await - begun);
        assert!(serving >= round * BURST, "{serving} in {elapsed}");
        let bound = BURST as f64 + f64::from(PACE) * elapsed.as_seconds_f64();
        assert!(serving as f64 <= bound, "{serving} in {elapsed}");
        world.step(Duration::from_millis(250)).await;
    }
    let before = world.serving(concert).await;
    world.step(Duration::from_secs(60)).await;
    world.tick().await;
    assert_eq!(
        world.serving(concert).await - before,
        BURST,
        "an idle room saves up no burst"
    );
}

#[tokio::test]
async fn settings_take_effect_at_once() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let people = world.join_many(concert, 6).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 1);
    world.put_room(concert, 4, AT_ONCE, None).await;
    world.tick().await;
    assert_eq!(world.serving(concert).await, 4);
    for person in &people[..4] {
        world.expect(person, TokenState::Page).await;
    }
    // Fewer places end nobody's page, and let nobody in before they are few enough.
    world.put_room(concert, 2, AT_ONCE, None).await;
    for person in &people[..2] {
        world.queue.leave(&person.token).await.unwrap();
        world.tick().await;
        assert_eq!(world.serving(concert).await, 4);
    }
    world.queue.leave(&people[2].token).await.unwrap();
    world.tick().await;
    world.expect(&people[4], TokenState::Page).await;
}

#[tokio::test]
async fn a_hold_frees_the_place_and_paying_completes() {
    use queue::app::VisitOutcome;

    let world = World::start().await;
    let concert = world.room(1).await;
    let (buyer, next) = (world.enter(concert).await, world.join(concert).await);
    let visit = world.visit_of(&buyer).await;
    world.queue.end_page(visit).await.unwrap();
    world.tick().await;
    world.expect(&next, TokenState::Page).await;
    let paying = world.expect(&buyer, TokenState::Payment).await;
    assert_eq!((paying.visit_id, paying.expires_at), (Some(visit), None));
    world.step(PAGE * 2).await;
    world.tick().await;
    world.expect(&buyer, TokenState::Payment).await;

    world
        .queue
        .end_visits(&[(visit, VisitOutcome::Completed)])
        .await
        .unwrap();
    world.expect(&buyer, TokenState::Completed).await;
    // Told again, and told what cannot be any more.
    world
        .queue
        .end_visits(&[(visit, VisitOutcome::Expired)])
        .await
        .unwrap();
    world.queue.end_page(visit).await.unwrap();
    world.expect(&buyer, TokenState::Completed).await;
}

#[tokio::test]
async fn news_of_a_hold_that_comes_after_the_page_changes_nothing() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let buyer = world.enter(concert).await;
    let visit = world.visit_of(&buyer).await;
    world.step(PAGE).await;
    world.queue.end_page(visit).await.unwrap();
    world.expect(&buyer, TokenState::Expired).await;
    world.tick().await;
    world.queue.end_page(visit).await.unwrap();
    world.expect(&buyer, TokenState::Expired).await;
}

#[tokio::test]
async fn promise_13_asking_again_gives_the_same_number_until_it_is_over() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let user = UserId::new();
    let first = world.queue.join(concert, user).await.unwrap();
    assert!(first.joined_now);
    let again = world.queue.join(concert, user).await.unwrap();
    assert_eq!((again.joined_now, again.view.number), (false, first.view.number));

    // Called, on the page, and paying it is the same still.
    world.tick().await;
    assert_eq!(
        world.queue.join(concert, user).await.unwrap().view.number,
        first.view.number
    );
    world.queue.get_token(&first.queue_token).await.unwrap();
    let inside = world.queue.join(concert, user).await.unwrap();
    assert_eq!(
        (inside.view.number, inside.view.state),
        (first.view.number, TokenState::Page)
    );
    world.queue.end_page(inside.view.visit_id.unwrap()).await.unwrap();
    let paying = world.queue.join(concert, user).await.unwrap();
    assert_eq!(
        (paying.view.number, paying.view.state),
        (first.view.number, TokenState::Payment)
    );

    world
        .queue
        .end_visits(&[(inside.view.visit_id.unwrap(), queue::app::VisitOutcome::Completed)])
        .await
        .unwrap();
    let anew = world.queue.join(concert, user).await.unwrap();
    assert!(anew.joined_now && anew.view.number > first.view.number);
    assert_eq!(
        world.queue.get_token(&first.queue_token).await.unwrap().state,
        TokenState::Completed
    );
}

#[tokio::test]
async fn one_whose_page_is_over_may_join_anew_before_the_sweep() {
    let world = World::start().await;
    let concert = world.room(2).await;
    let person = world.enter(concert).await;
    world.step(PAGE).await;
    let again = world.join_as(concert, person.user).await;
    assert!(again.number > person.number);
    world.tick().await;
    world.expect(&again, TokenState::Page).await;
}

#[tokio::test]
async fn one_who_stayed_away_too_long_may_join_anew() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let person = world.join(concert).await;
    world.tick().await;
    world.step(CLAIM + LATE).await;
    let again = world.join_as(concert, person.user).await;
    assert!(again.number > person.number);
}

#[tokio::test]
async fn a_room_admits_as_fast_as_it_says() {
    // All are called at once, and the last ones come half a minute and the test's own time later.
    let world = World::with(&[("CLAIM_SECONDS", "300")]).await;
    let concert = world.room(100).await;
    let people = world.join_many(concert, 60).await;
    for pair in people.chunks(2) {
        world.tick().await;
        for person in pair {
            world.expect(person, TokenState::Page).await;
        }
        world.step(SECOND).await;
    }
    world.tick().await;
    let room = world.queue.watch_rooms().borrow().rooms[&concert].clone();
    assert!((1_000..=2_100).contains(&room.admitted.mean_milli), "{room:?}");
    world.put_room(concert, 1, AT_ONCE, None).await;
    let waiting = world.join_many(concert, 40).await;
    let eta = world.look(&waiting[39]).await.eta.unwrap();
    assert!((19..=40).contains(&eta.expected_seconds), "{eta:?}");
    assert!(eta.from_seconds <= eta.expected_seconds, "{eta:?}");
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused_by_the_database_too() {
    let world = World::start().await;
    let refused = sqlx::query("INSERT INTO rooms (concert_id, capacity, admit_per_second) VALUES ($1, 0, 1)")
        .bind(ConcertId::new().as_uuid())
        .execute(world.database.pool())
        .await
        .unwrap_err();
    assert!(matches!(StoreError::from(refused), StoreError::Bug(_)));
}

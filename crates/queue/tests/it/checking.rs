//! The gate before dates, seats and holds.

use queue::app::{AppError, VisitOutcome, VisitPurpose};
use queue::domain::{HOLD_LEASE, TokenState};
use queue_token::InvalidToken;
use rstest::rstest;
use vocabulary::{ConcertId, UserId, VisitId};

use crate::world::{CLAIM, LATE, PAGE, Person, SECOND, World};

async fn check(
    world: &World,
    concert: ConcertId,
    person: &Person,
    purpose: VisitPurpose,
) -> Result<(), AppError> {
    let checked = world
        .queue
        .check_visit(&person.token, person.user, concert, purpose)
        .await;
    checked.map(|visit| assert_eq!(visit.number.0, person.number))
}

#[rstest]
#[tokio::test]
async fn a_visit_is_open_while_on_its_page_and_refused_by_name_otherwise(
    #[values(VisitPurpose::Read, VisitPurpose::Hold)] purpose: VisitPurpose,
) {
    let world = World::start().await;
    let concert = world.room(2).await;
    let buyer = world.enter(concert).await;
    check(&world, concert, &buyer, purpose).await.unwrap();

    let forged = Person {
        token: "forged".to_owned(),
        ..buyer.clone()
    };
    assert!(matches!(
        check(&world, concert, &forged, purpose).await,
        Err(AppError::TokenInvalid(InvalidToken::Malformed))
    ));
    let foreign = Person {
        user: UserId::new(),
        ..buyer.clone()
    };
    assert!(matches!(
        check(&world, concert, &foreign, purpose).await,
        Err(AppError::TokenForeign)
    ));
    let elsewhere = world.room(1).await;
    assert!(matches!(
        check(&world, elsewhere, &buyer, purpose).await,
        Err(AppError::TokenOfOtherConcert)
    ));

    let paying = world.enter(concert).await;
    let visit = world.visit_of(&paying).await;
    world.queue.end_page(visit).await.unwrap();
    assert!(matches!(
        check(&world, concert, &paying, purpose).await,
        Err(AppError::PageLeft)
    ));
    world
        .queue
        .end_visits(&[(visit, VisitOutcome::Completed)])
        .await
        .unwrap();
    assert!(matches!(
        check(&world, concert, &paying, purpose).await,
        Err(AppError::TokenExpired)
    ));

    let waiting = world.join(elsewhere).await;
    assert!(matches!(
        check(&world, elsewhere, &waiting, purpose).await,
        Err(AppError::NotAdmitted)
    ));
    world.tick().await;
    assert!(
        matches!(
            check(&world, elsewhere, &waiting, purpose).await,
            Err(AppError::NotAdmitted)
        ),
        "called"
    );
    world.step(CLAIM).await;
    assert!(
        matches!(
            check(&world, elsewhere, &waiting, purpose).await,
            Err(AppError::NotAdmitted)
        ),
        "missed"
    );
    world.step(LATE).await;
    assert!(matches!(
        check(&world, elsewhere, &waiting, purpose).await,
        Err(AppError::TokenExpired)
    ));
    // No sweep has come by.
    assert!(matches!(
        check(&world, concert, &buyer, purpose).await,
        Err(AppError::TokenExpired)
    ));
    let left = world.join(concert).await;
    world.queue.leave(&left.token).await.unwrap();
    assert!(matches!(
        check(&world, concert, &left, purpose).await,
        Err(AppError::TokenExpired)
    ));
}

#[tokio::test]
async fn checking_needs_postgres_alone() {
    let mut world = World::start().await;
    let concert = world.room(2).await;
    let (buyer, waiting) = (world.enter(concert).await, world.enter(concert).await);
    world.redis.stop().await;
    for purpose in [VisitPurpose::Read, VisitPurpose::Hold] {
        check(&world, concert, &buyer, purpose).await.unwrap();
    }
    world.queue.leave(&waiting.token).await.unwrap();
    let refused = check(&world, concert, &waiting, VisitPurpose::Read).await;
    assert!(matches!(refused, Err(AppError::TokenExpired)), "{refused:?}");
}

#[tokio::test]
async fn a_hold_begun_in_time_keeps_the_visit_but_not_the_page() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let buyer = world.enter(concert).await;
    let expires_at = world.look(&buyer).await.expires_at;
    world.step(PAGE - SECOND * 2).await;
    check(&world, concert, &buyer, VisitPurpose::Hold).await.unwrap();

    world.step(SECOND * 2).await;
    world.tick().await;
    let view = world.expect(&buyer, TokenState::Page).await;
    assert_eq!(view.expires_at, expires_at, "the page's end never moves");
    for purpose in [VisitPurpose::Read, VisitPurpose::Hold] {
        let refused = check(&world, concert, &buyer, purpose).await;
        assert!(matches!(refused, Err(AppError::TokenExpired)), "{refused:?}");
    }
    // The hold was made: told within its lease, that counts.
    world.queue.end_page(world.visit_of(&buyer).await).await.unwrap();
    world.expect(&buyer, TokenState::Payment).await;
}

#[tokio::test]
async fn a_hold_that_was_never_made_spares_the_page_for_its_lease_alone() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let buyer = world.enter(concert).await;
    world.step(PAGE - SECOND).await;
    check(&world, concert, &buyer, VisitPurpose::Hold).await.unwrap();
    world.step(HOLD_LEASE).await;
    world.tick().await;
    world.expect(&buyer, TokenState::Expired).await;
    assert_eq!(world.pages(concert).await, 0);
}

#[tokio::test]
async fn news_of_a_visit_that_does_not_exist_is_not_found() {
    let world = World::start().await;
    let unknown = VisitId::new();
    assert!(matches!(
        world.queue.end_page(unknown).await,
        Err(AppError::VisitNotFound)
    ));
}

#[tokio::test]
async fn a_hold_that_lapsed_expires_the_token_also_when_news_of_the_hold_was_lost() {
    let world = World::start().await;
    let concert = world.room(1).await;
    let (buyer, next) = (world.enter(concert).await, world.join(concert).await);
    world
        .queue
        .end_visits(&[(world.visit_of(&buyer).await, VisitOutcome::Expired)])
        .await
        .unwrap();
    world.tick().await;
    world.expect(&buyer, TokenState::Expired).await;
    world.expect(&next, TokenState::Page).await;
}

/// Visits end together in one transaction; each as it was told, once, and one that is unknown is nobody else's.
#[tokio::test]
async fn visits_that_end_together_end_each_as_it_was_told() {
    let world = World::start().await;
    let concert = world.room(8).await;
    let people = world.join_many(concert, 8).await;
    world.tick().await;
    let mut told = Vec::new();
    for (number, person) in people.iter().enumerate() {
        world.expect(person, TokenState::Page).await;
        let visit = world.visit_of(person).await;
        // Whose page was not told to have ended ends all the same.
        if number % 4 < 2 {
            world.queue.end_page(visit).await.unwrap();
        }
        let outcome = [VisitOutcome::Completed, VisitOutcome::Expired][number % 2];
        told.push((visit, outcome));
    }
    let mut all = told.clone();
    all.push((VisitId::new(), VisitOutcome::Completed));
    world.queue.end_visits(&all).await.unwrap();
    // Told once more, and otherwise, they stay as they are.
    let otherwise = told.iter().map(|(visit, _)| (*visit, VisitOutcome::Expired));
    world
        .queue
        .end_visits(&otherwise.collect::<Vec<_>>())
        .await
        .unwrap();
    for (person, (_, outcome)) in people.iter().zip(&told) {
        let ended = match outcome {
            VisitOutcome::Completed => TokenState::Completed,
            VisitOutcome::Expired => TokenState::Expired,
        };
        world.expect(person, ended).await;
    }
    assert_eq!(world.pages(concert).await, 0);
    let commits: i64 =
        sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM visits WHERE ended_at IS NOT NULL")
            .fetch_one(world.database.pool())
            .await
            .unwrap();
    assert_eq!(commits, 1);
}

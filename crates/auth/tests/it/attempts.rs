//! How often somebody may try, and that nobody can use up what is somebody else's.

use std::time::Duration;

use contracts::auth::SignUpRequest;
use service_kit::problem::Problem;
use test_support::TestDatabase;
use vocabulary::ProblemCode;

use crate::system::{PASSWORD, Replica, System};

const WRONG: &str = "not the password";
const KIM: &str = "kim@example.com";

async fn fail(system: &System, from: &str, email: &str) -> Problem {
    system.log_in_from(from, email, WRONG).await.unwrap_err()
}

/// Fails until refused; answers how often it was let try.
async fn exhaust(system: &System, from: &str, email: &str) -> (usize, Problem) {
    for tried in 0..100 {
        let problem = fail(system, from, email).await;
        if problem.code == ProblemCode::TooManyRequests {
            return (tried, problem);
        }
        assert_eq!(problem.code, ProblemCode::InvalidCredentials);
    }
    panic!("never refused");
}

#[tokio::test]
async fn a_guesser_is_refused_and_comes_again_when_told_to() {
    let system = System::start_with([("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "5")]).await;
    system.sign_up(KIM).await.unwrap();
    let (tried, refused) = exhaust(&system, "198.51.100.9", KIM).await;
    assert_eq!(tried, 5);
    let wait = refused.retry_after.unwrap();
    assert!(
        wait > Duration::from_secs(100) && wait <= Duration::from_secs(120),
        "{wait:?}"
    );
    // The right password is refused alike: an answer must not tell it from a wrong one.
    let right = system
        .log_in_from("198.51.100.9", KIM, PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(right.code, ProblemCode::TooManyRequests);

    system.database.step_clock(wait).await;
    let again = fail(&system, "198.51.100.9", KIM).await;
    assert_eq!(again.code, ProblemCode::InvalidCredentials);
    let shut = fail(&system, "198.51.100.9", KIM).await;
    assert_eq!(shut.code, ProblemCode::TooManyRequests);
}

#[tokio::test]
async fn an_account_and_none_are_refused_alike() {
    let system = System::start_with([("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "3")]).await;
    system.sign_up(KIM).await.unwrap();
    let (known, refused) = exhaust(&system, "198.51.100.9", KIM).await;
    let (unknown, alike) = exhaust(&system, "198.51.100.9", "nobody@example.com").await;
    assert_eq!((known, refused.detail), (unknown, alike.detail));
}

#[tokio::test]
async fn an_address_cannot_try_many_accounts() {
    let system = System::start_with([("LOGIN_FAILURES_PER_ADDRESS", "4")]).await;
    for account in 0..4 {
        let email = format!("user-{account}@example.com");
        let problem = fail(&system, "198.51.100.9", &email).await;
        assert_eq!(problem.code, ProblemCode::InvalidCredentials);
    }
    let refused = fail(&system, "198.51.100.9", "user-5@example.com").await;
    assert_eq!(refused.code, ProblemCode::TooManyRequests);
    let elsewhere = fail(&system, "198.51.100.10", "user-5@example.com").await;
    assert_eq!(elsewhere.code, ProblemCode::InvalidCredentials);
}

#[tokio::test]
async fn guessers_at_many_addresses_do_not_lock_the_owner_out() {
    let system = System::start_with([("LOGIN_FAILURES_PER_ACCOUNT", "6")]).await;
    system.sign_up(KIM).await.unwrap();
    system.log_in_from("192.0.2.7", KIM, PASSWORD).await.unwrap();
    for guesser in 0..6 {
        let problem = fail(&system, &format!("198.51.100.{guesser}"), KIM).await;
        assert_eq!(problem.code, ProblemCode::InvalidCredentials);
    }
    // The account is closed to strangers, whoever they are,
    let refused = fail(&system, "203.0.113.1", KIM).await;
    assert_eq!(refused.code, ProblemCode::TooManyRequests);
    // and open to where its owner was before.
    for _ in 0..3 {
        system.log_in_from("192.0.2.7", KIM, PASSWORD).await.unwrap();
    }
    assert_eq!(
        fail(&system, "192.0.2.7", KIM).await.code,
        ProblemCode::InvalidCredentials
    );
}

#[tokio::test]
async fn guesses_at_one_address_leave_all_other_addresses_free() {
    let system = System::start_with([("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "3")]).await;
    system.sign_up(KIM).await.unwrap();
    exhaust(&system, "198.51.100.9", KIM).await;
    system.log_in_from("192.0.2.99", KIM, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn logins_that_succeed_are_not_counted() {
    let system = System::start_with([
        ("LOGIN_FAILURES_PER_ADDRESS", "2"),
        ("LOGIN_FAILURES_PER_ACCOUNT", "2"),
        ("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "2"),
    ])
    .await;
    system.sign_up(KIM).await.unwrap();
    for _ in 0..6 {
        system.log_in_from("192.0.2.7", KIM, PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn refused_before_the_password_is_hashed() {
    let system = System::start_with([
        ("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "1"),
        ("HASH_CONCURRENCY", "1"),
        ("HASH_QUEUE", "0"),
    ])
    .await;
    fail(&system, "198.51.100.9", KIM).await;
    // With one hash at a time and none waiting, only what is not hashed can be answered all at once.
    let tries = (0..32).map(|_| fail(&system, "198.51.100.9", KIM));
    for problem in futures::future::join_all(tries).await {
        assert_eq!(problem.code, ProblemCode::TooManyRequests);
    }
}

#[tokio::test]
async fn replicas_and_restarts_share_one_count() {
    let settings = [("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "4")];
    let mut system = System::start_with(settings).await;
    let tries = (0..16).map(|_| fail(&system, "198.51.100.9", KIM));
    let answers = futures::future::join_all(tries).await;
    let tried = |problem: &&Problem| problem.code == ProblemCode::InvalidCredentials;
    assert_eq!(answers.iter().filter(tried).count(), 4);
    system.replica = Replica::start(system.database.url(), "http://127.0.0.1:1", settings).await;
    let refused = fail(&system, "198.51.100.9", KIM).await;
    assert_eq!(refused.code, ProblemCode::TooManyRequests);
}

#[tokio::test]
async fn sign_ups_from_one_address_are_bounded() {
    let system = System::start_with([("SIGN_UPS_PER_ADDRESS", "3")]).await;
    let sign_up = async |number: u32, from: &str| {
        let request = SignUpRequest {
            email: format!("user-{number}@example.com"),
            password: PASSWORD.to_owned(),
            name: "Kim".to_owned(),
            client_address: from.to_owned(),
            idempotency_key: String::new(),
        };
        system.client().sign_up(request).await.map_err(Problem::from)
    };
    for number in 0..3 {
        sign_up(number, "2001:db8::1").await.unwrap();
    }
    // Another address of the same network is the same client.
    let refused = sign_up(3, "2001:db8::2").await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::TooManyRequests);
    assert!(refused.retry_after.unwrap() > Duration::from_secs(1_000));
    sign_up(4, "2001:db8:0:1::1").await.unwrap();
}

#[tokio::test]
async fn attempts_are_forgotten_when_they_say_nothing_any_more() {
    let database = TestDatabase::create(&auth::store::MIGRATOR).await;
    let store = auth::store::Store::new(database.pool().clone());
    let rows = async || {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts")
            .fetch_one(database.pool())
            .await
            .unwrap();
        rows
    };
    let allowance = auth::domain::Allowance {
        burst: 2,
        window: Duration::from_secs(60),
    };
    let take = auth::store::Take {
        key: auth::domain::AttemptKey::log_ins_to(KIM),
        allowance,
        unless_known: None,
    };
    store.attempt(&[take]).await.unwrap();
    assert_eq!(store.delete_lapsed_attempts(10).await.unwrap(), 0);
    assert_eq!(rows().await, 1);
    database.step_clock(Duration::from_secs(31)).await;
    assert_eq!(store.delete_lapsed_attempts(10).await.unwrap(), 1);
    assert_eq!(rows().await, 0);
}

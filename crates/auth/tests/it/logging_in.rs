//! Beginning and ending sessions.

use std::convert::Infallible;
use std::time::Duration;

use auth::app::{AppError, Auth, Lifetimes, Lines, LogIn, SignUp};
use auth::domain::{Allowance, AttemptLimits, Origin};
use auth::secrets::{HashLimits, Passwords};
use auth::store::{MIGRATOR, Store};
use service_kit::problem::Problem;
use test_support::TestDatabase;
use vocabulary::{ConcertId, ProblemCode, Role, UserId};

use crate::system::{PASSWORD, System};

#[tokio::test]
async fn a_login_answers_tokens_that_the_published_keys_verify() {
    let system = System::start().await;
    let user = system.sign_up("kim@example.com").await.unwrap();
    let answer = system.log_in("kim@example.com", PASSWORD).await.unwrap();
    let tokens = answer.tokens.unwrap();
    let claims = system.read(&tokens.access_token).await;
    assert_eq!(claims.sub.to_string(), user.user_id);
    assert_eq!(claims.roles, [Role::Buyer]);
    assert_eq!(claims.exp - claims.iat, 900);
    assert_eq!(tokens.expires_in_seconds, 900);
    assert!(answer.ticket.is_none());
    assert!(system.queue.joins().is_empty());
}

#[tokio::test]
async fn a_wrong_password_an_unknown_address_and_what_is_no_address_answer_alike() {
    let system = System::start().await;
    system.sign_up("kim@example.com").await.unwrap();
    let wrong = system
        .log_in("kim@example.com", "another password")
        .await
        .unwrap_err();
    assert_eq!(wrong.code, ProblemCode::InvalidCredentials);
    for email in ["lee@example.com", "no address", "nul\0@example.com"] {
        assert_eq!(
            system.log_in(email, PASSWORD).await.unwrap_err(),
            wrong,
            "{email:?}"
        );
    }
}

#[tokio::test]
async fn a_login_without_its_fields_names_them() {
    let system = System::start().await;
    let problem = system.log_in("", "").await.unwrap_err();
    let fields: Vec<_> = problem.fields.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["email", "password"]);
    let problem = system
        .log_in("kim@example.com", &"x".repeat(129))
        .await
        .unwrap_err();
    assert_eq!(problem.fields[0].field, "password");
    let problem = system
        .log_in_to("kim@example.com", PASSWORD, Some("tonight".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(problem.fields[0].field, "concertId");
}

/// No login of these tests joins a line.
struct NoLines;

impl Lines for NoLines {
    type Ticket = Infallible;

    async fn join(&self, _: ConcertId, _: UserId) -> Result<Infallible, Problem> {
        Err(Problem::of(ProblemCode::RoomClosed))
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_cost_one_verification_each() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let passwords = Passwords::new(HashLimits {
        concurrency: 2,
        queue: 16,
        wait: Duration::from_secs(30),
    })
    .unwrap();
    let lifetimes = Lifetimes {
        access_token: Duration::from_secs(900),
        session: Duration::from_secs(3_600),
        refresh_grace: Duration::from_secs(10),
    };
    let plenty = Allowance {
        burst: 100,
        window: Duration::from_secs(60),
    };
    let limits = AttemptLimits {
        log_ins_per_address: plenty,
        log_ins_per_account_and_address: plenty,
        log_ins_per_account: plenty,
        sign_ups_per_address: plenty,
        address_known: Duration::from_secs(60),
    };
    let origin = Origin::read("192.0.2.1");
    let auth = Auth::new(
        Store::new(database.pool().clone()),
        passwords.clone(),
        NoLines,
        lifetimes,
        limits,
    );
    let account = SignUp {
        email: "kim@example.com".to_owned(),
        password: PASSWORD.into(),
        name: "Kim".to_owned(),
        origin,
        idempotency_key: String::new(),
    };
    auth.sign_up(account).await.unwrap();

    for (email, password, verifications) in [
        ("kim@example.com", "another password", 1),
        ("lee@example.com", PASSWORD, 2),
        ("no address", PASSWORD, 3),
    ] {
        let asked = LogIn {
            email: email.to_owned(),
            password: password.into(),
            concert_id: None,
            origin,
        };
        let refused = auth.log_in(asked).await.unwrap_err();
        assert!(matches!(refused, AppError::InvalidCredentials), "{refused}");
        assert_eq!(passwords.verifications(), verifications, "{email}");
    }
}

#[tokio::test]
async fn a_login_that_names_a_concert_joins_its_line() {
    let system = System::start().await;
    let user = system.sign_up("kim@example.com").await.unwrap();
    let concert_id = ConcertId::new().to_string();
    let answer = system
        .log_in_to("kim@example.com", PASSWORD, Some(concert_id.clone()))
        .await
        .unwrap();
    let ticket = answer.ticket.unwrap();
    assert_eq!(ticket.queue_token, format!("place of {}", user.user_id));
    let joins = system.queue.joins();
    assert_eq!(
        (joins[0].concert_id.as_str(), joins[0].user_id.as_str()),
        (concert_id.as_str(), user.user_id.as_str())
    );
}

#[tokio::test]
async fn a_line_that_cannot_be_joined_fails_the_login_and_leaves_no_session() {
    let system = System::start().await;
    system.sign_up("kim@example.com").await.unwrap();
    for code in [ProblemCode::NotFound, ProblemCode::Unavailable] {
        system.queue.refuse_with(Problem::of(code));
        let concert_id = Some(ConcertId::new().to_string());
        let problem = system
            .log_in_to("kim@example.com", PASSWORD, concert_id)
            .await
            .unwrap_err();
        assert_eq!(problem, Problem::of(code));
    }
    let ended: Vec<Option<String>> = sqlx::query_scalar("SELECT ended_because FROM sessions")
        .fetch_all(system.database.pool())
        .await
        .unwrap();
    assert_eq!(ended, vec![Some("LOGIN_FAILED".to_owned()); 2]);
}

#[tokio::test]
async fn a_wrong_password_joins_no_line() {
    let system = System::start().await;
    system.sign_up("kim@example.com").await.unwrap();
    let concert_id = Some(ConcertId::new().to_string());
    let refused = system
        .log_in_to("kim@example.com", "another password", concert_id)
        .await
        .unwrap_err();
    assert_eq!(refused.code, ProblemCode::InvalidCredentials);
    assert!(system.queue.joins().is_empty());
}

#[tokio::test]
async fn a_logout_ends_the_session_and_may_be_repeated() {
    let system = System::start().await;
    let (_, tokens) = system.member("kim@example.com").await;
    let other = system
        .log_in("kim@example.com", PASSWORD)
        .await
        .unwrap()
        .tokens
        .unwrap();
    system.log_out(&tokens.refresh_token).await.unwrap();
    system.log_out(&tokens.refresh_token).await.unwrap();
    let refused = system.refresh(&tokens.refresh_token).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::InvalidRefreshToken);
    system.refresh(&other.refresh_token).await.unwrap();

    system.log_out("no token of ours").await.unwrap();
    let missing = system.log_out("").await.unwrap_err();
    assert_eq!(missing.fields[0].field, "refreshToken");
}

#[tokio::test]
async fn more_passwords_than_the_queue_holds_are_refused_at_once() {
    let system = System::start_with([
        ("HASH_CONCURRENCY", "1"),
        ("HASH_QUEUE", "0"),
        ("LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS", "100"),
    ])
    .await;
    let logins = (0..16).map(|_| system.log_in("kim@example.com", PASSWORD));
    let answers = futures::future::join_all(logins).await;
    let codes: Vec<_> = answers.into_iter().map(|answer| answer.unwrap_err()).collect();
    let busy = codes
        .iter()
        .filter(|problem| problem.code == ProblemCode::Unavailable);
    assert!(busy.clone().all(|problem| problem.retry_after.is_some()));
    let busy = busy.count();
    let verified = codes
        .iter()
        .filter(|problem| problem.code == ProblemCode::InvalidCredentials)
        .count();
    assert!(busy > 0 && verified > 0 && busy + verified == 16, "{codes:?}");
}

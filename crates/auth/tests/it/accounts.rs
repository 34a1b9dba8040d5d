//! Signing up.

use std::time::Duration;

use contracts::auth::SignUpRequest;
use futures::future::join_all;
use service_kit::problem::Problem;
use vocabulary::{ProblemCode, UserId};

use crate::system::{PASSWORD, System};

#[tokio::test]
async fn a_new_account_is_a_buyer_with_its_address_in_lower_case() {
    let system = System::start().await;
    let request = SignUpRequest {
        email: " Kim@Example.COM ".to_owned(),
        password: PASSWORD.to_owned(),
        name: " 김민수 ".to_owned(),
        client_address: "192.0.2.1".to_owned(),
        idempotency_key: String::new(),
    };
    let user = system
        .client()
        .sign_up(request)
        .await
        .unwrap()
        .into_inner()
        .user
        .unwrap();
    assert_eq!(
        (user.email.as_str(), user.name.as_str()),
        ("kim@example.com", "김민수")
    );
    assert_eq!(user.roles, ["BUYER"]);
    assert!(user.created_at.is_some());
    assert_eq!(
        user.user_id
            .parse::<UserId>()
            .unwrap()
            .as_uuid()
            .get_version_num(),
        7
    );
    assert_eq!(
        system
            .log_in("KIM@example.com", PASSWORD)
            .await
            .unwrap()
            .user
            .unwrap(),
        user
    );
}

#[tokio::test]
async fn every_wrong_field_is_named_with_its_rule() {
    let system = System::start().await;
    let request = SignUpRequest {
        email: "kim".to_owned(),
        password: "short".to_owned(),
        name: "\u{7}".to_owned(),
        client_address: "192.0.2.1".to_owned(),
        idempotency_key: String::new(),
    };
    let problem = Problem::from(system.client().sign_up(request).await.unwrap_err());
    let fields: Vec<_> = problem.fields.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        (problem.code, fields),
        (ProblemCode::InvalidField, vec!["email", "password", "name"])
    );
    assert_eq!(problem.fields[1].rule, "must be 10 to 128 characters");

    let missing = system
        .client()
        .sign_up(SignUpRequest::default())
        .await
        .unwrap_err();
    let missing = Problem::from(missing);
    assert!(
        missing.fields.iter().all(|error| error.rule == "is required"),
        "{missing:?}"
    );
    assert_eq!(missing.fields.len(), 3);
}

fn keyed(key: &str) -> SignUpRequest {
    SignUpRequest {
        email: "kim@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        name: "Kim Minsu".to_owned(),
        client_address: "192.0.2.1".to_owned(),
        idempotency_key: key.to_owned(),
    }
}

async fn send(system: &System, request: SignUpRequest) -> Result<String, ProblemCode> {
    match system.client().sign_up(request).await {
        Ok(answer) => Ok(answer.into_inner().user.unwrap().user_id),
        Err(status) => Err(Problem::from(status).code),
    }
}

#[tokio::test]
async fn promise_9_a_repeated_key_answers_the_account_that_it_made() {
    let system = System::start().await;
    let made = send(&system, keyed("once")).await.unwrap();
    let repeat = SignUpRequest {
        email: " KIM@example.com".to_owned(),
        ..keyed("once")
    };
    assert_eq!(send(&system, repeat).await, Ok(made));

    for other in [
        SignUpRequest {
            password: "another password".to_owned(),
            ..keyed("once")
        },
        SignUpRequest {
            name: "Lee".to_owned(),
            ..keyed("once")
        },
    ] {
        assert_eq!(send(&system, other).await, Err(ProblemCode::IdempotencyKeyReused));
    }
    for key in ["twice", ""] {
        assert_eq!(send(&system, keyed(key)).await, Err(ProblemCode::EmailTaken));
    }
    // Another account may use the same key.
    let other = SignUpRequest {
        email: "lee@example.com".to_owned(),
        ..keyed("once")
    };
    assert!(send(&system, other).await.is_ok());
    let long = Problem::from(
        system
            .client()
            .sign_up(keyed(&"k".repeat(256)))
            .await
            .unwrap_err(),
    );
    assert_eq!(long.fields[0].field, "idempotencyKey");
}

#[tokio::test]
async fn a_key_of_a_sign_up_is_known_for_24_hours() {
    let system = System::start().await;
    let made = send(&system, keyed("once")).await;
    let a_minute = Duration::from_secs(60);
    system
        .database
        .step_clock(Duration::from_secs(86_400) - a_minute)
        .await;
    assert_eq!(send(&system, keyed("once")).await, made);
    system.database.step_clock(2 * a_minute).await;
    assert_eq!(send(&system, keyed("once")).await, Err(ProblemCode::EmailTaken));
}

#[tokio::test]
async fn promise_9_of_many_sign_ups_with_one_key_at_once_all_answer_one_account() {
    let system = System::start().await;
    let answers = join_all((0..8).map(|_| send(&system, keyed("once")))).await;
    let first = answers[0].clone().unwrap();
    assert!(
        answers.iter().all(|answer| *answer == Ok(first.clone())),
        "{answers:?}"
    );
}

#[tokio::test]
async fn of_many_sign_ups_with_one_address_at_once_one_makes_the_account() {
    const AT_ONCE: usize = 12;
    let system = System::start().await;
    let sign_ups = (0..AT_ONCE).map(|n| {
        let spelling = if n % 2 == 0 {
            "kim@example.com"
        } else {
            "Kim@Example.com"
        };
        system.sign_up(spelling)
    });
    let answers = join_all(sign_ups).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, AT_ONCE - 1));
    for problem in refused {
        assert_eq!(problem.unwrap_err().code, ProblemCode::EmailTaken);
    }
    let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(system.database.pool())
        .await
        .unwrap();
    assert_eq!(accounts, 1);

    // The control: without the constraint the same race makes a second account.
    sqlx::query("ALTER TABLE users DROP CONSTRAINT users_email_is_unique")
        .execute(system.database.pool())
        .await
        .unwrap();
    assert!(system.sign_up("kim@example.com").await.is_ok());
}

#[tokio::test]
async fn promise_18_the_password_is_kept_as_a_hash_alone() {
    let system = System::start().await;
    system.sign_up("kim@example.com").await.unwrap();
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users")
        .fetch_one(system.database.pool())
        .await
        .unwrap();
    assert!(
        hash.starts_with("$argon2id$") && !hash.contains(PASSWORD),
        "{hash}"
    );
}

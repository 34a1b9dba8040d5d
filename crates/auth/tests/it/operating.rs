//! What whoever runs the service does: seeding, roles, its start and its stores' absence.

use std::process::{Command, Output};

use auth::store::MIGRATOR;
use service_kit::admin::healthcheck;
use service_kit::problem::Problem;
use test_support::{TestDatabase, eventually};
use vocabulary::{ProblemCode, Role, demo};

use crate::system::{PASSWORD, Replica, System};

fn auth(database: &TestDatabase, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auth"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_demonstration_has_its_two_accounts_after_one_start_and_after_two() {
    let system = System::start_with([("SEED_DEMO", "true")]).await;
    system.replica.ready().await;
    let second = Replica::start(
        system.database.url(),
        "http://127.0.0.1:1",
        [("SEED_DEMO", "true")],
    )
    .await;
    second.ready().await;
    for (email, user_id, roles) in [
        (demo::BUYER_EMAIL, demo::BUYER_ID, vec!["BUYER"]),
        (
            demo::ORGANISER_EMAIL,
            demo::ORGANISER_ID,
            vec!["BUYER", "ORGANISER"],
        ),
    ] {
        let user = system.log_in(email, demo::PASSWORD).await.unwrap().user.unwrap();
        assert_eq!(
            (user.user_id, user.roles),
            (
                user_id.to_string(),
                roles.iter().map(ToString::to_string).collect()
            )
        );
    }
}

#[tokio::test]
async fn without_being_asked_for_there_are_no_demonstration_accounts() {
    let system = System::start().await;
    system.replica.ready().await;
    let refused = system
        .log_in(demo::BUYER_EMAIL, demo::PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(refused.code, ProblemCode::InvalidCredentials);
}

#[tokio::test]
async fn a_role_is_granted_and_revoked_by_command_and_tells_at_the_next_login() {
    let system = System::start().await;
    system.sign_up("kim@example.com").await.unwrap();
    let roles = async || {
        let answer = system.log_in("kim@example.com", PASSWORD).await.unwrap();
        system.read(&answer.tokens.unwrap().access_token).await.roles
    };
    let of_kim = ["--email", "Kim@example.com", "--role", "ORGANISER"];
    for _ in 0..2 {
        let granted = auth(&system.database, &[&["grant-role"], &of_kim[..]].concat());
        assert!(granted.status.success(), "{granted:?}");
        assert_eq!(roles().await, [Role::Buyer, Role::Organiser]);
    }
    for _ in 0..2 {
        let revoked = auth(&system.database, &[&["revoke-role"], &of_kim[..]].concat());
        assert!(revoked.status.success(), "{revoked:?}");
        assert_eq!(roles().await, [Role::Buyer]);
    }
}

#[tokio::test]
async fn a_role_that_cannot_be_granted_or_revoked_says_why() {
    let database = TestDatabase::create(&MIGRATOR).await;
    for (arguments, reason) in [
        (
            ["grant-role", "--email", "lee@example.com", "--role", "ORGANISER"],
            "lee@example.com has no account",
        ),
        (
            ["grant-role", "--email", "lee", "--role", "ORGANISER"],
            "must be an e-mail address",
        ),
        (
            ["grant-role", "--email", "lee@example.com", "--role", "OWNER"],
            "is not a role",
        ),
        (
            ["revoke-role", "--email", "lee@example.com", "--role", "BUYER"],
            "the role of every account",
        ),
    ] {
        let refused = auth(&database, &arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains(reason),
            "{arguments:?}: {said}"
        );
    }
}

#[tokio::test]
async fn the_command_migrates_an_empty_database_and_one_that_is_up_to_date() {
    let database = TestDatabase::create_empty().await;
    for _ in 0..2 {
        let migrated = auth(&database, &["migrate"]);
        assert!(migrated.status.success(), "{migrated:?}");
    }
    let key = auth(&database, &["rotate-signing-key"]);
    assert!(key.status.success(), "{key:?}");
}

#[tokio::test]
async fn a_service_whose_schema_is_missing_is_not_ready_and_heals() {
    let database = TestDatabase::create_empty().await;
    let replica = Replica::start(database.url(), "http://127.0.0.1:1", [("SEED_DEMO", "true")]).await;
    let waiting = eventually("an answer of the admin port", async || {
        healthcheck(replica.admin)
            .await
            .err()
            .filter(|error| error.to_string().contains("not ready"))
    })
    .await;
    for gate in ["database", "signing-key", "seed"] {
        assert!(waiting.to_string().contains(gate), "{waiting}");
    }
    assert!(auth(&database, &["migrate"]).status.success());
    replica.ready().await;
}

#[tokio::test]
async fn a_service_whose_database_is_away_says_so_at_once() {
    let replica = Replica::start(
        "postgres://nobody@127.0.0.1:1/nothing",
        "http://127.0.0.1:1",
        [("DATABASE_ACQUIRE_TIMEOUT_MS", "200")],
    )
    .await;
    let request = contracts::auth::LogInRequest {
        email: "kim@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        concert_id: None,
        client_address: String::new(),
    };
    let problem = Problem::from(replica.client.clone().log_in(request).await.unwrap_err());
    assert_eq!(problem.code, ProblemCode::Unavailable);
    assert!(problem.retry_after.is_some());
}

#[tokio::test]
async fn every_role_given_or_taken_is_noted_for_good() {
    let system = System::start().await;
    let user = system.sign_up("kim@example.com").await.unwrap();
    let of_kim = ["--email", "kim@example.com", "--role", "ORGANISER"];
    for command in ["grant-role", "grant-role", "revoke-role", "revoke-role"] {
        let done = auth(&system.database, &[&[command], &of_kim[..]].concat());
        assert!(done.status.success(), "{done:?}");
    }
    let noted: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT user_id::text, role, change FROM role_changes WHERE changed_by = session_user ORDER BY change_id",
    )
    .fetch_all(system.database.pool())
    .await
    .unwrap();
    let expected = |change: &str| (user.user_id.clone(), "ORGANISER".to_owned(), change.to_owned());
    assert_eq!(noted, [expected("GRANTED"), expected("REVOKED")]);
    for statement in [
        "UPDATE role_changes SET role = 'BUYER'",
        "DELETE FROM role_changes",
        "TRUNCATE role_changes",
    ] {
        let refused = sqlx::query(statement)
            .execute(system.database.pool())
            .await
            .unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("role_changes_are_append_only"), "{statement}");
    }
}

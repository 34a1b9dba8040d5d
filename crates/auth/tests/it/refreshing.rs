//! Trading refresh tokens.

use std::time::Duration;

use futures::future::join_all;
use service_kit::problem::Problem;
use vocabulary::{ProblemCode, Role};

use crate::system::{AFTER_THE_GRACE, PASSWORD, System};

fn invalid() -> Problem {
    Problem::of(ProblemCode::InvalidRefreshToken)
}

async fn end_reason(system: &System) -> Option<String> {
    sqlx::query_scalar("SELECT ended_because FROM sessions")
        .fetch_one(system.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refresh_answers_new_tokens_of_the_same_session() {
    let system = System::start().await;
    let (user, first) = system.member("kim@example.com").await;
    let second = system.refresh(&first.refresh_token).await.unwrap();
    let third = system.refresh(&second.refresh_token).await.unwrap();
    let (before, after) = (
        system.read(&first.access_token).await,
        system.read(&third.access_token).await,
    );
    assert_eq!((after.sub.to_string(), after.sid), (user.user_id, before.sid));
    assert_ne!(after.jti, before.jti);
    assert_ne!(third.refresh_token, second.refresh_token);
}

#[tokio::test]
async fn a_refresh_carries_the_roles_of_now() {
    let system = System::start().await;
    let (user, tokens) = system.member("kim@example.com").await;
    sqlx::query("INSERT INTO user_roles (user_id, role) VALUES ($1::uuid, 'ORGANISER')")
        .bind(user.user_id)
        .execute(system.database.pool())
        .await
        .unwrap();
    let tokens = system.refresh(&tokens.refresh_token).await.unwrap();
    let claims = system.read(&tokens.access_token).await;
    assert_eq!(claims.roles, [Role::Buyer, Role::Organiser]);
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_answered_again_within_the_grace() {
    let system = System::start().await;
    let (_, first) = system.member("kim@example.com").await;
    system.refresh(&first.refresh_token).await.unwrap();
    system.database.step_clock(Duration::from_secs(9)).await;
    let again = system.refresh(&first.refresh_token).await.unwrap();
    system.refresh(&again.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_token_used_again_after_the_grace_ends_the_session_for_its_thief_and_its_owner() {
    let system = System::start().await;
    let (_, first) = system.member("kim@example.com").await;
    let second = system.refresh(&first.refresh_token).await.unwrap();
    system.database.step_clock(AFTER_THE_GRACE).await;
    assert_eq!(system.refresh(&first.refresh_token).await.unwrap_err(), invalid());
    assert_eq!(end_reason(&system).await.as_deref(), Some("TOKEN_REUSED"));
    assert_eq!(
        system.refresh(&second.refresh_token).await.unwrap_err(),
        invalid()
    );
    // Another login of the same user is another session.
    assert!(system.log_in("kim@example.com", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_token_whose_successor_was_used_is_reused_even_within_the_grace() {
    let system = System::start().await;
    let (_, first) = system.member("kim@example.com").await;
    let second = system.refresh(&first.refresh_token).await.unwrap();
    let third = system.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(system.refresh(&first.refresh_token).await.unwrap_err(), invalid());
    assert_eq!(system.refresh(&third.refresh_token).await.unwrap_err(), invalid());
}

#[tokio::test]
async fn of_two_answers_to_one_token_the_one_that_is_used_first_goes_on() {
    let system = System::start().await;
    let (_, first) = system.member("kim@example.com").await;
    let (one, other) = tokio::join!(
        system.refresh(&first.refresh_token),
        system.refresh(&first.refresh_token)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.refresh_token, other.refresh_token);
    let generation: i32 = sqlx::query_scalar("SELECT generation FROM sessions")
        .fetch_one(system.database.pool())
        .await
        .unwrap();
    assert_eq!(generation, 1);

    system.refresh(&other.refresh_token).await.unwrap();
    system.database.step_clock(AFTER_THE_GRACE).await;
    assert_eq!(system.refresh(&one.refresh_token).await.unwrap_err(), invalid());
    assert_eq!(end_reason(&system).await.as_deref(), Some("TOKEN_REUSED"));
}

#[tokio::test]
async fn without_a_grace_one_of_two_refreshes_at_once_ends_the_session() {
    let system = System::start_with([("REFRESH_GRACE_SECONDS", "0")]).await;
    let (_, first) = system.member("kim@example.com").await;
    let (one, other) = tokio::join!(
        system.refresh(&first.refresh_token),
        system.refresh(&first.refresh_token)
    );
    let (kept, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(refused.unwrap_err(), invalid());
    assert_eq!(
        system.refresh(&kept.unwrap().refresh_token).await.unwrap_err(),
        invalid()
    );
}

#[tokio::test]
async fn one_token_is_traded_a_bounded_number_of_times_also_at_once() {
    let system = System::start().await;
    let (_, first) = system.member("kim@example.com").await;
    let answers = join_all((0..12).map(|_| system.refresh(&first.refresh_token))).await;
    let (given, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    // The trade itself and five retries.
    assert_eq!(given.len(), 6);
    for problem in refused {
        assert_eq!(problem.unwrap_err().code, ProblemCode::TooManyRequests);
    }
    assert_eq!(end_reason(&system).await, None);
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over_and_is_then_forgotten() {
    let system = System::start().await;
    let (_, tokens) = system.member("kim@example.com").await;
    system
        .database
        .step_clock(Duration::from_secs(30 * 24 * 3_600))
        .await;
    assert_eq!(
        system.refresh(&tokens.refresh_token).await.unwrap_err(),
        invalid()
    );

    let store = auth::store::Store::new(system.database.pool().clone());
    assert_eq!(store.delete_lapsed_sessions(10).await.unwrap(), 1);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM refresh_tokens")
        .fetch_one(system.database.pool())
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert_eq!(
        system.refresh(&tokens.refresh_token).await.unwrap_err(),
        invalid()
    );
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let system = System::start().await;
    for token in ["x", &"A".repeat(43), &"A".repeat(100_000)] {
        assert_eq!(system.refresh(token).await.unwrap_err(), invalid());
    }
    let missing = system.refresh("").await.unwrap_err();
    assert_eq!(missing.fields[0].field, "refreshToken");
}

#[tokio::test]
async fn promise_18_the_store_keeps_no_refresh_token() {
    let system = System::start().await;
    let (_, tokens) = system.member("kim@example.com").await;
    let kept: Vec<u8> = sqlx::query_scalar("SELECT token_hash FROM refresh_tokens")
        .fetch_one(system.database.pool())
        .await
        .unwrap();
    assert_eq!(kept.len(), 32);
    assert!(
        !tokens
            .refresh_token
            .as_bytes()
            .windows(32)
            .any(|part| part == kept)
    );
}

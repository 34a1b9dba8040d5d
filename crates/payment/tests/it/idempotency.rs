//! Promise 9: the same key and request have one effect and the same answer.

use std::time::Duration;

use contracts::payment::{CreateChargeRequest, PayRequest, PaymentStatus};
use futures::future::join_all;
use vocabulary::{ProblemCode, UserId};

use crate::charging;
use crate::ledger::assert_balanced;
use crate::world::{Hold, World, card, request, status};

fn keyed(hold: &Hold, points: i64, card: Option<&str>) -> PayRequest {
    PayRequest {
        idempotency_key: "once".to_owned(),
        ..request(hold, points, card)
    }
}

#[tokio::test]
async fn promise_9_a_success_is_answered_again() {
    let world = World::start().await;
    let hold = world.hold().await;
    let card = card("ok");
    let first = world.send(keyed(&hold, 1_000, Some(&card))).await.unwrap();
    let again = world.send(keyed(&hold, 1_000, Some(&card))).await.unwrap();
    assert_eq!(first.payment, again.payment);
    assert_eq!(
        first.reservation.unwrap().status(),
        again.reservation.unwrap().status()
    );
    assert_eq!(world.provider_totals().await, (9_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_9_a_failure_is_answered_again() {
    let world = World::start().await;
    let hold = world.hold().await;
    let card = card("declined");
    let first = world.send(keyed(&hold, 1_000, Some(&card))).await.unwrap_err();
    let again = world.send(keyed(&hold, 1_000, Some(&card))).await.unwrap_err();
    assert_eq!(first.code, ProblemCode::PaymentFailed);
    assert_eq!(first, again);
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_9_another_request_with_the_key_is_refused() {
    let world = World::start().await;
    let hold = world.hold().await;
    world.send(keyed(&hold, 10_000, None)).await.unwrap();
    let same_reservation = keyed(&hold, 9_000, Some("test_ok_1"));
    let other = world.booking.hold_of(hold.user_id, 10_000, "KRW");
    for other in [same_reservation, keyed(&other, 10_000, None)] {
        let refusal = world.send(other).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::IdempotencyKeyReused);
    }
    // Another user's key is another key.
    let stranger = world.hold().await;
    world.send(keyed(&stranger, 10_000, None)).await.unwrap();
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_9_a_request_that_still_runs_is_not_begun_again() {
    let world = World::start().await;
    let hold = world.hold().await;
    let asked = || world.send(keyed(&hold, 1_000, Some("test_slow_1")));
    let answers = join_all([asked(), asked(), asked()]).await;
    let (paid, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((paid.len(), refused.len()), (1, 2));
    for refusal in refused {
        assert_eq!(refusal.unwrap_err().code, ProblemCode::IdempotencyKeyInProgress);
    }
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_9_a_request_that_was_told_to_wait_is_told_how_far_it_is() {
    let world = World::with(&[("PAY_WAIT_MS", "100")]).await;
    let hold = world.hold().await;
    let first = world
        .send(keyed(&hold, 1_000, Some("test_slow_1")))
        .await
        .unwrap();
    let again = world
        .send(keyed(&hold, 1_000, Some("test_slow_1")))
        .await
        .unwrap();
    let (first, again) = (first.payment.unwrap(), again.payment.unwrap());
    assert_eq!(first.payment_id, again.payment_id);
    assert_ne!(status(&again), PaymentStatus::Failed);
}

#[tokio::test]
async fn promise_9_a_key_is_forgotten_after_a_day() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 20_000).await;
    world.send(keyed(&hold, 10_000, None)).await.unwrap();
    world
        .database
        .step_clock(Duration::from_secs(24 * 3_600 + 60))
        .await;
    let next = world.booking.hold_of(hold.user_id, 10_000, "KRW");
    world.send(keyed(&next, 10_000, None)).await.unwrap();
    assert_eq!(world.wallet(&hold).await, (0, 0));
    assert_balanced(&world).await;
}

/// A charge of 5,000 won under the same key as [`keyed`].
fn keyed_charge(user_id: UserId, payment_key: &str) -> CreateChargeRequest {
    CreateChargeRequest {
        idempotency_key: "once".to_owned(),
        ..charging::asked(user_id, 5_000, payment_key)
    }
}

#[tokio::test]
async fn promise_9_a_charge_is_answered_again_as_it_ended() {
    let world = World::start().await;
    let user_id = UserId::new();
    let ok = card("ok");
    let first = charging::charge(&world, keyed_charge(user_id, &ok))
        .await
        .unwrap();
    let again = charging::charge(&world, keyed_charge(user_id, &ok))
        .await
        .unwrap();
    assert_eq!(first, again);

    let (other, declined) = (UserId::new(), card("declined"));
    let first = charging::charge(&world, keyed_charge(other, &declined))
        .await
        .unwrap_err();
    let again = charging::charge(&world, keyed_charge(other, &declined))
        .await
        .unwrap_err();
    assert_eq!(first.code, ProblemCode::PaymentFailed);
    assert_eq!(first, again);
    assert_eq!(world.provider_totals().await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_9_another_charge_with_the_key_is_refused_for_a_day() {
    let world = World::start().await;
    let user_id = UserId::new();
    charging::charge(&world, keyed_charge(user_id, &card("ok")))
        .await
        .unwrap();
    let other = keyed_charge(user_id, &card("ok"));
    let refusal = charging::charge(&world, other.clone()).await.unwrap_err();
    assert_eq!(refusal.code, ProblemCode::IdempotencyKeyReused);

    world
        .database
        .step_clock(Duration::from_secs(24 * 3_600 + 60))
        .await;
    charging::charge(&world, other).await.unwrap();
    assert_eq!(world.wallet_of(user_id).await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn promise_9_a_charge_that_still_runs_is_not_begun_again() {
    let world = World::start().await;
    let (user_id, slow) = (UserId::new(), card("slow"));
    let asked = || charging::charge(&world, keyed_charge(user_id, &slow));
    let answers = join_all([asked(), asked(), asked()]).await;
    let (charged, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((charged.len(), refused.len()), (1, 2));
    for refusal in refused {
        assert_eq!(refusal.unwrap_err().code, ProblemCode::IdempotencyKeyInProgress);
    }
    assert_eq!(world.provider_totals().await, (5_000, 0));
    assert_balanced(&world).await;
}

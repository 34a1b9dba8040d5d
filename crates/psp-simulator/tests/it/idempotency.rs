//! One key, one answer.

use std::time::Duration;

use psp_simulator::config::Config;
use serde_json::json;

use crate::{
    confirming::captured,
    simulator::{
        CONFIRM, Simulator, answer, assert_refused, assert_status, cancellation, config, confirmation,
    },
};

#[tokio::test]
async fn requests_at_once_under_one_key_get_one_answer_of_one_capture() {
    let simulator = Simulator::start().await;
    let body = confirmation("test_ok_1", "order-1", 1_000);
    let racing: Vec<_> = (0..50)
        .map(|_| tokio::spawn(answer(simulator.post(CONFIRM, Some("key"), &body))))
        .collect();

    let first = simulator
        .confirm_under("key", "test_ok_1", "order-1", 1_000)
        .await;
    assert_status(&first, "DONE");
    for confirming in racing {
        assert_eq!(confirming.await.unwrap(), first);
    }
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_repeat_is_refused_while_the_first_request_runs() {
    let hour = Duration::from_secs(3_600);
    let simulator = Simulator::start_with(Config {
        slow: hour,
        ..config()
    })
    .await;
    let body = confirmation("test_slow_1", "order-1", 1_000);
    let _running = tokio::spawn(simulator.post(CONFIRM, Some("key"), &body).send());
    captured(&simulator, "order-1").await;

    let repeat = simulator
        .confirm_under("key", "test_slow_1", "order-1", 1_000)
        .await;
    assert_refused(&repeat, 409, "IDEMPOTENT_REQUEST_PROCESSING");
    let under_another_key = simulator
        .confirm_under("other", "test_slow_1", "order-1", 1_000)
        .await;
    assert_refused(&under_another_key, 400, "ALREADY_PROCESSED_PAYMENT");
}

#[tokio::test]
async fn a_slow_answer_is_repeated_at_once_afterwards() {
    let simulator = Simulator::start().await;
    let first = simulator
        .confirm_under("key", "test_slow_1", "order-1", 1_000)
        .await;
    assert_status(&first, "DONE");
    assert_eq!(
        simulator
            .confirm_under("key", "test_slow_1", "order-1", 1_000)
            .await,
        first
    );
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_lost_answer_is_given_to_the_next_who_asks_under_its_key() {
    let simulator = Simulator::start().await;
    let body = confirmation("test_lost_1", "order-1", 1_000);
    simulator
        .post(CONFIRM, Some("key"), &body)
        .send()
        .await
        .unwrap_err();

    let repeat = simulator
        .confirm_under("key", "test_lost_1", "order-1", 1_000)
        .await;
    assert_status(&repeat, "DONE");
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_reused_key_answers_for_the_first_payment_and_does_nothing() {
    let simulator = Simulator::start().await;
    let first = simulator
        .confirm_under("key", "test_ok_1", "order-1", 1_000)
        .await;

    assert_eq!(
        simulator.confirm_under("key", "test_ok_2", "order-2", 500).await,
        first
    );
    assert_eq!(
        answer(simulator.post(CONFIRM, Some("key"), &json!({}))).await,
        first
    );
    assert_refused(&simulator.by_order("order-2").await, 404, "NOT_FOUND_PAYMENT");
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_refusal_is_an_answer_too() {
    let simulator = Simulator::start().await;
    for _ in 0..4 {
        let refused = simulator
            .confirm_under("key", "test_unavailable_1", "order-1", 1_000)
            .await;
        assert_refused(&refused, 400, "PROVIDER_ERROR");
    }
    let refused = simulator
        .confirm_under("second", "test_unavailable_1", "order-1", 1_000)
        .await;
    assert_refused(&refused, 400, "PROVIDER_ERROR");
    let captured = simulator
        .confirm_under("third", "test_unavailable_1", "order-1", 1_000)
        .await;
    assert_status(&captured, "DONE");
}

#[tokio::test]
async fn a_key_is_its_own_at_every_url() {
    let simulator = Simulator::start().await;
    simulator
        .confirm_under("key", "test_ok_1", "order-1", 1_000)
        .await;
    simulator.confirm("test_ok_2", "order-2", 1_000).await;

    for payment_key in ["test_ok_1", "test_ok_2"] {
        let path = format!("/v1/payments/{payment_key}/cancel");
        let part = || answer(simulator.post(&path, Some("key"), &cancellation(Some(400))));
        let first = part().await;
        assert_status(&first, "PARTIAL_CANCELED");
        assert_eq!(part().await, first);
    }
    assert_eq!(simulator.totals().await, (2_000, 800));
}

#[tokio::test]
async fn a_key_of_more_than_300_characters_is_refused() {
    let simulator = Simulator::start().await;
    let refused = simulator
        .confirm_under(&"k".repeat(301), "test_ok_1", "order-1", 1_000)
        .await;
    assert_refused(&refused, 400, "INVALID_IDEMPOTENCY_KEY");
    let granted = simulator
        .confirm_under(&"k".repeat(300), "test_ok_1", "order-1", 1_000)
        .await;
    assert_status(&granted, "DONE");
}

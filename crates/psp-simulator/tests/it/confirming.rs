//! Confirmations and queries: what each test key does, and what the provider refuses.

use std::time::{Duration, Instant};

use psp_simulator::config::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::simulator::{
    Answer, CONFIRM, Simulator, answer, assert_refused, assert_status, config, confirmation,
};

#[tokio::test]
async fn an_ok_key_captures_and_answers_with_the_payment() {
    let simulator = Simulator::start().await;
    let confirmed = simulator.confirm("test_ok_1", "order-1", 15_000).await;

    assert_status(&confirmed, "DONE");
    let payment = &confirmed.1;
    let expected = json!({
        "paymentKey": "test_ok_1",
        "orderId": "order-1",
        "totalAmount": 15_000,
        "balanceAmount": 15_000,
        "suppliedAmount": 13_636,
        "vat": 1_364,
        "currency": "KRW",
        "method": "카드",
        "type": "NORMAL",
        "cancels": null,
        "failure": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&payment[field], value, "{field}");
    }
    assert_eq!(payment["card"]["amount"], 15_000);
    for time in ["requestedAt", "approvedAt"] {
        let time = payment[time].as_str().unwrap();
        assert!(
            time.len() == "2024-02-13T12:18:14+09:00".len() && time.ends_with("+09:00"),
            "{time}"
        );
    }
    assert_eq!(payment["lastTransactionKey"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn a_payment_is_found_by_its_key_and_by_its_order() {
    let simulator = Simulator::start().await;
    let confirmed = simulator.confirm("test_ok_1", "order-1", 1_000).await;

    assert_eq!(simulator.get("/v1/payments/test_ok_1").await, confirmed);
    assert_eq!(simulator.by_order("order-1").await, confirmed);
    for unknown in [
        "test_ok_2".to_owned(),
        "orders/order-2".to_owned(),
        "orders/x".to_owned(),
        "k".repeat(201),
    ] {
        assert_refused(
            &simulator.get(&format!("/v1/payments/{unknown}")).await,
            404,
            "NOT_FOUND_PAYMENT",
        );
    }
}

#[tokio::test]
async fn a_malformed_confirmation_is_an_invalid_request() {
    let simulator = Simulator::start().await;
    let with = |field: &str, value: Value| {
        let mut body = confirmation("test_ok_1", "order-1", 1_000);
        body[field] = value;
        body
    };
    let bodies = [
        json!({}),
        json!([]),
        json!({"orderId": "order-1", "amount": 1_000}),
        json!({"paymentKey": "test_ok_1", "amount": 1_000}),
        json!({"paymentKey": "test_ok_1", "orderId": "order-1"}),
        with("paymentKey", "".into()),
        with("paymentKey", "k".repeat(201).into()),
        with("orderId", "five5".into()),
        with("orderId", "x".repeat(65).into()),
        with("orderId", "with space".into()),
        with("amount", 0.into()),
        with("amount", (-1).into()),
        with("amount", 1.5.into()),
        with("amount", "1000".into()),
        with("amount", Value::Null),
        with("padding", "x".repeat(100_000).into()),
    ];
    for body in bodies {
        let refused = answer(simulator.post(CONFIRM, None, &body)).await;
        assert_refused(&refused, 400, "INVALID_REQUEST");
    }
    let not_json = simulator
        .request(Method::POST, CONFIRM)
        .header("Content-Type", "application/json")
        .body("{");
    assert_refused(&answer(not_json).await, 400, "INVALID_REQUEST");

    assert_status(&simulator.confirm("test_ok_6", "sixsix", 100).await, "DONE");
    assert_status(
        &simulator.confirm("test_ok_64", &"x".repeat(64), 1_000).await,
        "DONE",
    );
}

#[tokio::test]
async fn a_key_that_no_buyer_authenticated_has_no_session() {
    let simulator = Simulator::start().await;
    let refused = simulator
        .confirm("5EnNZRJGvaBX7zk2yd8ydw26", "order-1", 1_000)
        .await;
    assert_refused(&refused, 404, "NOT_FOUND_PAYMENT_SESSION");
    assert_refused(&simulator.by_order("order-1").await, 404, "NOT_FOUND_PAYMENT");
}

#[tokio::test]
async fn a_captured_key_is_never_captured_again() {
    let simulator = Simulator::start().await;
    assert_status(&simulator.confirm("test_ok_1", "order-1", 1_000).await, "DONE");

    let again = simulator.confirm("test_ok_1", "order-1", 1_000).await;
    assert_refused(&again, 400, "ALREADY_PROCESSED_PAYMENT");
    let for_another_order = simulator.confirm("test_ok_1", "order-2", 1_000).await;
    assert_refused(&for_another_order, 400, "ALREADY_PROCESSED_PAYMENT");

    simulator.cancel("test_ok_1", None).await;
    let after_cancel = simulator.confirm("test_ok_1", "order-1", 1_000).await;
    assert_refused(&after_cancel, 400, "ALREADY_PROCESSED_PAYMENT");
    assert_eq!(simulator.totals().await, (1_000, 1_000));
}

#[tokio::test]
async fn a_paid_order_is_never_paid_with_a_second_key() {
    let simulator = Simulator::start().await;
    assert_status(&simulator.confirm("test_ok_1", "order-1", 1_000).await, "DONE");
    let refused = simulator.confirm("test_ok_2", "order-1", 1_000).await;
    assert_refused(&refused, 400, "DUPLICATED_ORDER_ID");
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_declined_key_captures_nothing_and_declines_again() {
    let simulator = Simulator::start().await;
    for _ in 0..2 {
        let refused = simulator.confirm("test_declined_1", "order-1", 1_000).await;
        assert_refused(&refused, 403, "REJECT_CARD_PAYMENT");
    }
    let payment = simulator.by_order("order-1").await;
    assert_status(&payment, "ABORTED");
    assert_eq!(payment.1["failure"]["code"], "REJECT_CARD_PAYMENT");
    assert_eq!(payment.1["approvedAt"], Value::Null);
    assert_eq!(simulator.totals().await, (0, 0));

    // The order is still open for another card.
    assert_status(&simulator.confirm("test_ok_1", "order-1", 1_000).await, "DONE");
    assert_status(&simulator.by_order("order-1").await, "DONE");
}

#[tokio::test]
async fn a_slow_key_is_captured_at_once() {
    let simulator = Simulator::start_with(Config {
        slow: Duration::from_secs(3_600),
        ..config()
    })
    .await;
    let body = confirmation("test_slow_1", "order-1", 1_000);
    let confirming = tokio::spawn(simulator.post(CONFIRM, None, &body).send());

    assert_status(&captured(&simulator, "order-1").await, "DONE");
    assert!(!confirming.is_finished());
}

#[tokio::test]
async fn a_slow_key_is_answered_late() {
    let simulator = Simulator::start().await;
    let asked = Instant::now();
    let confirmed = simulator.confirm("test_slow_1", "order-1", 1_000).await;

    assert!(asked.elapsed() >= config().slow);
    assert_status(&confirmed, "DONE");
    assert_eq!(simulator.by_order("order-1").await, confirmed);
}

#[tokio::test]
async fn a_lost_key_is_captured_and_its_connection_ends_without_an_answer() {
    let simulator = Simulator::start().await;
    let asked = Instant::now();
    let request = simulator.post(CONFIRM, None, &confirmation("test_lost_1", "order-1", 1_000));
    let error = request.send().await.unwrap_err();

    assert!(
        asked.elapsed() >= config().lost && error.status().is_none(),
        "{error:?}"
    );
    assert_status(&simulator.by_order("order-1").await, "DONE");
    let again = simulator.confirm("test_lost_1", "order-1", 1_000).await;
    assert_refused(&again, 400, "ALREADY_PROCESSED_PAYMENT");
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn an_unavailable_key_fails_twice_and_then_captures() {
    let simulator = Simulator::start().await;
    for _ in 0..2 {
        let refused = simulator.confirm("test_unavailable_1", "order-1", 1_000).await;
        assert_refused(&refused, 400, "PROVIDER_ERROR");
        assert_status(&simulator.by_order("order-1").await, "IN_PROGRESS");
    }
    // The session is for this order and this amount alone.
    let other_order = simulator.confirm("test_unavailable_1", "order-2", 1_000).await;
    assert_refused(&other_order, 404, "NOT_FOUND_PAYMENT_SESSION");
    let other_amount = simulator.confirm("test_unavailable_1", "order-1", 100).await;
    assert_refused(&other_amount, 404, "NOT_FOUND_PAYMENT_SESSION");
    assert_eq!(simulator.totals().await, (0, 0));

    assert_status(
        &simulator.confirm("test_unavailable_1", "order-1", 1_000).await,
        "DONE",
    );
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_late_key_breaks_the_connection_and_captures_afterwards_by_itself() {
    let simulator = Simulator::start_with(Config {
        late: Duration::from_secs(2),
        ..config()
    })
    .await;
    let confirm = || {
        simulator.post(
            CONFIRM,
            Some("first"),
            &confirmation("test_late_1", "order-1", 1_000),
        )
    };
    assert!(confirm().send().await.is_err());

    assert_status(&simulator.by_order("order-1").await, "IN_PROGRESS");
    assert_refused(&answer(confirm()).await, 409, "IDEMPOTENT_REQUEST_PROCESSING");
    assert_refused(
        &simulator.confirm("test_late_1", "order-1", 1_000).await,
        403,
        "FORBIDDEN_CONSECUTIVE_REQUEST",
    );
    assert_refused(
        &simulator.confirm("test_ok_1", "order-1", 1_000).await,
        400,
        "DUPLICATED_ORDER_ID",
    );
    assert_refused(
        &simulator.cancel("test_late_1", None).await,
        403,
        "NOT_CANCELABLE_PAYMENT",
    );
    assert_eq!(simulator.totals().await, (0, 0));

    simulator.until_captured("order-1").await;
    assert_status(&answer(confirm()).await, "DONE");
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn less_than_100_won_is_not_charged_to_a_card() {
    let simulator = Simulator::start().await;
    let refused = simulator.confirm("test_ok_1", "order-1", 99).await;
    assert_refused(&refused, 400, "BELOW_MINIMUM_AMOUNT");
    assert_refused(&simulator.by_order("order-1").await, 404, "NOT_FOUND_PAYMENT");
}

#[tokio::test]
async fn of_many_confirmations_of_one_key_exactly_one_captures() {
    let simulator = Simulator::start().await;
    let racing: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn(answer(simulator.post(
                CONFIRM,
                None,
                &confirmation("test_ok_1", "order-1", 1_000),
            )))
        })
        .collect();

    let mut captures = 0;
    for confirming in racing {
        let answer = confirming.await.unwrap();
        if answer.0 == 200 {
            captures += 1;
        } else {
            assert_refused(&answer, 400, "ALREADY_PROCESSED_PAYMENT");
        }
    }
    assert_eq!(captures, 1);
    assert_eq!(simulator.totals().await, (1_000, 0));
}

#[tokio::test]
async fn a_stop_waits_for_no_delayed_answer() {
    let hour = Duration::from_secs(3_600);
    let simulator = Simulator::start_with(Config {
        slow: hour,
        lost: hour,
        ..config()
    })
    .await;
    let slow = tokio::spawn(
        simulator
            .post(CONFIRM, None, &confirmation("test_slow_1", "order-1", 1_000))
            .send(),
    );
    let lost = tokio::spawn(
        simulator
            .post(CONFIRM, None, &confirmation("test_lost_1", "order-2", 1_000))
            .send(),
    );
    captured(&simulator, "order-1").await;
    captured(&simulator, "order-2").await;

    let stopped = tokio::time::timeout(Duration::from_secs(4), simulator.stop()).await;
    assert!(stopped.is_ok());
    assert!(slow.await.unwrap().is_err() && lost.await.unwrap().is_err());
}

/// The payment of an order whose confirmation is on its way, once it is captured.
pub(crate) async fn captured(simulator: &Simulator, order_id: &str) -> Answer {
    let polling = async {
        loop {
            let answer = simulator.by_order(order_id).await;
            if answer.0 == 200 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), polling)
        .await
        .unwrap()
}

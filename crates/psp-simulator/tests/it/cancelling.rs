//! Money going back, whole and in parts.

use std::time::{Duration, Instant};

use psp_simulator::config::Config;
use serde_json::json;

use crate::simulator::{Simulator, answer, assert_refused, assert_status, cancellation, config};

#[tokio::test]
async fn a_cancellation_without_an_amount_gives_all_back() {
    let simulator = Simulator::start().await;
    let confirmed = simulator.confirm("test_ok_1", "order-1", 1_000).await;
    let canceled = simulator.cancel("test_ok_1", None).await;

    assert_status(&canceled, "CANCELED");
    let payment = &canceled.1;
    assert_eq!(
        (&payment["totalAmount"], &payment["balanceAmount"]),
        (&1_000.into(), &0.into())
    );
    let cancel = &payment["cancels"][0];
    assert_eq!(
        (&cancel["cancelAmount"], &cancel["refundableAmount"]),
        (&1_000.into(), &0.into())
    );
    assert_eq!(
        (&cancel["cancelReason"], &cancel["cancelStatus"]),
        (&"changed my mind".into(), &"DONE".into())
    );
    assert!(cancel["canceledAt"].as_str().unwrap().ends_with("+09:00"));
    assert_eq!(payment["lastTransactionKey"], cancel["transactionKey"]);
    assert_ne!(payment["lastTransactionKey"], confirmed.1["lastTransactionKey"]);
    assert_eq!(simulator.by_order("order-1").await, canceled);

    assert_refused(
        &simulator.cancel("test_ok_1", None).await,
        400,
        "ALREADY_CANCELED_PAYMENT",
    );
    assert_refused(
        &simulator.cancel("test_ok_1", Some(1)).await,
        400,
        "ALREADY_CANCELED_PAYMENT",
    );
    assert_eq!(simulator.totals().await, (1_000, 1_000));
}

#[tokio::test]
async fn parts_go_back_until_nothing_is_left() {
    let simulator = Simulator::start().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;

    let first = simulator.cancel("test_ok_1", Some(300)).await;
    assert_status(&first, "PARTIAL_CANCELED");
    assert_eq!(first.1["balanceAmount"], 700);
    assert_refused(
        &simulator.cancel("test_ok_1", Some(701)).await,
        403,
        "NOT_CANCELABLE_AMOUNT",
    );
    let second = simulator.cancel("test_ok_1", Some(699)).await;
    assert_status(&second, "PARTIAL_CANCELED");
    let rest = simulator.cancel("test_ok_1", None).await;
    // As with the provider: the balance says that nothing is left, the status does not.
    assert_status(&rest, "PARTIAL_CANCELED");
    assert_eq!(rest.1["balanceAmount"], 0);
    assert_refused(
        &simulator.cancel("test_ok_1", Some(1)).await,
        403,
        "NOT_CANCELABLE_AMOUNT",
    );

    let parts: Vec<_> = rest.1["cancels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cancel| &cancel["cancelAmount"])
        .collect();
    assert_eq!(parts, [300, 699, 1]);
    assert_eq!(simulator.totals().await, (1_000, 1_000));
}

#[tokio::test]
async fn parts_asked_for_at_once_never_exceed_the_capture() {
    let simulator = Simulator::start().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    let path = "/v1/payments/test_ok_1/cancel";
    let racing: Vec<_> = (0..40)
        .map(|_| tokio::spawn(answer(simulator.post(path, None, &cancellation(Some(70))))))
        .collect();

    let mut granted = 0;
    for canceling in racing {
        let answer = canceling.await.unwrap();
        if answer.0 == 200 {
            granted += 1;
        } else {
            assert_refused(&answer, 403, "NOT_CANCELABLE_AMOUNT");
        }
    }
    assert_eq!(granted, 14);
    assert_eq!(simulator.totals().await, (1_000, 980));
}

#[tokio::test]
async fn a_cancellation_may_name_the_balance_that_it_is_meant_for() {
    let simulator = Simulator::start().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    let path = "/v1/payments/test_ok_1/cancel";
    let of = |balance: u64| {
        let body = json!({"cancelReason": "x", "cancelAmount": 300, "refundableAmount": balance});
        simulator.post(path, None, &body)
    };
    assert_status(&answer(of(1_000)).await, "PARTIAL_CANCELED");
    let again = answer(of(1_000)).await;
    assert_refused(&again, 400, "NOT_MATCHES_REFUNDABLE_AMOUNT");
    assert_status(&answer(of(700)).await, "PARTIAL_CANCELED");
    assert_eq!(simulator.totals().await, (1_000, 600));
}

#[tokio::test]
async fn of_two_cancellations_within_the_pace_only_the_first_is_done() {
    let simulator = Simulator::start_with(Config {
        cancel_pace: Duration::from_secs(60),
        ..config()
    })
    .await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    simulator.confirm("test_ok_2", "order-2", 1_000).await;
    let path = "/v1/payments/test_ok_1/cancel";
    let first = || answer(simulator.post(path, Some("first"), &cancellation(Some(300))));
    assert_status(&first().await, "PARTIAL_CANCELED");
    assert_refused(
        &simulator.cancel("test_ok_1", Some(300)).await,
        403,
        "FORBIDDEN_CONSECUTIVE_REQUEST",
    );
    assert_status(&first().await, "PARTIAL_CANCELED");
    assert_status(
        &simulator.cancel("test_ok_2", Some(300)).await,
        "PARTIAL_CANCELED",
    );
    assert_eq!(simulator.totals().await, (2_000, 600));
}

#[tokio::test]
async fn the_answer_to_a_cancellation_may_be_lost_or_late() {
    let simulator = Simulator::start().await;
    for key in ["test_cancel_lost_1", "test_cancel_slow_1"] {
        simulator.confirm(key, &format!("order-{key}"), 1_000).await;
        let path = format!("/v1/payments/{key}/cancel");
        let cancel = || simulator.post(&path, Some("key"), &cancellation(Some(300)));
        let sent = Instant::now();
        let first = cancel().send().await;
        assert!(sent.elapsed() >= Duration::from_millis(200), "{key}");
        assert_eq!(first.is_err(), key.contains("lost"), "{key}");
        assert_status(&answer(cancel()).await, "PARTIAL_CANCELED");
    }
    assert_eq!(simulator.totals().await, (2_000, 600));
}

#[tokio::test]
async fn a_cancellation_may_fail_twice_or_for_ever() {
    let simulator = Simulator::start().await;
    simulator
        .confirm("test_cancel_unavailable_1", "order-1", 1_000)
        .await;
    for _ in 0..2 {
        let fault = simulator.cancel("test_cancel_unavailable_1", Some(300)).await;
        assert_refused(&fault, 400, "PROVIDER_ERROR");
    }
    let done = simulator.cancel("test_cancel_unavailable_1", Some(300)).await;
    assert_status(&done, "PARTIAL_CANCELED");

    simulator
        .confirm("test_cancel_declined_1", "order-2", 1_000)
        .await;
    for _ in 0..3 {
        let refused = simulator.cancel("test_cancel_declined_1", Some(300)).await;
        assert_refused(&refused, 403, "NOT_CANCELABLE_PAYMENT");
    }
    assert_eq!(simulator.totals().await, (2_000, 300));
}

#[tokio::test]
async fn what_was_never_captured_cannot_go_back() {
    let simulator = Simulator::start().await;
    assert_refused(
        &simulator.cancel("test_ok_1", None).await,
        404,
        "NOT_FOUND_PAYMENT",
    );
    simulator.confirm("test_declined_1", "order-1", 1_000).await;
    assert_refused(
        &simulator.cancel("test_declined_1", None).await,
        403,
        "NOT_CANCELABLE_PAYMENT",
    );
    simulator.confirm("test_unavailable_1", "order-2", 1_000).await;
    assert_refused(
        &simulator.cancel("test_unavailable_1", None).await,
        403,
        "NOT_CANCELABLE_PAYMENT",
    );
}

#[tokio::test]
async fn a_malformed_cancellation_is_an_invalid_request() {
    let simulator = Simulator::start().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    let bodies = [
        json!({}),
        json!({"cancelAmount": 100}),
        json!({"cancelReason": ""}),
        json!({"cancelReason": "x".repeat(201)}),
        json!({"cancelReason": "changed my mind", "cancelAmount": 0}),
        json!({"cancelReason": "changed my mind", "cancelAmount": -100}),
        json!({"cancelReason": "changed my mind", "cancelAmount": "100"}),
    ];
    for body in bodies {
        let refused = answer(simulator.post("/v1/payments/test_ok_1/cancel", None, &body)).await;
        assert_refused(&refused, 400, "INVALID_REQUEST");
    }
    assert_eq!(simulator.totals().await, (1_000, 0));
}

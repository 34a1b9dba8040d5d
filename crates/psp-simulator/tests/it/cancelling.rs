//! Money going back, whole and in parts.

use serde_json::json;

use crate::simulator::{Simulator, answer, assert_refused, assert_status, cancellation};

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
    assert_status(&rest, "CANCELED");

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

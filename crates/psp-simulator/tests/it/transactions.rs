//! The list of what moved, for whoever compares books.

use serde_json::Value;

use crate::simulator::{Answer, Simulator, assert_refused};

const TODAY: &str = "startDate=2020-01-01T00:00:00&endDate=2199-12-31T23:59:59";

async fn list(simulator: &Simulator, query: &str) -> Answer {
    simulator.get(&format!("/v1/transactions?{query}")).await
}

fn rows(answer: &Answer) -> Vec<(String, String, i64)> {
    assert_eq!(answer.0, 200, "{}", answer.1);
    let row = |transaction: &Value| {
        (
            transaction["orderId"].as_str().unwrap().to_owned(),
            transaction["status"].as_str().unwrap().to_owned(),
            transaction["amount"].as_i64().unwrap(),
        )
    };
    answer.1.as_array().unwrap().iter().map(row).collect()
}

fn row(order_id: &str, status: &str, amount: i64) -> (String, String, i64) {
    (order_id.to_owned(), status.to_owned(), amount)
}

#[tokio::test]
async fn every_capture_and_every_cancellation_is_a_transaction() {
    let simulator = Simulator::start().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    simulator.confirm("test_declined_1", "order-2", 500).await;
    simulator.confirm("test_ok_3", "order-3", 700).await;
    simulator.cancel("test_ok_1", Some(300)).await;
    let canceled = simulator.cancel("test_ok_3", None).await;
    simulator.cancel("test_ok_1", None).await;

    let listed = list(&simulator, TODAY).await;
    assert_eq!(
        rows(&listed),
        [
            row("order-1", "DONE", 1_000),
            row("order-3", "DONE", 700),
            row("order-1", "PARTIAL_CANCELED", 300),
            row("order-3", "CANCELED", 700),
            row("order-1", "PARTIAL_CANCELED", 700),
        ]
    );
    let cancel = &listed.1[3];
    assert_eq!(cancel["transactionKey"], canceled.1["lastTransactionKey"]);
    assert_eq!(cancel["paymentKey"], "test_ok_3");
    assert_eq!(cancel["transactionAt"], canceled.1["cancels"][0]["canceledAt"]);
}

#[tokio::test]
async fn a_page_begins_after_the_transaction_that_is_named() {
    let simulator = Simulator::start().await;
    for n in 0..7 {
        simulator
            .confirm(&format!("test_ok_{n}"), &format!("order-{n}"), 100 + n)
            .await;
    }
    let whole = list(&simulator, TODAY).await;
    let mut after = String::new();
    let mut paged = Vec::new();
    loop {
        let page = list(&simulator, &format!("{TODAY}&limit=3{after}")).await;
        let page = page.1.as_array().unwrap().clone();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        after = format!("&startingAfter={}", last["transactionKey"].as_str().unwrap());
        paged.extend(page);
    }
    assert_eq!(&Value::Array(paged), &whole.1);
    let lost = list(&simulator, &format!("{TODAY}&startingAfter=nowhere")).await;
    assert_refused(&lost, 400, "INVALID_TRANSACTION_KEY");
}

#[tokio::test]
async fn the_window_is_of_korean_seconds_and_includes_both_ends() {
    let simulator = Simulator::start().await;
    let confirmed = simulator.confirm("test_ok_1", "order-1", 1_000).await;
    let at = confirmed.1["approvedAt"].as_str().unwrap().replace("+09:00", "");
    for (query, found) in [
        (format!("startDate={at}&endDate={at}"), 1),
        (format!("startDate=2020-01-01T00:00:00&endDate={at}"), 1),
        (format!("startDate={at}&endDate=2199-12-31T23:59:59.999"), 1),
        (
            "startDate=2020-01-01T00:00:00&endDate=2020-01-02T00:00:00".to_owned(),
            0,
        ),
    ] {
        assert_eq!(rows(&list(&simulator, &query).await).len(), found, "{query}");
    }
}

#[tokio::test]
async fn a_malformed_question_is_an_invalid_request() {
    let simulator = Simulator::start().await;
    for query in [
        String::new(),
        "startDate=2020-01-01T00:00:00".to_owned(),
        "startDate=yesterday&endDate=2020-01-01T00:00:00".to_owned(),
        "startDate=2020-01-02T00:00:00&endDate=2020-01-01T00:00:00".to_owned(),
        format!("{TODAY}&limit=0"),
        format!("{TODAY}&limit=5001"),
    ] {
        assert_refused(&list(&simulator, &query).await, 400, "INVALID_REQUEST");
    }
}

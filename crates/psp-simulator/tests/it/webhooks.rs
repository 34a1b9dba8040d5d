//! What the merchant is told, and how often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use psp_simulator::config::Config;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};

use crate::simulator::{CONFIRM, Simulator, config, confirmation};

/// A merchant that refuses its first webhooks.
struct Merchant {
    url: String,
    told: mpsc::UnboundedReceiver<Value>,
    refusals_left: Arc<AtomicU64>,
}

type Hears = (mpsc::UnboundedSender<Value>, Arc<AtomicU64>);

async fn hear(State((hears, refusals_left)): State<Hears>, Json(event): Json<Value>) -> StatusCode {
    hears.send(event).unwrap();
    let refuse = |left: u64| left.checked_sub(1);
    let refused = refusals_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse);
    if refused.is_ok() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

impl Merchant {
    async fn refusing(times: u64) -> Self {
        let refusals_left = Arc::new(AtomicU64::new(times));
        let (hears, told) = mpsc::unbounded_channel();
        let routes = Router::new()
            .route("/hooks", post(hear))
            .with_state((hears, Arc::clone(&refusals_left)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            told,
            refusals_left,
        }
    }

    async fn simulator(&self) -> Simulator {
        Simulator::start_with(Config {
            webhook_url: Some(self.url.parse().unwrap()),
            webhook_retry: Duration::from_millis(1),
            ..config()
        })
        .await
    }

    async fn hears(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(20), self.told.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// The status and order of the next webhook.
    async fn hears_of(&mut self) -> (String, String) {
        let event = self.hears().await;
        let text = |field: &str| event["data"][field].as_str().unwrap().to_owned();
        (text("status"), text("orderId"))
    }
}

fn of(status: &str, order_id: &str) -> (String, String) {
    (status.to_owned(), order_id.to_owned())
}

#[tokio::test]
async fn the_merchant_is_told_of_every_change_of_status() {
    let mut merchant = Merchant::refusing(0).await;
    let simulator = merchant.simulator().await;

    let confirmed = simulator.confirm("test_ok_1", "order-1", 1_000).await;
    let event = merchant.hears().await;
    assert_eq!(event["eventType"], "PAYMENT_STATUS_CHANGED");
    assert_eq!(event["data"], confirmed.1);
    // Korean, and without saying so.
    assert_eq!(
        event["createdAt"].as_str().unwrap().len(),
        "2022-05-12T00:00:00.000000".len()
    );

    simulator.cancel("test_ok_1", Some(300)).await;
    assert_eq!(merchant.hears_of().await, of("PARTIAL_CANCELED", "order-1"));
    simulator.confirm("test_declined_1", "order-2", 1_000).await;
    assert_eq!(merchant.hears_of().await, of("ABORTED", "order-2"));
    simulator.confirm("test_doubled_1", "order-3", 1_000).await;
    for _ in 0..2 {
        assert_eq!(merchant.hears_of().await, of("DONE", "order-3"));
    }
}

#[tokio::test]
async fn faults_and_repeats_are_no_news() {
    let mut merchant = Merchant::refusing(0).await;
    let simulator = merchant.simulator().await;
    for _ in 0..2 {
        simulator.confirm("test_unavailable_1", "order-1", 1_000).await;
    }
    for _ in 0..2 {
        simulator
            .confirm_under("key", "test_ok_2", "order-2", 1_000)
            .await;
    }
    assert_eq!(merchant.hears_of().await, of("DONE", "order-2"));
    simulator.confirm("test_ok_3", "order-3", 1_000).await;
    assert_eq!(merchant.hears_of().await, of("DONE", "order-3"));
}

#[tokio::test]
async fn a_lost_answer_is_told_at_once_and_a_late_capture_when_it_comes() {
    let mut merchant = Merchant::refusing(0).await;
    let simulator = merchant.simulator().await;
    for (key, order_id) in [("test_late_1", "order-1"), ("test_lost_1", "order-2")] {
        let confirm = simulator.post(CONFIRM, None, &confirmation(key, order_id, 1_000));
        tokio::spawn(async move { confirm.send().await.is_err() });
        assert_eq!(merchant.hears_of().await, of("DONE", order_id));
        assert_eq!(simulator.by_order(order_id).await.1["status"], "DONE");
    }
}

#[tokio::test]
async fn a_webhook_is_sent_again_until_it_is_heard() {
    let mut merchant = Merchant::refusing(3).await;
    let simulator = merchant.simulator().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    for _ in 0..4 {
        assert_eq!(merchant.hears_of().await, of("DONE", "order-1"));
    }
    simulator.confirm("test_ok_2", "order-2", 1_000).await;
    assert_eq!(merchant.hears_of().await, of("DONE", "order-2"));
}

#[tokio::test]
async fn a_webhook_is_given_up_after_seven_repeats() {
    // 4 to the power of 6 milliseconds is the longest wait that is waited for here.
    let mut merchant = Merchant::refusing(100).await;
    let simulator = merchant.simulator().await;
    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    for _ in 0..8 {
        let heard = tokio::time::timeout(Duration::from_secs(60), merchant.told.recv()).await;
        assert!(heard.unwrap().is_some());
    }
    merchant.refusals_left.store(0, Ordering::SeqCst);
    simulator.confirm("test_ok_2", "order-2", 1_000).await;
    assert_eq!(merchant.hears_of().await, of("DONE", "order-2"));
}

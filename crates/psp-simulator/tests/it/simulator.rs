//! A simulator in this process, and a client that talks to it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use psp_simulator::{config::Config, startup::Application};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) const SECRET_KEY: &str = "test_sk_frontrow";

/// HTTP status and JSON body.
pub(crate) type Answer = (u16, Value);

pub(crate) struct Simulator {
    pub client: Client,
    pub addr: SocketAddr,
    base: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

pub(crate) fn config() -> Config {
    Config {
        addr: "127.0.0.1:0".parse().unwrap(),
        secret_key: SECRET_KEY.parse().unwrap(),
        journal: None,
        slow: Duration::from_millis(200),
        lost: Duration::from_millis(200),
        late: Duration::from_millis(200),
        cancel_pace: Duration::ZERO,
        webhook_url: None,
        webhook_retry: Duration::from_millis(10),
    }
}

impl Simulator {
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_on(journal: PathBuf) -> Self {
        Self::start_with(Config {
            journal: Some(journal),
            ..config()
        })
        .await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let application = Application::build(config).await.unwrap();
        let addr = application.addr();
        let base = format!("http://{addr}");
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(application.run_until_stopped(async {
            let _ = stopped.await;
        }));
        Self {
            client: Client::new(),
            addr,
            base,
            stop,
            served,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth(SECRET_KEY, Some(""))
    }

    pub(crate) fn post(&self, path: &str, idempotency_key: Option<&str>, body: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, path).json(body);
        match idempotency_key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn by_order(&self, order_id: &str) -> Answer {
        self.get(&format!("/v1/payments/orders/{order_id}")).await
    }

    pub(crate) async fn confirm(&self, payment_key: &str, order_id: &str, amount: u64) -> Answer {
        answer(self.post(CONFIRM, None, &confirmation(payment_key, order_id, amount))).await
    }

    pub(crate) async fn confirm_under(
        &self,
        idempotency_key: &str,
        payment_key: &str,
        order_id: &str,
        amount: u64,
    ) -> Answer {
        answer(self.post(
            CONFIRM,
            Some(idempotency_key),
            &confirmation(payment_key, order_id, amount),
        ))
        .await
    }

    pub(crate) async fn cancel(&self, payment_key: &str, amount: Option<u64>) -> Answer {
        let path = format!("/v1/payments/{payment_key}/cancel");
        answer(self.post(&path, None, &cancellation(amount))).await
    }

    /// Waits for a late capture.
    pub(crate) async fn until_captured(&self, order_id: &str) {
        let captured = async {
            while self.by_order(order_id).await.1["status"] != "DONE" {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), captured)
            .await
            .unwrap();
    }

    /// All that was captured and all that went back, in won.
    pub(crate) async fn totals(&self) -> (u64, u64) {
        let (_, books) = answer(self.anonymous(Method::GET, "/simulator/payments")).await;
        (
            books["capturedAmount"].as_u64().unwrap(),
            books["canceledAmount"].as_u64().unwrap(),
        )
    }
}

pub(crate) const CONFIRM: &str = "/v1/payments/confirm";

pub(crate) fn confirmation(payment_key: &str, order_id: &str, amount: u64) -> Value {
    json!({"paymentKey": payment_key, "orderId": order_id, "amount": amount})
}

pub(crate) fn cancellation(amount: Option<u64>) -> Value {
    match amount {
        Some(amount) => json!({"cancelReason": "changed my mind", "cancelAmount": amount}),
        None => json!({"cancelReason": "changed my mind"}),
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Expects a refusal in the provider's form.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let (got, body) = answer;
    assert_eq!((*got, body["code"].as_str()), (status, Some(code)), "{body}");
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
}

#[track_caller]
pub(crate) fn assert_status(answer: &Answer, status: &str) {
    let (got, body) = answer;
    assert_eq!((*got, body["status"].as_str()), (200, Some(status)), "{body}");
}

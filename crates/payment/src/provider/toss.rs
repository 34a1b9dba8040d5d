//! Toss Payments over HTTP. Its sandbox, and the simulator, are another URL and key.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::BoxFuture;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use service_kit::config::Environment;
use service_kit::telemetry;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{Instrument as _, Span};
use url::Url;

use super::classify::{self, CancelMeaning, Meaning, Standing};
use super::{Cancellation, Charge, Confirmation, Found, Lookup, PaymentProvider};

/// More than any answer of the provider's; what is longer is not one.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// A call that finds no place in this time is not made.
const PLACE_WAIT: Duration = Duration::from_millis(500);
/// What the buyer reads on the statement.
const CANCEL_REASON: &str = "The seats were no longer available";

/// How the provider is reached.
#[derive(Debug, Clone)]
pub struct TossConfig {
    url: Url,
    secret_key: SecretString,
    timeout: Duration,
    connect_timeout: Duration,
    max_concurrent_calls: usize,
}

impl TossConfig {
    /// Reads `PROVIDER_URL`, `PROVIDER_SECRET_KEY` and the bounds of calls.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            url: env.url("PROVIDER_URL", &["http", "https"], "The payment provider's API."),
            secret_key: env.secret("PROVIDER_SECRET_KEY", "Our secret key at the payment provider."),
            timeout: env.millis(
                "PROVIDER_TIMEOUT_MS",
                12_000,
                100..=60_000,
                "How long one call to the payment provider may take before its outcome is unknown.",
            ),
            connect_timeout: env.millis(
                "PROVIDER_CONNECT_TIMEOUT_MS",
                2_000,
                50..=30_000,
                "How long connecting to the payment provider may take.",
            ),
            max_concurrent_calls: env.number(
                "PROVIDER_MAX_CONCURRENT_CALLS",
                64,
                1..=10_000,
                "Calls to the payment provider at once; further card payments are refused at once, payments by points \
                 go on.",
            ),
        }
    }

    /// The longest that one call may take, its wait for a place included.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.timeout + PLACE_WAIT
    }
}

/// The adapter.
#[derive(Debug)]
pub struct TossProvider {
    client: Client,
    url: Url,
    secret_key: SecretString,
    places: Semaphore,
}

impl TossProvider {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// The TLS set-up fails.
    pub fn new(config: &TossConfig) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(config.timeout)
            .connect_timeout(config.connect_timeout)
            .redirect(redirect::Policy::none())
            // A connection that stood idle may be dead without our knowing, and a request on it of unknown fate.
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .context("the client of the payment provider")?;
        Ok(Self {
            client,
            url: config.url.clone(),
            secret_key: config.secret_key.clone(),
            places: Semaphore::new(config.max_concurrent_calls),
        })
    }

    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(PLACE_WAIT, self.places.acquire())
            .await
            .ok()?
            .ok()
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::NotSent)?
            .pop_if_empty()
            .extend(["v1", "payments"])
            .extend(path);
        let mut traced = HeaderMap::new();
        telemetry::inject_trace(&mut traced);
        let request = self.client.request(method, url).headers(traced);
        Ok(request.basic_auth(self.secret_key.expose_secret(), Some("")))
    }

    /// Sends one request and reads its answer: the payment, or why there is none.
    async fn exchange(&self, request: RequestBuilder) -> Result<PaymentObject, Failure> {
        let _place = self.place().await.ok_or(Failure::NotSent)?;
        let mut response = request.send().await.map_err(Failure::of)?;
        let is_success = response.status().is_success();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Failure::Garbage);
            }
            body.extend_from_slice(&chunk);
        }
        if is_success {
            return serde_json::from_slice(&body).map_err(|_| Failure::Garbage);
        }
        match serde_json::from_slice::<ErrorObject>(&body) {
            Ok(error) => Err(Failure::Refused(error.code)),
            Err(_) => Err(Failure::Garbage),
        }
    }

    async fn confirmation(&self, charge: &Charge) -> Confirmation {
        let body = ConfirmBody {
            payment_key: charge.payment_key.expose(),
            order_id: charge.order_id.as_str(),
            amount: charge.amount.get(),
        };
        let answer = match self.request(Method::POST, &["confirm"]) {
            Ok(request) => {
                let request = request.header("Idempotency-Key", &charge.idempotency_key);
                self.exchange(request.json(&body)).await
            }
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(payment) if payment.standing() == Standing::Captured && payment.is(charge) => {
                Confirmation::Captured
            }
            Ok(_) | Err(Failure::Garbage) => Confirmation::Unknown { answered: true },
            Err(Failure::NotSent) => Confirmation::NotSent,
            Err(Failure::Lost) => Confirmation::Unknown { answered: false },
            Err(Failure::Refused(code)) => match classify::confirmation(&code) {
                Meaning::Declined => Confirmation::Declined { code },
                Meaning::Rejected => Confirmation::Rejected { code },
                Meaning::AlreadyProcessed => Confirmation::AlreadyProcessed,
                Meaning::StillRunning => Confirmation::Unknown { answered: false },
                Meaning::TryAgain => Confirmation::Unknown { answered: true },
            },
        }
    }

    async fn look_up(&self, charge: &Charge, by: Lookup<'_>) -> Found {
        let request = match by {
            Lookup::Order(order_id) => self.request(Method::GET, &["orders", order_id.as_str()]),
            Lookup::Key(payment_key) => self.request(Method::GET, &[payment_key.expose()]),
        };
        let answer = match request {
            Ok(request) => self.exchange(request).await,
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(payment) if payment.order_id != charge.order_id.as_str() => match by {
                Lookup::Key(_) => Found::AnotherOrder,
                Lookup::Order(_) => Found::Unknown,
            },
            Ok(payment) => match payment.standing() {
                Standing::Captured if payment.is(charge) => Found::Captured,
                Standing::Captured | Standing::Odd => Found::Mismatch,
                Standing::NotCaptured => Found::NotCaptured,
                Standing::Open => Found::Open,
            },
            Err(Failure::Refused(code)) if code == "NOT_FOUND_PAYMENT" || code == "NOT_FOUND" => Found::Open,
            Err(Failure::Refused(code)) => {
                tracing::warn!(provider_code = code, "the payment provider refused a look-up");
                Found::Unknown
            }
            Err(Failure::NotSent | Failure::Lost | Failure::Garbage) => Found::Unknown,
        }
    }

    async fn cancellation(&self, charge: &Charge) -> Cancellation {
        let body = CancelBody {
            cancel_reason: CANCEL_REASON,
        };
        let answer = match self.request(Method::POST, &[charge.payment_key.expose(), "cancel"]) {
            Ok(request) => {
                let request = request.header("Idempotency-Key", &charge.idempotency_key);
                self.exchange(request.json(&body)).await
            }
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(payment) if payment.status == "CANCELED" && payment.order_id == charge.order_id.as_str() => {
                Cancellation::Canceled
            }
            Ok(_) | Err(Failure::Garbage) => Cancellation::Unknown { answered: true },
            Err(Failure::NotSent | Failure::Lost) => Cancellation::Unknown { answered: false },
            Err(Failure::Refused(code)) => match classify::cancellation(&code) {
                CancelMeaning::AlreadyCanceled => Cancellation::Canceled,
                CancelMeaning::StillRunning => Cancellation::Unknown { answered: false },
                CancelMeaning::TryAgain => Cancellation::Unknown { answered: true },
                CancelMeaning::Refused => Cancellation::Refused { code },
            },
        }
    }
}

impl PaymentProvider for TossProvider {
    fn is_saturated(&self) -> bool {
        self.places.available_permits() == 0
    }

    fn confirm<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Confirmation> {
        Box::pin(
            async move {
                let started = Instant::now();
                let confirmation = self.confirmation(charge).await;
                let outcome = match &confirmation {
                    Confirmation::Captured => "captured",
                    Confirmation::Declined { .. } => "declined",
                    Confirmation::Rejected { .. } => "rejected",
                    Confirmation::NotSent => "not-sent",
                    Confirmation::AlreadyProcessed => "already-processed",
                    Confirmation::Unknown { .. } => "unknown",
                };
                observe("confirm", outcome, started);
                confirmation
            }
            .instrument(call_span("confirm")),
        )
    }

    fn find<'a>(&'a self, charge: &'a Charge, by: Lookup<'a>) -> BoxFuture<'a, Found> {
        Box::pin(
            async move {
                let started = Instant::now();
                let found = self.look_up(charge, by).await;
                let outcome = match found {
                    Found::Captured => "captured",
                    Found::Mismatch => "mismatch",
                    Found::NotCaptured => "not-captured",
                    Found::AnotherOrder => "another-order",
                    Found::Open => "open",
                    Found::Unknown => "unknown",
                };
                observe("find", outcome, started);
                found
            }
            .instrument(call_span("find")),
        )
    }

    fn cancel<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Cancellation> {
        Box::pin(
            async move {
                let started = Instant::now();
                let cancellation = self.cancellation(charge).await;
                let outcome = match &cancellation {
                    Cancellation::Canceled => "canceled",
                    Cancellation::Unknown { .. } => "unknown",
                    Cancellation::Refused { .. } => "refused",
                };
                observe("cancel", outcome, started);
                cancellation
            }
            .instrument(call_span("cancel")),
        )
    }
}

/// What the trace shows of a call; its URL may hold a payment key and stays out.
fn call_span(call: &'static str) -> Span {
    tracing::info_span!(
        "provider",
        otel.kind = "client",
        otel.name = format!("provider {call}"),
        provider_call = call
    )
}

fn observe(call: &'static str, outcome: &'static str, started: Instant) {
    metrics::histogram!("payment_provider_seconds", "call" => call, "outcome" => outcome)
        .record(started.elapsed());
}

/// Why there is no payment in an answer.
#[derive(Debug)]
enum Failure {
    /// Nothing left this process.
    NotSent,
    /// It may have arrived; no whole answer came back.
    Lost,
    /// An answer, but none that the provider gives.
    Garbage,
    /// The provider's error code.
    Refused(String),
}

impl Failure {
    // The error itself stays here: it carries the URL, and that the payment key.
    fn of(error: reqwest::Error) -> Self {
        if error.is_connect() || error.is_builder() {
            Self::NotSent
        } else {
            Self::Lost
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmBody<'a> {
    payment_key: &'a str,
    order_id: &'a str,
    amount: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelBody<'a> {
    cancel_reason: &'a str,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: String,
}

/// The few fields of the provider's payment that decide anything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentObject {
    payment_key: String,
    order_id: String,
    status: String,
    total_amount: serde_json::Number,
}

impl PaymentObject {
    fn standing(&self) -> Standing {
        classify::standing(&self.status)
    }

    fn is(&self, charge: &Charge) -> bool {
        self.payment_key == charge.payment_key.expose()
            && self.order_id == charge.order_id.as_str()
            && self.total_amount.as_i64() == Some(charge.amount.get())
    }
}

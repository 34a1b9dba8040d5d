//! One request to the provider and its answer, within bounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use service_kit::telemetry;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::breaker::{Breaker, Change, Health};
use super::config::{PLACE_WAIT, TossConfig};
use super::wire::ErrorObject;
use crate::provider::Closed;

/// No order of ours.
const PROBE_ORDER: &str = "frontrow-is-anybody-there";
const MAX_PROBE_BYTES: usize = 64 * 1024;

/// Why there is nothing in an answer that was asked for.
#[derive(Debug)]
pub(super) enum Failure {
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

/// Sends requests, a bounded number at once, and none while the provider is left alone.
#[derive(Debug, Clone)]
pub(super) struct Exchange(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    url: Url,
    secret_key: SecretString,
    places: Semaphore,
    breaker: Breaker,
}

impl Exchange {
    pub(super) fn new(config: &TossConfig) -> anyhow::Result<Self> {
        let client = Client::builder()
            .timeout(config.timeout)
            .connect_timeout(config.connect_timeout)
            .redirect(redirect::Policy::none())
            // A connection that stood idle may be dead without our knowing, and a request on it of unknown fate.
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .context("the client of the payment provider")?;
        show(Change::Nothing);
        Ok(Self(Arc::new(Shared {
            client,
            url: config.url.clone(),
            secret_key: config.secret_key.clone(),
            places: Semaphore::new(config.max_concurrent_calls),
            breaker: Breaker::new(config.breaker),
        })))
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        if let Some(retry_after) = self.0.breaker.open(Instant::now()) {
            return Some(Closed::Away { retry_after });
        }
        (self.0.places.available_permits() == 0).then_some(Closed::Saturated)
    }

    /// A request for `path` below the API's first version.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let mut url = self.0.url.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::NotSent)?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        let mut traced = HeaderMap::new();
        telemetry::inject_trace(&mut traced);
        let request = self.0.client.request(method, url).headers(traced);
        Ok(request.basic_auth(self.0.secret_key.expose_secret(), Some("")))
    }

    /// Sends one request and reads its answer of at most `max_bytes`.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        max_bytes: usize,
    ) -> Result<T, Failure> {
        let breaker = &self.0.breaker;
        if breaker.open(Instant::now()).is_some() {
            return Err(Failure::NotSent);
        }
        let _place = self.place().await.ok_or(Failure::NotSent)?;
        let (answer, health) = ask(request, max_bytes).await;
        if breaker.note(health, Instant::now()) == Change::Opened {
            tracing::error!("the payment provider fails too often and is left alone");
            show(Change::Opened);
            tokio::spawn(self.clone().probe_until_answered());
        }
        answer
    }

    /// Half open is one look-up at a time that moves no money: no buyer is made to find out whether the provider is back.
    async fn probe_until_answered(self) {
        loop {
            tokio::time::sleep(self.0.breaker.open_for()).await;
            let Ok(request) = self.request(Method::GET, &["payments", "orders", PROBE_ORDER]) else {
                return;
            };
            let (_, health) = ask::<IgnoredAny>(request, MAX_PROBE_BYTES).await;
            if self.0.breaker.probed(health, Instant::now()) {
                tracing::info!("the payment provider answers again");
                show(Change::Nothing);
                return;
            }
        }
    }

    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(PLACE_WAIT, self.0.places.acquire())
            .await
            .ok()?
            .ok()
    }
}

async fn ask<T: DeserializeOwned>(request: RequestBuilder, max_bytes: usize) -> (Result<T, Failure>, Health) {
    let (status, body) = match fetch(request, max_bytes).await {
        Ok(fetched) => fetched,
        Err(failure) => return (Err(failure), Health::Failed),
    };
    let answer = if status.is_success() {
        serde_json::from_slice(&body).map_err(|_| Failure::Garbage)
    } else {
        match serde_json::from_slice::<ErrorObject>(&body) {
            Ok(error) => Err(Failure::Refused(error.code)),
            Err(_) => Err(Failure::Garbage),
        }
    };
    let health = match answer {
        Ok(_) | Err(Failure::Refused(_)) if !status.is_server_error() => Health::Answered,
        _ => Health::Failed,
    };
    (answer, health)
}

async fn fetch(request: RequestBuilder, max_bytes: usize) -> Result<(StatusCode, Vec<u8>), Failure> {
    let mut response = request.send().await.map_err(Failure::of)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(Failure::Garbage);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

fn show(change: Change) {
    let open = f64::from(u8::from(change == Change::Opened));
    metrics::gauge!("payment_provider_breaker_open").set(open);
}

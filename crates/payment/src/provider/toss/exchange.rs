//! One request to the provider and its answer, within bounds.

use anyhow::Context as _;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use service_kit::telemetry;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::config::{PLACE_WAIT, TossConfig};
use super::wire::ErrorObject;
use crate::provider::Closed;

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

/// Sends requests, a bounded number at once.
#[derive(Debug)]
pub(super) struct Exchange {
    client: Client,
    url: Url,
    secret_key: SecretString,
    places: Semaphore,
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
        Ok(Self {
            client,
            url: config.url.clone(),
            secret_key: config.secret_key.clone(),
            places: Semaphore::new(config.max_concurrent_calls),
        })
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        (self.places.available_permits() == 0).then_some(Closed::Saturated)
    }

    /// A request for `path` below the API's first version.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::NotSent)?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        let mut traced = HeaderMap::new();
        telemetry::inject_trace(&mut traced);
        let request = self.client.request(method, url).headers(traced);
        Ok(request.basic_auth(self.secret_key.expose_secret(), Some("")))
    }

    /// Sends one request and reads its answer of at most `max_bytes`.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        max_bytes: usize,
    ) -> Result<T, Failure> {
        let _place = self.place().await.ok_or(Failure::NotSent)?;
        let mut response = request.send().await.map_err(Failure::of)?;
        let is_success = response.status().is_success();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
            if body.len() + chunk.len() > max_bytes {
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

    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(PLACE_WAIT, self.places.acquire())
            .await
            .ok()?
            .ok()
    }
}

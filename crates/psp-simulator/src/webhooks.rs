//! Telling the merchant that a payment changed: a POST of `PAYMENT_STATUS_CHANGED`, again at growing intervals until it is
//! answered with success. Nobody signs it, and what waits when the process stops is never sent: it was a hint.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    behaviour::Script,
    payments::Payment,
    wire::{korean_moment, payment_object},
};

/// Tries after the first one.
const RETRIES: u32 = 7;
/// Each wait is so many times the one before.
const GROWTH: u32 = 4;
/// Later ones are dropped: the merchant has been away for long.
const MOST_WAITING: usize = 1_024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where webhooks go, and which are on their way.
#[derive(Debug)]
pub(crate) struct Webhooks {
    client: Client,
    url: Option<Url>,
    /// The wait before the second try.
    first_wait: Duration,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Webhooks {
    pub(crate) fn new(
        url: Option<Url>,
        first_wait: Duration,
        stopping: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            client,
            url,
            first_wait,
            places: Arc::new(Semaphore::new(MOST_WAITING)),
            stopping,
        })
    }

    /// Tells of a payment as it stands, once its capture has come.
    pub(crate) fn tell(&self, payment: &Payment, now: OffsetDateTime) {
        let Some(url) = &self.url else { return };
        let capture = payment.capture.as_ref();
        let changes_in = capture.map_or(Duration::ZERO, |capture| {
            (capture.approved_at - now).try_into().unwrap_or_default()
        });
        let event = event(payment, now + changes_in);
        let tellings = Script::of(&payment.payment_key).map_or(1, Script::tellings);
        for _ in 0..tellings {
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                tracing::warn!("a webhook is dropped: too many wait");
                return;
            };
            let (client, url, event) = (self.client.clone(), url.clone(), event.clone());
            let (first_wait, stopping) = (self.first_wait, self.stopping.clone());
            tokio::spawn(async move {
                let send = async {
                    tokio::time::sleep(changes_in).await;
                    send(&client, url, &event, first_wait).await;
                };
                stopping.run_until_cancelled(send).await;
                drop(place);
            });
        }
    }
}

async fn send(client: &Client, url: Url, event: &Value, first_wait: Duration) {
    let order_id = &event["data"]["orderId"];
    for retry in 0..=RETRIES {
        if let Some(longer) = retry.checked_sub(1) {
            tokio::time::sleep(first_wait * GROWTH.pow(longer)).await;
        }
        match client.post(url.clone()).json(event).send().await {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => {
                tracing::info!(%order_id, retry, status = answer.status().as_u16(), "webhook refused");
            }
            Err(error) => {
                tracing::info!(%order_id, retry, error = %error.without_url(), "webhook not delivered");
            }
        }
    }
    tracing::warn!(%order_id, "a webhook is given up");
}

fn event(payment: &Payment, at: OffsetDateTime) -> Value {
    json!({
        "eventType": "PAYMENT_STATUS_CHANGED",
        "createdAt": korean_moment(at),
        "data": payment_object(payment),
    })
}

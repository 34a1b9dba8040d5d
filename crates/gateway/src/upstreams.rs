//! The services behind the gateway: their clients, and whether each says that it serves.

use std::time::{Duration, Instant};

use contracts::{AuthClient, BookingClient, ConcertClient, PaymentClient, QueueClient};
use futures::future::join_all;
use service_kit::grpc::client::Channel;
use tokio::sync::Mutex;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::config::UpstreamsConfig;

const PROBE_DEADLINE: Duration = Duration::from_secs(1);
const PROBES_KEPT_FOR: Duration = Duration::from_secs(1);

/// One client for each service.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    pub auth: AuthClient,
    pub queue: QueueClient,
    pub concert: ConcertClient,
    /// The concert service with the time that an import takes.
    pub organiser: ConcertClient,
    pub booking: BookingClient,
    pub payment: PaymentClient,
}

/// Asks every service for its health, at most once a second however often it is asked itself.
#[derive(Debug)]
pub(crate) struct Probes {
    services: Vec<(&'static str, HealthClient<Channel>)>,
    last: Mutex<Option<Probed>>,
}

#[derive(Debug, Clone)]
struct Probed {
    at: Instant,
    missing: Vec<&'static str>,
}

/// Clients and probes on channels that connect when first used.
pub(crate) fn connect(config: &UpstreamsConfig) -> anyhow::Result<(Clients, Probes)> {
    let [auth, queue, concert, booking, payment] = [
        &config.auth,
        &config.queue,
        &config.concert,
        &config.booking,
        &config.payment,
    ]
    .map(service_kit::grpc::client::UpstreamConfig::channel);
    let services = [
        ("auth", auth?),
        ("queue", queue?),
        ("concert", concert?),
        ("booking", booking?),
        ("payment", payment?),
    ];
    let [(_, auth), (_, queue), (_, concert), (_, booking), (_, payment)] = services.clone();
    let clients = Clients {
        auth: contracts::auth_client(auth),
        queue: contracts::queue_client(queue),
        concert: contracts::concert_client(concert),
        organiser: contracts::concert_client(config.organiser.channel()?),
        booking: contracts::booking_client(booking),
        payment: contracts::payment_client(payment),
    };
    let probes = Probes {
        services: services
            .map(|(name, channel)| (name, HealthClient::new(channel)))
            .into(),
        last: Mutex::new(None),
    };
    Ok((clients, probes))
}

impl Probes {
    /// The services that do not serve.
    pub(crate) async fn missing(&self) -> Vec<&'static str> {
        // Held while probing: those who ask meanwhile take the same answer.
        let mut last = self.last.lock().await;
        if let Some(probed) = last
            .as_ref()
            .filter(|probed| probed.at.elapsed() < PROBES_KEPT_FOR)
        {
            return probed.missing.clone();
        }
        let probes = self
            .services
            .iter()
            .map(|(name, client)| probe(name, client.clone()));
        let missing: Vec<_> = join_all(probes).await.into_iter().flatten().collect();
        *last = Some(Probed {
            at: Instant::now(),
            missing: missing.clone(),
        });
        missing
    }
}

/// The service's name unless it serves.
async fn probe(name: &'static str, mut client: HealthClient<Channel>) -> Option<&'static str> {
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(PROBE_DEADLINE);
    let serves = match client.check(request).await {
        Ok(answer) => answer.into_inner().status() == ServingStatus::Serving,
        Err(status) => {
            tracing::debug!(upstream = name, rpc.code = ?status.code(), "a service gives no health");
            false
        }
    };
    (!serves).then_some(name)
}

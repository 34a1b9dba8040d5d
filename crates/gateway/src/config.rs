//! The gateway's configuration.

use std::fmt::{self, Display};
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use http::HeaderValue;
use queue_token::Keyring;
use service_kit::admin;
use service_kit::config::Environment;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::telemetry::TelemetryConfig;
use url::Url;

use crate::client_address::{Networks, ProxyHeader, TrustedProxies};
use crate::limits::JoinLimitsConfig;

/// A payment answers 8 s after it was recorded at the latest, and before that booking is asked and a connection to the store
/// waited for; the call must outlast it all, and end before its HTTP request does.
const PAYMENT_DEADLINE: Duration = Duration::from_secs(14);
/// How long the HTTP request of a payment or an import may take.
const SLOW_REQUEST_MS: u64 = 15_000;
/// Importing a plan of 100,000 seats and putting it on sale takes longer than an ordinary call.
const ORGANISER_DEADLINE: Duration = Duration::from_secs(14);

/// Everything the gateway can be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where and how HTTP is served.
    pub http: HttpConfig,
    /// Where the private port is.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// The services behind the gateway.
    pub upstreams: UpstreamsConfig,
    /// Keys that queue tokens are verified by.
    pub queue_token_keys: Keyring,
    /// How often places in line may be asked for.
    pub join_limits: JoinLimitsConfig,
    /// The most memory that seat layouts take, in MiB.
    pub layout_cache_mib: u64,
    /// How long a stop waits for running requests.
    pub drain: Duration,
}

/// Where and how HTTP is served.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The public address.
    pub addr: SocketAddr,
    /// Requests running at once; more are refused at once.
    pub max_concurrent_requests: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long a payment or an import may take.
    pub slow_request_timeout: Duration,
    /// Streams of events open at once; more are refused.
    pub event_streams: usize,
    /// How long a stream of events stays open.
    pub event_stream_life: Duration,
    /// Origins whose pages may call the API.
    pub cors_origins: CorsOrigins,
    /// Who says which address a request comes from.
    pub trusted_proxies: TrustedProxies,
}

/// The services behind the gateway.
#[derive(Debug, Clone)]
pub struct UpstreamsConfig {
    /// Users, sessions, signing keys.
    pub auth: UpstreamConfig,
    /// Waiting rooms.
    pub queue: UpstreamConfig,
    /// Concerts, layouts, seats.
    pub concert: UpstreamConfig,
    /// The same service, for what organisers do.
    pub organiser: UpstreamConfig,
    /// Reservations.
    pub booking: UpstreamConfig,
    /// Wallets and payments.
    pub payment: UpstreamConfig,
}

impl Config {
    /// Reads every key.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            http: HttpConfig::read(env),
            admin_addr: admin::read_addr(env),
            telemetry: TelemetryConfig::read(env),
            upstreams: UpstreamsConfig::read(env),
            queue_token_keys: env.parsed(
                "QUEUE_TOKEN_KEYS",
                "kid:base64url[,kid:base64url...]",
                "Keys that queue tokens are verified by; the same as the queue service's.",
                Keyring::random(),
            ),
            join_limits: JoinLimitsConfig {
                per_user: env.number(
                    "JOINS_PER_USER",
                    30,
                    0..=1_000_000,
                    "Joins of lines by one user in a minute, at one gateway; 0 = any number.",
                ),
                per_address: env.number(
                    "JOINS_PER_ADDRESS",
                    600,
                    0..=1_000_000,
                    "Joins of lines from one address in a minute, at one gateway, those by logging in included; 0 = any number.",
                ),
            },
            layout_cache_mib: env.number(
                "LAYOUT_CACHE_MIB",
                256,
                1..=65_536,
                "The most memory that seat layouts take, in MiB.",
            ),
            drain: env.seconds(
                "DRAIN_SECONDS",
                10,
                0..=600,
                "How long a stop waits for running requests.",
            ),
        }
    }
}

impl HttpConfig {
    /// Reads its keys.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            addr: env.address(
                "HTTP_ADDR",
                SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
                "Where the public API is served.",
            ),
            max_concurrent_requests: env.number(
                "HTTP_MAX_CONCURRENT_REQUESTS",
                4_000,
                1..=1_000_000,
                "Requests running at once; more are refused at once.",
            ),
            request_timeout: env.millis(
                "HTTP_REQUEST_TIMEOUT_MS",
                5_000,
                100..=60_000,
                "How long a request may take.",
            ),
            slow_request_timeout: env.millis(
                "HTTP_SLOW_REQUEST_TIMEOUT_MS",
                SLOW_REQUEST_MS,
                100..=120_000,
                "How long a payment or an organiser's import may take.",
            ),
            event_streams: env.number(
                "EVENT_STREAMS",
                4_000,
                0..=1_000_000,
                "Streams of events open at once, each a connection; more are refused, and their users poll.",
            ),
            event_stream_life: env.seconds(
                "EVENT_STREAM_SECONDS",
                300,
                1..=86_400,
                "How long a stream of events stays open; its user then comes again, perhaps to another gateway.",
            ),
            cors_origins: env.choice(
                "CORS_ALLOWED_ORIGINS",
                CorsOrigins::default(),
                "none, *, or origins with commas between",
                "Pages of these origins may call the API.",
            ),
            trusted_proxies: TrustedProxies {
                networks: env.choice(
                    "TRUSTED_PROXIES",
                    Networks::default(),
                    "none, or networks like 10.0.0.0/8 with commas between",
                    "Proxies in these networks are believed when they say which address a request comes from.",
                ),
                header: env.choice(
                    "PROXY_HEADER",
                    ProxyHeader::default(),
                    "x-forwarded-for | forwarded",
                    "The header that the trusted proxies append that address to; no other is read.",
                ),
            },
        }
    }
}

impl UpstreamsConfig {
    fn read(env: &mut Environment) -> Self {
        let concert = UpstreamConfig::read(env, "CONCERT_URL", "The concert service.");
        Self {
            auth: UpstreamConfig::read(env, "AUTH_URL", "The auth service."),
            queue: UpstreamConfig::read(env, "QUEUE_URL", "The queue service."),
            organiser: concert.clone().with_deadline(ORGANISER_DEADLINE),
            concert,
            booking: UpstreamConfig::read(env, "BOOKING_URL", "The booking service."),
            payment: UpstreamConfig::read(env, "PAYMENT_URL", "The payment service.")
                .with_deadline(PAYMENT_DEADLINE),
        }
    }
}

/// Origins whose pages may call the API: none, some, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// No page of another origin.
    #[default]
    None,
    /// Pages of these.
    Some(Vec<HeaderValue>),
    /// Every page.
    Any,
}

impl FromStr for CorsOrigins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => return Ok(Self::Any),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let origins = origins.map(|origin| {
            let url = Url::parse(origin).ok()?;
            // What browsers send as Origin has no path and no trailing slash.
            (url.origin().ascii_serialization() == origin).then(|| HeaderValue::from_str(origin).ok())?
        });
        let origins: Option<Vec<_>> = origins.collect();
        match origins {
            Some(origins) if origins.is_empty() => Ok(Self::None),
            Some(origins) => Ok(Self::Some(origins)),
            None => Err("expected origins like https://tickets.example, with commas between"),
        }
    }
}

impl Display for CorsOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Some(origins) => {
                let origins: Vec<_> = origins.iter().filter_map(|origin| origin.to_str().ok()).collect();
                f.write_str(&origins.join(","))
            }
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_has_the_time_that_its_service_takes_at_most() {
        let (connection, wait) = (Duration::from_secs(2), Duration::from_secs(8));
        let longest = service_kit::grpc::client::DEFAULT_DEADLINE + connection + wait;
        assert!(PAYMENT_DEADLINE > longest);
        assert!(SLOW_REQUEST_MS > PAYMENT_DEADLINE.as_millis() as u64);
    }

    #[test]
    fn origins_are_none_some_or_all() {
        assert_eq!("none".parse(), Ok(CorsOrigins::None));
        assert_eq!("*".parse(), Ok(CorsOrigins::Any));
        let two = "https://a.example, http://localhost:3000"
            .parse::<CorsOrigins>()
            .unwrap();
        assert_eq!(two.to_string(), "https://a.example,http://localhost:3000");
        for wrong in ["a.example", "https://a.example/", "https://a.example/path"] {
            assert!(wrong.parse::<CorsOrigins>().is_err(), "{wrong}");
        }
    }
}

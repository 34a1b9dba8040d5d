//! What the service is told by its environment.

use std::net::SocketAddr;
use std::time::Duration;

use queue_token::Keyring;
use service_kit::admin;
use service_kit::config::Environment;
use service_kit::database::DatabaseConfig;
use service_kit::grpc::server::ServerConfig;
use service_kit::redis::RedisConfig;
use service_kit::telemetry::TelemetryConfig;

use crate::app::QueueOptions;
use crate::beacon::BeaconConfig;
use crate::domain::Timings;

/// The configuration of a serving process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: ServerConfig,
    /// Where health and metrics are served.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Rooms, visits and calls.
    pub database: DatabaseConfig,
    /// The line.
    pub redis: RedisConfig,
    /// What queue tokens are signed with.
    pub queue_token_keys: Keyring,
    /// The randomness that draws wait for.
    pub beacon: Option<BeaconConfig>,
    /// Windows and blocks.
    pub options: QueueOptions,
    /// How long a stop may take.
    pub drain: Duration,
}

impl Config {
    /// Reads every key.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            grpc: ServerConfig::read(env),
            admin_addr: admin::read_addr(env),
            telemetry: TelemetryConfig::read(env),
            database: DatabaseConfig::read(env),
            redis: RedisConfig::read(env),
            queue_token_keys: env.parsed(
                "QUEUE_TOKEN_KEYS",
                "kid:base64url[,kid:base64url...]",
                "Keys of queue tokens, 32 bytes or more each: the first signs, all verify.",
                Keyring::random(),
            ),
            beacon: BeaconConfig::read(env),
            options: QueueOptions {
                timings: Timings {
                    page: env.seconds(
                        "PAGE_SECONDS",
                        180,
                        1..=86_400,
                        "How long one who was let in may look at dates and seats.",
                    ),
                    claim: env.seconds(
                        "CLAIM_SECONDS",
                        30,
                        1..=3_600,
                        "How long a called number's place is kept for its user to come.",
                    ),
                    late: env.seconds(
                        "LATE_SECONDS",
                        600,
                        0..=86_400,
                        "How long after a missed turn its user may still come.",
                    ),
                },
                number_block: env.number(
                    "NUMBER_BLOCK",
                    1_000,
                    1..=1_000_000,
                    "Numbers reserved in the database at a time; so many may be passed over after a loss of Redis.",
                ),
            },
            drain: env.seconds("DRAIN_SECONDS", 10, 0..=300, "How long a stop may take."),
        }
    }
}

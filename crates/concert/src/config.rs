//! What the concert service reads from its environment.

use std::net::SocketAddr;
use std::time::Duration;

use service_kit::admin;
use service_kit::config::Environment;
use service_kit::database::DatabaseConfig;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::grpc::server::ServerConfig;
use service_kit::redis::RedisConfig;
use service_kit::telemetry::TelemetryConfig;

use crate::peers::OPEN_SCHEDULE_DEADLINE;

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: ServerConfig,
    /// Where health and metrics are served.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// Where answers are cached.
    pub redis: RedisConfig,
    /// How answers are cached.
    pub cache: CacheConfig,
    /// Seats that imported plans kept in memory may have, together.
    pub layout_cache_seats: u64,
    /// Where seats are sold.
    pub booking: UpstreamConfig,
    /// Where people wait.
    pub queue: UpstreamConfig,
    /// Whether a demonstration is made at the start.
    pub seed_demo: bool,
    /// How long running requests may take after a stop.
    pub drain: Duration,
}

/// How answers are cached in Redis.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// How long an answer may be given again.
    pub ttl: Duration,
    /// How long Redis may take before Postgres is asked instead.
    pub timeout: Duration,
    /// How long a Redis that failed is left alone.
    pub pause: Duration,
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
            cache: CacheConfig {
                ttl: env.seconds(
                    "CACHE_TTL_SECONDS",
                    30,
                    1..=3_600,
                    "How long a concert or a page of concerts is answered from Redis. A change takes it out at once; \
                     this bounds what a process sees that could reach Redis when the process that made the change could not.",
                ),
                timeout: env.millis(
                    "CACHE_TIMEOUT_MS",
                    100,
                    5..=5_000,
                    "How long a reader waits for Redis before it asks Postgres.",
                ),
                pause: env.millis(
                    "CACHE_PAUSE_MS",
                    1_000,
                    10..=60_000,
                    "How long a Redis that failed is left alone before one reader tries it again.",
                ),
            },
            layout_cache_seats: env.number(
                "LAYOUT_CACHE_SEATS",
                500_000,
                0..=50_000_000,
                "Seats that seating plans kept in memory may have together; a seat takes some 150 bytes.",
            ),
            booking: UpstreamConfig::read(env, "BOOKING_URL", "The booking service.")
                .with_deadline(OPEN_SCHEDULE_DEADLINE),
            queue: UpstreamConfig::read(env, "QUEUE_URL", "The queue service."),
            seed_demo: env.flag(
                "SEED_DEMO",
                false,
                "Whether a demonstration organiser gets a hall and concerts; ready only when they are on sale.",
            ),
            drain: env.seconds(
                "DRAIN_SECONDS",
                10,
                0..=300,
                "How long running requests may take after a stop.",
            ),
        }
    }
}

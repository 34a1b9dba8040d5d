//! What booking reads from its environment.

use std::net::SocketAddr;
use std::time::Duration;

use service_kit::admin;
use service_kit::amqp::AmqpConfig;
use service_kit::config::Environment;
use service_kit::database::DatabaseConfig;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::grpc::server::ServerConfig;
use service_kit::keyring::Keyring;
use service_kit::redis::RedisConfig;
use service_kit::telemetry::TelemetryConfig;

use crate::app::Times;

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: ServerConfig,
    /// Where health and metrics are served.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// How long a hold waits for Redis before it asks Postgres alone.
    pub seat_lock_timeout: Duration,
    /// RabbitMQ.
    pub amqp: AmqpConfig,
    /// The queue service.
    pub queue: UpstreamConfig,
    /// Signs payment tokens.
    pub payment_token_keys: Keyring,
    /// How long things may take.
    pub times: Times,
    /// How often the sweep looks for what is due, and the holds of canceled dates are given up.
    pub sweep_every: Duration,
    /// How long a stop waits for what runs.
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
            seat_lock_timeout: env.millis(
                "SEAT_LOCK_TIMEOUT_MS",
                150,
                10..=2_000,
                "How long a hold waits for Redis before it asks Postgres alone.",
            ),
            amqp: AmqpConfig::read(env),
            queue: UpstreamConfig::read(env, "QUEUE_URL", "The queue service."),
            payment_token_keys: env.parsed(
                "PAYMENT_TOKEN_KEYS",
                "kid:base64url[,...]",
                "Keys of payment tokens: the first signs, all verify.",
                Keyring::random(),
            ),
            times: Times {
                hold: env.seconds("HOLD_SECONDS", 300, 1..=3_600, "How long an unpaid hold is kept."),
                paying_grace: env.seconds(
                    "PAYING_GRACE_SECONDS",
                    60,
                    1..=3_600,
                    "How long a payment may run before its hold lapses, beyond the hold's end.",
                ),
                // Queue keeps a page open for 5 seconds after it was asked for a hold.
                hold_deadline: env.millis(
                    "HOLD_DEADLINE_MS",
                    3_000,
                    100..=4_500,
                    "How long making a hold may take.",
                ),
            },
            sweep_every: env.seconds(
                "SWEEP_SECONDS",
                2,
                1..=60,
                "How often unpaid holds, and those of canceled dates, are looked for, whatever RabbitMQ brings to mind.",
            ),
            drain: env.seconds(
                "DRAIN_SECONDS",
                10,
                1..=300,
                "How long a stop waits for what runs.",
            ),
        }
    }
}

//! What the worker reads from its environment.

use std::net::SocketAddr;
use std::time::Duration;

use service_kit::admin;
use service_kit::amqp::AmqpConfig;
use service_kit::config::Environment;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::telemetry::TelemetryConfig;

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Where health and metrics are served.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// RabbitMQ.
    pub amqp: AmqpConfig,
    /// The booking service.
    pub booking: UpstreamConfig,
    /// How long a stop waits for what runs.
    pub drain: Duration,
}

impl Config {
    /// Reads every key.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            admin_addr: admin::read_addr(env),
            telemetry: TelemetryConfig::read(env),
            amqp: AmqpConfig::read(env),
            booking: UpstreamConfig::read(env, "BOOKING_URL", "The booking service."),
            drain: env.seconds(
                "DRAIN_SECONDS",
                10,
                1..=300,
                "How long a stop waits for what runs.",
            ),
        }
    }
}

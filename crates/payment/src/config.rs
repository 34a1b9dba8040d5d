//! Everything that can be set from outside.

use std::net::SocketAddr;
use std::time::Duration;

use service_kit::admin;
use service_kit::config::Environment;
use service_kit::database::DatabaseConfig;
use service_kit::grpc::client::{DEFAULT_DEADLINE, UpstreamConfig};
use service_kit::grpc::server::ServerConfig;
use service_kit::telemetry::TelemetryConfig;

use crate::app::Settings;
use crate::app::reconcile::ReconcileSettings;
use crate::provider::TossConfig;

/// A step calls booking twice at most, or waits as long for one call; this is what it needs besides, and to spare: a lease with
/// three quarters left is not lengthened.
const STEP_SLACK: Duration = Duration::from_secs(5);

/// The configuration of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: ServerConfig,
    /// Where health and metrics are served.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Payments and the ledger.
    pub database: DatabaseConfig,
    /// Reservations.
    pub booking: UpstreamConfig,
    /// Cards.
    pub provider: TossConfig,
    /// How long things may take and how often they are tried.
    pub settings: Settings,
    /// How often due payments, charges and refunds are looked for.
    pub resume_every: Duration,
    /// How often refunds of canceled dates are begun.
    pub refund_schedules_every: Duration,
    /// How often the books are compared, and how.
    pub reconcile: ReconcileSettings,
    /// Whether the demonstration's buyer gets points.
    pub seed_demo: bool,
    /// How long a stop waits for what is running.
    pub drain: Duration,
}

impl Config {
    /// Reads every key.
    pub fn read(env: &mut Environment) -> Self {
        let grpc = ServerConfig::read(env);
        let admin_addr = admin::read_addr(env);
        let telemetry = TelemetryConfig::read(env);
        let database = DatabaseConfig::read(env);
        let booking = UpstreamConfig::read(env, "BOOKING_URL", "The booking service.");
        let provider = TossConfig::read(env);
        let drain = env.seconds(
            "DRAIN_SECONDS",
            10,
            1..=300,
            "How long a stop waits for what is running.",
        );
        let lease = DEFAULT_DEADLINE * 2 + STEP_SLACK;
        let settings = Settings {
            pay_wait: env.millis(
                "PAY_WAIT_MS",
                8_000,
                50..=8_000,
                "How long a caller waits for the end of its payment, charge or refund before it is told how far it is. The \
                 gateway waits 14 s, as booking is asked and the store written before.",
            ),
            lease,
            provider_lease: lease + provider.longest_call() * 2,
            retry_min: env.millis(
                "PAYMENT_RETRY_MIN_MS",
                400,
                10..=60_000,
                "The wait before a step of a payment, charge or refund is tried a second time; it doubles each time, with \
                 jitter.",
            ),
            retry_max: env.millis(
                "PAYMENT_RETRY_MAX_MS",
                30_000,
                10..=600_000,
                "The longest wait between two tries of a step; there is no last try.",
            ),
            provider_session: env.seconds(
                "PROVIDER_SESSION_SECONDS",
                900,
                60..=86_400,
                "After this time the provider captures nothing any more that a buyer has authenticated.",
            ),
            resume_concurrency: env.number(
                "RESUME_CONCURRENCY",
                16,
                1..=1_000,
                "Waiting or abandoned payments that are carried on at once, and as many charges. With the refunds they must be \
                 fewer than PROVIDER_MAX_CONCURRENT_CALLS, so that a buyer finds a place.",
            ),
            refund_concurrency: env.number(
                "REFUND_CONCURRENCY",
                8,
                1..=1_000,
                "Waiting or abandoned refunds that are carried on at once, those of canceled dates among them.",
            ),
            refund_batch: env.number(
                "REFUND_SCHEDULES_BATCH",
                20,
                1..=1_000,
                "Refunds of canceled dates that one round begins; with REFUND_SCHEDULES_EVERY_MS the pace of each process.",
            ),
            stop_wait: drain / 2,
        };
        if settings.resume_concurrency * 2 + settings.refund_concurrency >= provider.places() {
            env.mistake(
                "RESUME_CONCURRENCY",
                "twice it and REFUND_CONCURRENCY must together be below PROVIDER_MAX_CONCURRENT_CALLS",
            );
        }
        Self {
            grpc,
            admin_addr,
            telemetry,
            database,
            booking,
            provider,
            settings,
            resume_every: env.millis(
                "RESUME_EVERY_MS",
                500,
                10..=60_000,
                "How often waiting or abandoned payments, charges and refunds are looked for.",
            ),
            refund_schedules_every: env.millis(
                "REFUND_SCHEDULES_EVERY_MS",
                1_000,
                10..=60_000,
                "How often a round of refunds of canceled dates is begun.",
            ),
            reconcile: ReconcileSettings {
                every: env.seconds(
                    "RECONCILE_EVERY_SECONDS",
                    300,
                    0..=86_400,
                    "The pause between two comparisons of the provider's books, the ledger and the reservations; 0 = never.",
                ),
                window: env.seconds(
                    "RECONCILE_WINDOW_SECONDS",
                    7_200,
                    60..=2_678_400,
                    "How far back such a comparison looks; `payment reconcile` looks at everything.",
                ),
                stuck_after: env.seconds(
                    "RECONCILE_STUCK_SECONDS",
                    3_600,
                    60..=604_800,
                    "A payment, charge or refund that is under way for longer than this is told as a difference.",
                ),
            },
            seed_demo: env.flag(
                "SEED_DEMO",
                false,
                "Gives the demonstration's buyer points, once.",
            ),
            drain,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use service_kit::config::load_from;

    use super::*;

    fn mistakes(settings: &[(&str, &str)]) -> Vec<&'static str> {
        let required = [
            ("DATABASE_URL", "postgres://nowhere/payment"),
            ("BOOKING_URL", "http://nowhere"),
            ("PROVIDER_URL", "http://nowhere"),
            ("PROVIDER_SECRET_KEY", "test_sk_1"),
        ];
        let values = required.iter().chain(settings);
        let values: BTreeMap<_, _> = values
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        load_from(values, Config::read).map_or_else(|error| error.keys(), |_| Vec::new())
    }

    #[test]
    fn a_caller_is_told_how_far_it_is_before_the_gateway_gives_up() {
        assert_eq!(mistakes(&[("PAY_WAIT_MS", "8001")]), ["PAY_WAIT_MS"]);
    }

    #[test]
    fn what_is_resumed_leaves_live_buyers_a_place_at_the_provider() {
        assert!(mistakes(&[]).is_empty());
        assert!(mistakes(&[("PROVIDER_MAX_CONCURRENT_CALLS", "41")]).is_empty());
        for too_many in [
            ("PROVIDER_MAX_CONCURRENT_CALLS", "40"),
            ("RESUME_CONCURRENCY", "28"),
            ("REFUND_CONCURRENCY", "32"),
        ] {
            assert_eq!(mistakes(&[too_many]), ["RESUME_CONCURRENCY"], "{too_many:?}");
        }
    }
}

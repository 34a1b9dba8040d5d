//! What the service is told by its environment.

use std::net::SocketAddr;
use std::thread::available_parallelism;
use std::time::Duration;

use service_kit::admin;
use service_kit::config::Environment;
use service_kit::database::DatabaseConfig;
use service_kit::grpc::client::UpstreamConfig;
use service_kit::grpc::server::ServerConfig;
use service_kit::telemetry::TelemetryConfig;

use crate::app::Lifetimes;
use crate::domain::{Allowance, AttemptLimits};
use crate::secrets::HashLimits;

/// The configuration of a serving process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: ServerConfig,
    /// Where health and metrics are served.
    pub admin_addr: SocketAddr,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Accounts, sessions and keys.
    pub database: DatabaseConfig,
    /// The lines that a login may join.
    pub queue: UpstreamConfig,
    /// How long tokens and sessions last.
    pub lifetimes: Lifetimes,
    /// How often somebody may try to log in or sign up.
    pub limits: AttemptLimits,
    /// Bounds of password hashing.
    pub hashing: HashLimits,
    /// Whether to make the demonstration's accounts.
    pub seed_demo: bool,
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
            queue: UpstreamConfig::read(env, "QUEUE_URL", "The queue service, for a login that joins a line."),
            lifetimes: Lifetimes {
                access_token: env.seconds(
                    "ACCESS_TOKEN_SECONDS",
                    900,
                    10..=86_400,
                    "How long an access token is good; a role taken away, or a logout, tells by a minute after, as clocks differ.",
                ),
                session: env.seconds(
                    "SESSION_SECONDS",
                    30 * 24 * 3_600,
                    60..=31_536_000,
                    "How long after a login its refresh tokens are good.",
                ),
                refresh_grace: env.seconds(
                    "REFRESH_GRACE_SECONDS",
                    10,
                    0..=60,
                    "How long a refresh whose answer was lost may be retried with the same token.",
                ),
            },
            limits: read_limits(env),
            hashing: HashLimits {
                concurrency: match env.number(
                    "HASH_CONCURRENCY",
                    0,
                    0..=256,
                    "Passwords hashed at once, each on a core and in 19 MiB; 0 for as many as there are cores.",
                ) {
                    0 => available_parallelism().map_or(1, usize::from),
                    some => some,
                },
                queue: env.number(
                    "HASH_QUEUE",
                    64,
                    0..=10_000,
                    "Passwords that wait to be hashed; more are refused at once.",
                ),
                wait: env.millis(
                    "HASH_WAIT_MS",
                    2_000,
                    10..=30_000,
                    "How long a password waits to be hashed before it is refused.",
                ),
            },
            seed_demo: env.flag(
                "SEED_DEMO",
                false,
                "Whether to make the accounts of the demonstration; their password is known to all.",
            ),
            drain: env.seconds("DRAIN_SECONDS", 10, 0..=300, "How long a stop may take."),
        }
    }
}

const TEN_MINUTES: Duration = Duration::from_secs(600);
const AN_HOUR: Duration = Duration::from_secs(3_600);

fn read_limits(env: &mut Environment) -> AttemptLimits {
    let mut allowance = |name, default, window, meaning| Allowance {
        burst: env.number(name, default, 1..=1_000_000, meaning),
        window,
    };
    AttemptLimits {
        log_ins_per_address: allowance(
            "LOGIN_FAILURES_PER_ADDRESS",
            100,
            TEN_MINUTES,
            "Failed logins from one address in ten minutes; an office or a carrier may be one address.",
        ),
        log_ins_per_account_and_address: allowance(
            "LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS",
            10,
            TEN_MINUTES,
            "Failed logins to one account from one address in ten minutes.",
        ),
        log_ins_per_account: allowance(
            "LOGIN_FAILURES_PER_ACCOUNT",
            60,
            TEN_MINUTES,
            "Failed logins to one account in ten minutes from all addresses where it was never logged in to.",
        ),
        sign_ups_per_address: allowance(
            "SIGN_UPS_PER_ADDRESS",
            200,
            AN_HOUR,
            "Sign-ups from one address in an hour.",
        ),
        address_known: env.seconds(
            "KNOWN_ADDRESS_SECONDS",
            90 * 24 * 3_600,
            60..=31_536_000,
            "How long an address from which an account was logged in to is exempt from LOGIN_FAILURES_PER_ACCOUNT.",
        ),
    }
}

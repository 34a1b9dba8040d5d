//! How the provider is reached, and the bounds of calls to it.

use std::time::Duration;

use secrecy::SecretString;
use service_kit::config::Environment;
use url::Url;

use super::breaker::Rules;

/// A call that finds no place in this time is not made.
pub(super) const PLACE_WAIT: Duration = Duration::from_millis(500);

/// How the provider is reached.
#[derive(Debug, Clone)]
pub struct TossConfig {
    pub(super) url: Url,
    pub(super) secret_key: SecretString,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) max_concurrent_calls: usize,
    pub(super) breaker: Rules,
}

impl TossConfig {
    /// Reads `PROVIDER_URL`, `PROVIDER_SECRET_KEY` and the bounds of calls.
    pub fn read(env: &mut Environment) -> Self {
        Self {
            url: env.url("PROVIDER_URL", &["http", "https"], "The payment provider's API."),
            secret_key: env.secret("PROVIDER_SECRET_KEY", "Our secret key at the payment provider."),
            timeout: env.millis(
                "PROVIDER_TIMEOUT_MS",
                12_000,
                100..=60_000,
                "How long one call to the payment provider may take before its outcome is unknown.",
            ),
            connect_timeout: env.millis(
                "PROVIDER_CONNECT_TIMEOUT_MS",
                2_000,
                50..=30_000,
                "How long connecting to the payment provider may take.",
            ),
            max_concurrent_calls: env.number(
                "PROVIDER_MAX_CONCURRENT_CALLS",
                64,
                4..=10_000,
                "Calls to the payment provider at once; further card payments are refused at once, payments by points \
                 go on.",
            ),
            breaker: Rules {
                failures: env.number(
                    "PROVIDER_BREAKER_FAILURES",
                    10,
                    1..=1_000,
                    "So many failures (no connection, no answer in time, garbage, 5xx) among twice as many last calls to \
                     the payment provider, all within a minute, and it is left alone: card payments are refused at once.",
                ),
                open_for: env.millis(
                    "PROVIDER_BREAKER_OPEN_MS",
                    10_000,
                    100..=600_000,
                    "How long the payment provider is left alone before it is asked whether it is back.",
                ),
            },
        }
    }

    /// Calls at once.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.max_concurrent_calls
    }

    /// The longest that one request may take, its wait for a place included.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.timeout + PLACE_WAIT
    }
}

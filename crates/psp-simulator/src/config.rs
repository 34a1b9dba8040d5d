//! What can be set, each by a flag or from the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use reqwest::Url;

pub use crate::auth::SecretKey;

/// Everything the simulator can be told.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "SIMULATOR_ADDR", default_value = "127.0.0.1:9090")]
    pub addr: SocketAddr,

    /// The secret key that callers must present; begins with `test_`, as only test keys do.
    #[arg(
        long,
        env = "SIMULATOR_SECRET_KEY",
        default_value = "test_sk_frontrow",
        hide_env_values = true
    )]
    pub secret_key: SecretKey,

    /// File that remembers payments over restarts (created if missing); without it they live in memory only.
    #[arg(long, env = "SIMULATOR_JOURNAL")]
    pub journal: Option<PathBuf>,

    /// How many seconds late a `test_slow_*` key is answered.
    #[arg(long = "slow-seconds", env = "SIMULATOR_SLOW_SECONDS", default_value = "10", value_parser = seconds)]
    pub slow: Duration,

    /// How many seconds after its confirmation a `test_late_*` key captures.
    #[arg(long = "late-seconds", env = "SIMULATOR_LATE_SECONDS", default_value = "20", value_parser = seconds)]
    pub late: Duration,

    /// For how many seconds after a cancellation another one of the same payment is refused.
    #[arg(long = "cancel-pace-seconds", env = "SIMULATOR_CANCEL_PACE_SECONDS", default_value = "1", value_parser = seconds)]
    pub cancel_pace: Duration,

    /// Where `PAYMENT_STATUS_CHANGED` is posted; unset posts nothing.
    #[arg(long, env = "SIMULATOR_WEBHOOK_URL")]
    pub webhook_url: Option<Url>,

    /// After how many seconds a webhook is sent a second time; each later wait is four times the one before, 7 in all.
    #[arg(
        long = "webhook-retry-seconds",
        env = "SIMULATOR_WEBHOOK_RETRY_SECONDS",
        default_value = "60",
        value_parser = seconds
    )]
    pub webhook_retry: Duration,

    /// After how many seconds the connection of a `test_lost_*` key is dropped unanswered.
    #[arg(long = "lost-seconds", env = "SIMULATOR_LOST_SECONDS", default_value = "120", value_parser = seconds)]
    pub lost: Duration,
}

/// How long things take at the provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How late a late answer is.
    pub slow: Duration,
    /// How late a late capture is.
    pub late: time::Duration,
    /// How far apart cancellations of one payment must be.
    pub between_cancels: Duration,
}

impl Config {
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            slow: self.slow,
            late: self.late.try_into().unwrap_or(time::Duration::MAX),
            between_cancels: self.cancel_pace,
        }
    }
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: f64 = value.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

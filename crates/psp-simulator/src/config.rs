//! What can be set, each by a flag or from the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

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

    /// After how many seconds the connection of a `test_lost_*` key is dropped unanswered.
    #[arg(long = "lost-seconds", env = "SIMULATOR_LOST_SECONDS", default_value = "120", value_parser = seconds)]
    pub lost: Duration,
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: f64 = value.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

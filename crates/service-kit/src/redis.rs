//! A connection to Redis that is made when first used and made again when it breaks, with deadlines on both.

use std::time::Duration;

use anyhow::Context as _;
use redis::IntoConnectionInfo as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Environment;

/// How a service reaches Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    url: SecretString,
    response_timeout: Duration,
}

impl RedisConfig {
    /// Reads `REDIS_URL` and its deadline.
    pub fn read(env: &mut Environment) -> Self {
        let url = env.url("REDIS_URL", &["redis", "rediss"], "The service's Redis.");
        Self {
            url: SecretString::from(url.to_string()),
            response_timeout: env.millis(
                "REDIS_TIMEOUT_MS",
                500,
                10..=10_000,
                "How long one command may take before Redis counts as away.",
            ),
        }
    }

    /// A connection that clones share. Commands sent while Redis is away fail within the deadline.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn connection(&self) -> anyhow::Result<ConnectionManager> {
        // Commands of many callers share the connection: none may wait for the acknowledgement of another's.
        let client = self
            .url
            .expose_secret()
            .into_connection_info()
            .map(|info| info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
            .and_then(redis::Client::open)
            .map_err(|_| anyhow::anyhow!("REDIS_URL cannot be read"))?;
        // One try a command: the caller's own fallback is faster than waiting here.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(10))
            .set_max_delay(Duration::from_millis(100))
            .set_connection_timeout(Some(self.response_timeout))
            .set_response_timeout(Some(self.response_timeout));
        ConnectionManager::new_lazy_with_config(client, config).context("the Redis connection")
    }
}

//! Puts the worker together and runs it.

use std::future::Future;
use std::net::SocketAddr;

use contracts::{booking_client, expiry};
use service_kit::host::Host;

use crate::config::Config;
use crate::consumer::DueConsumer;

/// A worker that consumes, until [`run_until_stopped`](Self::run_until_stopped) ends.
#[derive(Debug)]
pub struct Application {
    host: Host,
}

impl Application {
    /// Opens the private port and starts to consume. Broker and booking may be away: each heals by itself.
    ///
    /// # Errors
    /// An address is taken, or a URL can't be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut host = Host::open(config.admin_addr, config.drain).await?;
        let consumer = DueConsumer {
            booking: booking_client(config.booking.channel()?),
            queue: config.amqp.due_queue(expiry::PURPOSE),
            gate: host.gate("broker"),
        };
        host.spawn("consumer", consumer.run(config.amqp, host.stop()));
        Ok(Self { host })
    }

    /// Where health and metrics are served.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.host.admin_addr()
    }

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        Ok(self.host.run_until_stopped(shutdown).await?)
    }
}

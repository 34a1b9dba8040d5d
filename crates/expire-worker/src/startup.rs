//! Puts the worker together and runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use contracts::{booking_client, expiry};
use service_kit::admin;
use service_kit::health::Readiness;
use service_kit::tasks::Tasks;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::consumer::DueConsumer;

/// A worker that listens and consumes.
#[derive(Debug)]
pub struct Application {
    admin_addr: SocketAddr,
    drain: Duration,
    tasks: Tasks,
}

impl Application {
    /// Binds the listener and starts to consume. Broker and booking may be away: each heals by itself.
    ///
    /// # Errors
    /// An address is taken, or a URL can't be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.admin_addr).await?;
        let admin_addr = listener.local_addr()?;
        let readiness = Readiness::new();
        let consumer = DueConsumer {
            booking: booking_client(config.booking.channel()?),
            queue: config.amqp.due_queue(expiry::PURPOSE),
            gate: readiness.gate("broker"),
        };

        let mut tasks = Tasks::new(readiness.clone());
        let stop = tasks.stop();
        tasks.spawn("admin", admin::serve(listener, readiness, stop.clone()));
        tasks.spawn("consumer", consumer.run(config.amqp, stop));
        Ok(Self {
            admin_addr,
            drain: config.drain,
            tasks,
        })
    }

    /// Where health and metrics are served.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        Ok(self.tasks.run_until(shutdown, self.drain).await?)
    }
}

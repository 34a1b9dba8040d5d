//! Puts the service together and runs it.

use std::net::SocketAddr;
use std::time::Duration;

use contracts::DESCRIPTORS;
use service_kit::host::Host;
use service_kit::rounds::{open_when_done, repeat};
use service_kit::telemetry::causes;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::app::App;
use crate::config::Config;
use crate::grpc::ConcertGrpc;
use crate::peers::{Booking, Queue};
use crate::store::Store;
use crate::store::cache::Cache;

/// How often unfinished concerts and dates are looked for.
const RESUME_EVERY: Duration = Duration::from_secs(2);

/// A service that serves, until [`run_until_stopped`](Self::run_until_stopped) ends.
#[derive(Debug)]
pub struct Application {
    host: Host,
    grpc_addr: SocketAddr,
    app: App,
}

impl Application {
    /// Opens the ports and starts all tasks. Stores and peers are connected when they are first needed, so that a service
    /// starts while they are away.
    ///
    /// # Errors
    /// An address is taken, or a URL cannot be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut host = Host::open(config.admin_addr, config.drain).await?;
        let pool = config.database.pool()?;
        let app = App::new(
            Store::new(pool.clone()),
            Cache::new(config.redis.connection()?, config.cache),
            config.layout_cache_seats,
            Queue::new(config.queue.channel()?),
            Booking::new(config.booking.channel()?),
        );
        host.wait_for_database(pool);
        if config.seed_demo {
            let (app, gate) = (app.clone(), host.gate("seed"));
            let stop = host.stop();
            host.spawn("seed", async move {
                open_when_done("seed the demonstration", gate, stop, || app.seed_demo()).await
            });
        }
        host.spawn("resume", resume(app.clone(), host.stop()));
        let routes = Routes::new(contracts::concert_server(ConcertGrpc::new(app.clone())));
        let grpc_addr = host.serve_grpc(config.grpc, routes, DESCRIPTORS).await?;
        Ok(Self { host, grpc_addr, app })
    }

    /// Where gRPC is served.
    #[must_use]
    pub const fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where health and metrics are served.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.host.admin_addr()
    }

    /// The use cases, for tests that step workers.
    #[must_use]
    pub fn app(&self) -> App {
        self.app.clone()
    }

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        Ok(self.host.run_until_stopped(shutdown).await?)
    }
}

/// Finishes again and again what requests left unfinished.
async fn resume(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(stop, || async {
        if let Err(error) = app.finish_unfinished().await {
            tracing::warn!(
                error = causes(&error),
                "unfinished concerts and dates could not be looked for"
            );
        }
        RESUME_EVERY
    })
    .await
}

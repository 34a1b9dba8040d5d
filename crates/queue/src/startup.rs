//! Puts the service together and runs it.

use std::net::SocketAddr;
use std::sync::Arc;

use contracts::DESCRIPTORS;
use contracts::queue::queue_service_server::QueueServiceServer;
use queue_token::QueueTokens;
use service_kit::host::Host;
use tonic::service::Routes;

use crate::app::Queue;
use crate::beacon::Beacon;
use crate::config::Config;
use crate::grpc::Service;
use crate::store::{DrawStore, Line, VisitStore};

/// A service that serves, until [`run_until_stopped`](Self::run_until_stopped) ends.
#[derive(Debug)]
pub struct Application {
    host: Host,
    grpc_addr: SocketAddr,
}

impl Application {
    /// Opens the ports and starts all tasks. The stores may come later.
    ///
    /// # Errors
    /// An address is taken, or a URL is none.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut host = Host::open(config.admin_addr, config.drain).await?;
        let pool = config.database.pool_without_scans()?;
        let beacon = config.beacon.map(Beacon::new).transpose()?;
        let queue = Arc::new(Queue::new(
            VisitStore::new(pool.clone()),
            DrawStore::new(pool.clone()),
            Line::new(config.redis.connection()?),
            QueueTokens::new(config.queue_token_keys),
            beacon,
            config.options,
        ));
        host.wait_for_database(pool);
        host.spawn("draws", Arc::clone(&queue).run_draws(host.stop()));
        host.spawn("admission", Arc::clone(&queue).run_admission(host.stop()));
        let routes = Routes::new(QueueServiceServer::new(Service::new(queue, host.stop())));
        let grpc_addr = host.serve_grpc(config.grpc, routes, DESCRIPTORS).await?;
        Ok(Self { host, grpc_addr })
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

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        Ok(self.host.run_until_stopped(shutdown).await?)
    }
}

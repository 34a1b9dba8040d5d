//! A serving process: what it listens on, what it waits for before it is ready, and what runs beside its calls.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use contracts::queue::queue_service_server::QueueServiceServer;
use queue_token::QueueTokens;
use service_kit::grpc::server;
use service_kit::health::Readiness;
use service_kit::tasks::Tasks;
use service_kit::{admin, database};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::app::Queue;
use crate::config::Config;
use crate::grpc::Service;
use crate::store::{Line, VisitStore};

/// A service that is built and not running yet.
#[derive(Debug)]
pub struct Application {
    config: Config,
    grpc: TcpListener,
    admin: TcpListener,
    pool: PgPool,
    queue: Arc<Queue>,
}

impl Application {
    /// Listens, and connects to nothing yet: the stores may come later.
    ///
    /// # Errors
    /// An address is taken, or a URL is none.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let grpc = bind(config.grpc.addr).await?;
        let admin = bind(config.admin_addr).await?;
        let pool = config.database.pool()?;
        let queue = Queue::new(
            VisitStore::new(pool.clone()),
            Line::new(config.redis.connection()?),
            QueueTokens::new(config.queue_token_keys.clone()),
            config.options,
        );
        Ok(Self {
            config,
            grpc,
            admin,
            pool,
            queue: Arc::new(queue),
        })
    }

    /// Where gRPC is served.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where health and metrics are served.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn admin_addr(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let readiness = Readiness::new();
        let mut tasks = Tasks::new(readiness.clone());
        let stop = tasks.stop();

        tasks.spawn(
            "database",
            database::open_when_reachable(self.pool, readiness.gate("database"), stop.clone()),
        );
        tasks.spawn("admission", Arc::clone(&self.queue).run_admission(stop.clone()));
        tasks.spawn("admin", admin::serve(self.admin, readiness.clone(), stop.clone()));
        let routes = Routes::new(QueueServiceServer::new(Service::new(self.queue, stop.clone())));
        tasks.spawn(
            "grpc",
            server::serve(
                self.grpc,
                routes,
                contracts::DESCRIPTORS,
                self.config.grpc,
                readiness,
                stop,
            ),
        );
        Ok(tasks.run_until(shutdown, self.config.drain).await?)
    }
}

async fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("listen on {addr}"))
}

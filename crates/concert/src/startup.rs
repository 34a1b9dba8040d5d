//! Puts the service together, runs it, drains it.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use contracts::DESCRIPTORS;
use service_kit::grpc::server::{self, ServerConfig};
use service_kit::health::{Gate, Readiness};
use service_kit::tasks::Tasks;
use service_kit::{admin, database};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::app::App;
use crate::config::Config;
use crate::grpc::ConcertGrpc;
use crate::peers::{Booking, Queue};
use crate::store::Store;
use crate::store::cache::Cache;

/// How often unfinished concerts and dates are looked for, jitter apart.
const RESUME_EVERY: Duration = Duration::from_secs(2);
/// How soon a seeding that failed is tried again, jitter apart.
const SEED_EVERY: Duration = Duration::from_millis(500);

/// The service, bound to its addresses.
#[derive(Debug)]
pub struct Application {
    app: App,
    pool: PgPool,
    grpc: TcpListener,
    admin: TcpListener,
    server: ServerConfig,
    seed_demo: bool,
    drain: Duration,
}

impl Application {
    /// Binds the addresses. Stores and peers are connected when they are first needed, so that a service starts while
    /// they are away.
    ///
    /// # Errors
    /// An address is taken, or a URL cannot be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let pool = config.database.pool()?;
        let app = App::new(
            Store::new(pool.clone()),
            Cache::new(config.redis.connection()?, config.cache),
            config.layout_cache_seats,
            Queue::new(config.queue.channel()?),
            Booking::new(config.booking.channel()?),
        );
        Ok(Self {
            app,
            pool,
            grpc: listen(config.grpc.addr).await?,
            admin: listen(config.admin_addr).await?,
            server: config.grpc,
            seed_demo: config.seed_demo,
            drain: config.drain,
        })
    }

    /// Where gRPC is served.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn grpc_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.grpc.local_addr()?)
    }

    /// Where health and metrics are served.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn admin_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.local_addr()?)
    }

    /// The use cases, for tests that step workers.
    #[must_use]
    pub fn app(&self) -> App {
        self.app.clone()
    }

    /// Serves until `shutdown` resolves, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let readiness = Readiness::new();
        let mut tasks = Tasks::new(readiness.clone());
        let stop = tasks.stop();

        let database = readiness.gate("database");
        tasks.spawn(
            "database",
            database::open_when_reachable(self.pool.clone(), database, stop.clone()),
        );
        if self.seed_demo {
            tasks.spawn(
                "seed",
                seed(self.app.clone(), readiness.gate("seed"), stop.clone()),
            );
        }
        tasks.spawn("resume", resume(self.app.clone(), stop.clone()));
        tasks.spawn("admin", admin::serve(self.admin, readiness.clone(), stop.clone()));
        let service = contracts::concert_server(ConcertGrpc::new(self.app));
        tasks.spawn(
            "grpc",
            server::serve(
                self.grpc,
                Routes::new(service),
                DESCRIPTORS,
                self.server,
                readiness,
                stop,
            ),
        );
        tasks.run_until(shutdown, self.drain).await?;
        Ok(())
    }
}

async fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}"))
}

/// Seeds until it succeeds, opens the gate, and waits for the stop.
async fn seed(app: App, gate: Gate, stop: CancellationToken) -> anyhow::Result<()> {
    let seeded = async {
        while let Err(error) = app.seed_demo().await {
            tracing::warn!(
                error = &error as &dyn Error,
                "the demonstration is not complete yet"
            );
            tokio::time::sleep(jittered(SEED_EVERY)).await;
        }
        gate.open();
    };
    if stop.run_until_cancelled(seeded).await.is_some() {
        stop.cancelled().await;
    }
    Ok(())
}

/// Finishes again and again what requests left unfinished.
async fn resume(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    while stop
        .run_until_cancelled(tokio::time::sleep(jittered(RESUME_EVERY)))
        .await
        .is_some()
    {
        // A run that has begun is let end: its calls have deadlines.
        if let Err(error) = app.finish_unfinished().await {
            tracing::warn!(
                error = &error as &dyn Error,
                "unfinished concerts and dates could not be looked for"
            );
        }
    }
    Ok(())
}

/// Between half and one and a half times `every`, so that replicas do not keep step.
fn jittered(every: Duration) -> Duration {
    every.mul_f64(rand::random_range(0.5..1.5))
}

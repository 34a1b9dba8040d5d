//! Starting and stopping.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use service_kit::health::{Gate, Readiness};
use service_kit::tasks::Tasks;
use service_kit::telemetry::causes;
use service_kit::{admin, database, grpc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vocabulary::{Amount, demo};

use crate::app::{self, App};
use crate::booking::Booking;
use crate::config::Config;
use crate::provider::TossProvider;
use crate::store::Store;

const SEED_OPERATION: &str = "demo:buyer";
const SEED_EVERY: Duration = Duration::from_millis(500);

/// The service, bound to its addresses and not serving yet.
#[derive(Debug)]
pub struct Application {
    config: Config,
    grpc: TcpListener,
    grpc_addr: SocketAddr,
    admin: TcpListener,
    admin_addr: SocketAddr,
    readiness: Readiness,
    tasks: Tasks,
    app: App,
}

impl Application {
    /// Binds the addresses; stores and peers may be away.
    ///
    /// # Errors
    /// An address is taken, or a URL cannot be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let grpc = TcpListener::bind(config.grpc.addr).await.context("GRPC_ADDR")?;
        let admin = TcpListener::bind(config.admin_addr).await.context("ADMIN_ADDR")?;
        let readiness = Readiness::new();
        let mut tasks = Tasks::new(readiness.clone());

        let pool = config.database.pool()?;
        let store = Store::new(pool.clone());
        let booking = Booking::new(config.booking.channel()?);
        let provider = Arc::new(TossProvider::new(&config.provider)?);
        let app = App::new(
            store.clone(),
            booking,
            provider,
            config.settings.clone(),
            tasks.stop(),
        );

        let reachable = database::open_when_reachable(pool, readiness.gate("database"), tasks.stop());
        tasks.spawn("database", reachable);
        if config.seed_demo {
            tasks.spawn("seed", seed(store, readiness.gate("seed"), tasks.stop()));
        }
        Ok(Self {
            grpc_addr: grpc.local_addr()?,
            admin_addr: admin.local_addr()?,
            config,
            grpc,
            admin,
            readiness,
            tasks,
            app,
        })
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where health and metrics are served.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Serves until `shutdown` resolves, then drains.
    ///
    /// # Errors
    /// A task died, or the drain took too long.
    pub async fn run_until_stopped(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let stop = self.tasks.stop();
        let routes = tonic::service::Routes::new(crate::grpc::server(self.app.clone()));
        self.tasks.spawn(
            "grpc",
            grpc::server::serve(
                self.grpc,
                routes,
                contracts::DESCRIPTORS,
                self.config.grpc.clone(),
                self.readiness.clone(),
                stop.clone(),
            ),
        );
        self.tasks.spawn(
            "admin",
            admin::serve(self.admin, self.readiness.clone(), stop.clone()),
        );
        let resuming = self
            .app
            .clone()
            .keep_resuming(self.config.resume_every, stop.clone());
        self.tasks.spawn("resume", resuming);
        self.tasks
            .spawn("sagas", drain(self.app, self.config.drain, stop));
        self.tasks.run_until(shutdown, self.config.drain).await?;
        Ok(())
    }
}

/// Lets running sagas end, as far as the drain's time goes; the next process resumes the others.
async fn drain(app: App, limit: Duration, stop: CancellationToken) -> anyhow::Result<()> {
    stop.cancelled().await;
    if tokio::time::timeout(limit.mul_f64(0.9), app.drain())
        .await
        .is_err()
    {
        tracing::warn!("payments are left to be resumed by another process");
    }
    Ok(())
}

/// Gives the demonstration's buyer points, as soon as there is a wallet to put them in.
async fn seed(store: Store, gate: Gate, stop: CancellationToken) -> anyhow::Result<()> {
    let points = Amount::new(demo::BUYER_POINTS)?;
    let granted = async {
        while let Err(error) = app::grant(&store, demo::BUYER_ID, points, SEED_OPERATION).await {
            tracing::warn!(
                error = causes(&error),
                "the demonstration's points cannot be granted yet"
            );
            tokio::time::sleep(SEED_EVERY).await;
        }
        gate.open();
        std::future::pending::<()>().await;
    };
    stop.run_until_cancelled(granted).await;
    Ok(())
}

//! A serving process: what it listens on, what it waits for before it is ready, and what runs beside its calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use contracts::auth::auth_service_server::AuthServiceServer;
use service_kit::grpc::server;
use service_kit::health::{Gate, Readiness};
use service_kit::tasks::Tasks;
use service_kit::{admin, database};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::app::{self, AppError, Auth, FORGET_BATCH, RELOAD_EVERY};
use crate::config::Config;
use crate::grpc::{QueueLines, Service};
use crate::secrets::Passwords;
use crate::store::Store;

const RETRY_EVERY: Duration = Duration::from_millis(500);
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// A service that is built and not running yet.
#[derive(Debug)]
pub struct Application {
    config: Config,
    grpc: TcpListener,
    admin: TcpListener,
    pool: PgPool,
    passwords: Passwords,
    app: Arc<Auth<QueueLines>>,
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
        let passwords = Passwords::new(config.hashing).context("password hashing")?;
        let lines = QueueLines::new(contracts::queue_client(config.queue.channel()?));
        let app = Auth::new(
            Store::new(pool.clone()),
            passwords.clone(),
            lines,
            config.lifetimes,
        );
        Ok(Self {
            config,
            grpc,
            admin,
            pool,
            passwords,
            app: Arc::new(app),
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
            database::open_when_reachable(self.pool.clone(), readiness.gate("database"), stop.clone()),
        );
        tasks.spawn(
            "signing-key",
            follow_signing_key(Arc::clone(&self.app), readiness.gate("signing-key"), stop.clone()),
        );
        tasks.spawn(
            "forget-sessions",
            forget_sessions(Arc::clone(&self.app), stop.clone()),
        );
        if self.config.seed_demo {
            let gate = readiness.gate("seed");
            tasks.spawn(
                "seed",
                seed(Store::new(self.pool), self.passwords, gate, stop.clone()),
            );
        }
        tasks.spawn("admin", admin::serve(self.admin, readiness.clone(), stop.clone()));
        let routes = Routes::new(AuthServiceServer::new(Service::new(self.app)));
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

/// Opens the gate with the first key, then takes up a key that was made elsewhere.
async fn follow_signing_key(
    app: Arc<Auth<QueueLines>>,
    gate: Gate,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    repeat(stop, || async {
        match app.load_signing_key().await {
            Ok(_) => {
                gate.open();
                RELOAD_EVERY
            }
            Err(error) => retry("load the signing key", &error),
        }
    })
    .await
}

async fn forget_sessions(app: Arc<Auth<QueueLines>>, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(stop, || async {
        match app.forget_lapsed_sessions().await {
            Ok(forgotten) if forgotten >= u64::from(FORGET_BATCH) => Duration::ZERO,
            Ok(_) => FORGET_EVERY,
            Err(error) => {
                retry("forget lapsed sessions", &error);
                FORGET_EVERY
            }
        }
    })
    .await
}

async fn seed(store: Store, passwords: Passwords, gate: Gate, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(stop, || async {
        match app::seed_demo(&store, &passwords).await {
            Ok(()) => {
                gate.open();
                Duration::MAX
            }
            Err(error) => retry("seed the demonstration", &error),
        }
    })
    .await
}

fn retry(what: &'static str, error: &AppError) -> Duration {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "could not {what} yet");
    RETRY_EVERY
}

/// Does a step, and again after the time that it answers, until `stop`.
async fn repeat<F>(stop: CancellationToken, mut step: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Duration>,
{
    let steps = async {
        loop {
            let wait = step().await;
            tokio::time::sleep(wait).await;
        }
    };
    stop.run_until_cancelled(steps).await;
    Ok(())
}

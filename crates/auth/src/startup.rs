//! Puts the service together and runs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use contracts::DESCRIPTORS;
use contracts::auth::auth_service_server::AuthServiceServer;
use service_kit::health::Gate;
use service_kit::host::Host;
use service_kit::rounds::{open_when_done, repeat};
use service_kit::telemetry::causes;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::app::{self, Auth, FORGET_BATCH, RELOAD_EVERY, SWEEP_BATCH};
use crate::config::Config;
use crate::grpc::{QueueLines, Service};
use crate::secrets::Passwords;
use crate::store::Store;

const RETRY_EVERY: Duration = Duration::from_millis(500);
const FORGET_EVERY: Duration = Duration::from_secs(60);

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
        let pool = config.database.pool()?;
        let store = Store::new(pool.clone());
        let passwords = Passwords::new(config.hashing).context("password hashing")?;
        let lines = QueueLines::new(contracts::queue_client(config.queue.channel()?));
        let app = Arc::new(Auth::new(
            store.clone(),
            passwords.clone(),
            lines,
            config.lifetimes,
            config.limits,
        ));

        host.wait_for_database(pool);
        host.spawn(
            "signing-key",
            follow_signing_key(Arc::clone(&app), host.gate("signing-key"), host.stop()),
        );
        host.spawn("forget-sessions", forget_sessions(Arc::clone(&app), host.stop()));
        host.spawn("sweep-attempts", sweep_attempts(Arc::clone(&app), host.stop()));
        if config.seed_demo {
            let (gate, stop) = (host.gate("seed"), host.stop());
            host.spawn("seed", async move {
                open_when_done("seed the demonstration", gate, stop, || {
                    app::seed_demo(&store, &passwords)
                })
                .await
            });
        }
        let routes = Routes::new(AuthServiceServer::new(Service::new(app)));
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
            Err(error) => {
                tracing::warn!(error = causes(&error), "could not load the signing key yet");
                RETRY_EVERY
            }
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
                tracing::warn!(error = causes(&error), "could not forget lapsed sessions yet");
                FORGET_EVERY
            }
        }
    })
    .await
}

async fn sweep_attempts(app: Arc<Auth<QueueLines>>, stop: CancellationToken) -> anyhow::Result<()> {
    repeat(stop, || async {
        match app.sweep_attempts().await {
            Ok(swept) if swept >= u64::from(SWEEP_BATCH) => Duration::ZERO,
            Ok(_) => FORGET_EVERY,
            Err(error) => {
                tracing::warn!(error = causes(&error), "could not sweep attempts yet");
                FORGET_EVERY
            }
        }
    })
    .await
}

//! Puts the service together and runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contracts::DESCRIPTORS;
use service_kit::host::Host;
use service_kit::rounds::open_when_done;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use vocabulary::{Amount, demo};

use crate::app::{self, App};
use crate::booking::Booking;
use crate::config::Config;
use crate::domain::{Charge, Payment, Refund};
use crate::grpc;
use crate::provider::TossProvider;
use crate::store::Store;

const SEED_OPERATION: &str = "demo:buyer";

/// A service that serves, until [`run_until_stopped`](Self::run_until_stopped) ends.
#[derive(Debug)]
pub struct Application {
    host: Host,
    grpc_addr: SocketAddr,
}

impl Application {
    /// Opens the ports and starts all tasks. Stores and peers may be away.
    ///
    /// # Errors
    /// An address is taken, or a URL cannot be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut host = Host::open(config.admin_addr, config.drain).await?;
        let pool = config.database.pool_without_scans()?;
        let store = Store::new(pool.clone());
        let booking = Booking::new(config.booking.channel()?);
        let provider = Arc::new(TossProvider::new(&config.provider)?);
        let app = App::new(store.clone(), booking, provider, config.settings, host.stop());

        host.wait_for_database(pool);
        if config.seed_demo {
            let (gate, stop) = (host.gate("seed"), host.stop());
            let points = Amount::new(demo::BUYER_POINTS)?;
            host.spawn("seed", async move {
                open_when_done("grant the demonstration's points", gate, stop, || {
                    app::grant(&store, demo::BUYER_ID, points, SEED_OPERATION)
                })
                .await
            });
        }
        host.spawn(
            "resume payments",
            app.clone()
                .keep_resuming::<Payment>(config.resume_every, host.stop()),
        );
        host.spawn(
            "resume charges",
            app.clone()
                .keep_resuming::<Charge>(config.resume_every, host.stop()),
        );
        host.spawn(
            "resume refunds",
            app.clone()
                .keep_resuming::<Refund>(config.resume_every, host.stop()),
        );
        host.spawn(
            "refund canceled dates",
            app.clone()
                .keep_refunding_schedules(config.refund_schedules_every, host.stop()),
        );
        host.spawn(
            "reconcile",
            app.clone().keep_reconciling(config.reconcile, host.stop()),
        );
        host.spawn("sagas", drain(app.clone(), config.drain, host.stop()));
        let routes = Routes::new(grpc::server(app));
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

/// The use cases by themselves, for a command that does not serve.
///
/// # Errors
/// A URL cannot be used.
pub fn use_cases(config: &Config) -> anyhow::Result<App> {
    Ok(App::new(
        Store::new(config.database.pool()?),
        Booking::new(config.booking.channel()?),
        Arc::new(TossProvider::new(&config.provider)?),
        config.settings.clone(),
        CancellationToken::new(),
    ))
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

//! One process of the system: its private port, its gRPC port, its tasks, and its end.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::grpc::server::{self, ServerConfig};
use crate::health::{Gate, Readiness};
use crate::tasks::{TaskError, Tasks};
use crate::{admin, database};

/// A process that is being put together, and then runs until it is stopped. It serves from the first port on that it
/// opens; what it is not ready for yet, its gates say.
#[derive(Debug)]
pub struct Host {
    admin_addr: SocketAddr,
    drain: Duration,
    readiness: Readiness,
    // Closed while gates are still being added: a process half put together is not ready.
    assembled: Gate,
    tasks: Tasks,
}

impl Host {
    /// Opens the private port: health, readiness and metrics. A stop may take `drain`.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn open(admin_addr: SocketAddr, drain: Duration) -> anyhow::Result<Self> {
        let (listener, admin_addr) = listen(admin_addr).await?;
        let readiness = Readiness::new();
        let assembled = readiness.gate("assembled");
        let mut tasks = Tasks::new(readiness.clone());
        tasks.spawn("admin", admin::serve(listener, readiness.clone(), tasks.stop()));
        Ok(Self {
            admin_addr,
            drain,
            readiness,
            assembled,
            tasks,
        })
    }

    /// Opens the gRPC port and answers where it is.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn serve_grpc(
        &mut self,
        config: ServerConfig,
        routes: Routes,
        descriptors: &'static [u8],
    ) -> anyhow::Result<SocketAddr> {
        let (listener, addr) = listen(config.addr).await?;
        let readiness = self.readiness.clone();
        let serving = server::serve(listener, routes, descriptors, config, readiness, self.stop());
        self.spawn("grpc", serving);
        Ok(addr)
    }

    /// Is not ready before the database has answered once.
    pub fn wait_for_database(&mut self, pool: PgPool) {
        let reachable = database::open_when_reachable(pool, self.gate("database"), self.stop());
        self.spawn("database", reachable);
    }

    /// A new closed gate.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        self.readiness.gate(name)
    }

    /// Whether requests may be sent here.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Is cancelled when the process should take nothing new and end what it does.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.tasks.stop()
    }

    /// Runs a task beside the others; one that ends before the stop fails the process.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(name, task);
    }

    /// Where the private port is.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), TaskError> {
        self.assembled.open();
        tracing::info!(admin_addr = %self.admin_addr, "serving");
        self.tasks.run_until(shutdown, self.drain).await
    }
}

/// Listens on `addr`, and says where that is: port 0 becomes one that is free.
///
/// # Errors
/// The address is taken.
pub async fn listen(addr: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}"))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn a_host_is_ready_when_it_runs_with_all_gates_open_and_ends_when_told() {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let host = Host::open(anywhere, Duration::from_secs(1)).await.unwrap();
        let (addr, readiness, stop) = (host.admin_addr(), host.readiness(), CancellationToken::new());
        // Gates are still to come: whoever asks now must not be told that all is well.
        assert_eq!(readiness.waiting_for(), ["assembled"]);
        let gate = host.gate("seed");

        let running = tokio::spawn(host.run_until_stopped(stop.clone().cancelled_owned()));
        while readiness.waiting_for() != ["seed"] {
            tokio::task::yield_now().await;
        }
        assert!(admin::healthcheck(addr).await.is_err());
        gate.open();
        admin::healthcheck(addr).await.unwrap();
        stop.cancel();
        running.await.unwrap().unwrap();
        assert!(admin::healthcheck(addr).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let (_taken, addr) = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let error = Host::open(addr, Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}

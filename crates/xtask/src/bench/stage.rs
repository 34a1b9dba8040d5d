//! A system of its own to be measured: optimised programs, private servers that wait for the disk, and an orderly end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::Method;
use local_servers::{Durability, Endpoints, Given, Home, Kind, Servers, System, SystemOptions};
use url::Url;

use super::client::Connection;
use super::cpu::{Reading, Watched};
use crate::report::Report;

/// Less than this of one core is quiet: health checks, sweeps and the room's clock never end.
const QUIET_CORES: f64 = 0.2;
const QUIET_LOOK: Duration = Duration::from_millis(500);
const QUIET_BOUND: Duration = Duration::from_secs(60);

/// What has been started so far; what is here is stopped in an orderly way, whatever happens.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    home: Option<Home>,
    servers: Option<Servers>,
    system: Option<System>,
}

impl Stage {
    /// Starts everything in `.frontrow/bench`, emptied. The services have their usual configuration, but for `env`.
    pub(crate) async fn start(
        &mut self,
        root: &Path,
        bin_dir: PathBuf,
        env: &[(&str, &str)],
        report: &Report,
    ) -> Result<()> {
        // Not a temporary home: where that is, there may be no disk to wait for.
        let home = self.home.insert(Home::open(root.join(".frontrow/bench")).await?);
        home.empty().await?;
        let progress = |line: &str| report.step(line);
        // Only private servers: others may not wait for their disk, and their processes cannot be watched.
        let servers = Servers::acquire(home, &Given::default(), Durability::On, &progress).await?;
        let endpoints = Endpoints::from(&*self.servers.insert(servers));
        let mut options = SystemOptions::new(home.clone(), bin_dir, endpoints);
        options.env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.system = Some(System::start(options, &progress).await?);
        Ok(())
    }

    pub(crate) async fn stop(&mut self, report: &Report) {
        if self.servers.is_none() {
            return;
        }
        if let Some(system) = self.system.take() {
            for service in system.shutdown().await {
                report.step(&format!("{service} did not stop by itself and was killed"));
            }
        }
        if let Some(servers) = self.servers.take() {
            servers.stop().await;
        }
        report.step("services and servers have stopped");
    }

    /// Deletes all data, which is large and of no further use; call when it has stopped.
    pub(crate) async fn clear(&mut self) -> Result<()> {
        match self.home.take() {
            Some(home) => Ok(home.empty().await?),
            None => Ok(()),
        }
    }

    /// Of the public API.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.system()?.http_addr())
    }

    /// The whole server, as one who may do everything.
    pub(crate) fn postgres(&self) -> Result<Url> {
        Ok(self.servers()?.url(Kind::Postgres))
    }

    pub(crate) fn redis(&self) -> Result<Url> {
        Ok(self.servers()?.url(Kind::Redis))
    }

    /// Where a service serves gRPC.
    pub(crate) fn grpc(&self, service: &str) -> Result<String> {
        Ok(self.system()?.grpc_url(service)?)
    }

    /// A service's `/metrics`, as it is now.
    pub(crate) async fn metrics(&self, service: &str) -> Result<String> {
        let url: Url = self.system()?.admin_url(service)?.parse()?;
        let address = url.socket_addrs(|| None)?.into_iter().next();
        let mut connection = Connection::to(address.context("no address")?);
        let answer = connection.patiently(Method::GET, "/metrics", &[], "").await?;
        Ok(String::from_utf8(answer.body.to_vec())?)
    }

    /// One value of the environment that a service was started with.
    pub(crate) fn env(&self, service: &str, variable: &str) -> Result<&str> {
        let value = self.system()?.env(service, variable);
        value.with_context(|| format!("{service} has no {variable}"))
    }

    pub(crate) fn home(&self) -> Result<&Home> {
        self.home.as_ref().context("there is no home")
    }

    /// Every process of the stage, by name.
    pub(crate) fn processes(&self) -> Result<Vec<Watched>> {
        let (system, servers) = (self.system()?, self.servers()?);
        let services = system
            .services()
            .filter_map(|service| Some((service.name, system.pid(service.name)?)));
        let servers = Kind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind.slug(), servers.pid(kind)?)));
        Ok(services.chain(servers).collect())
    }

    /// Waits until nothing is left to do of what was asked before: the outboxes are told, the caches written. Answers how
    /// many cores are used then.
    pub(crate) async fn quiet(&self) -> Result<f64> {
        let processes = self.processes()?;
        let end = Instant::now() + QUIET_BOUND;
        loop {
            let (begun, before) = (Instant::now(), Reading::take(&processes)?);
            tokio::time::sleep(QUIET_LOOK).await;
            let used = Reading::take(&processes)?.since(&before).together();
            let cores = used.as_secs_f64() / begun.elapsed().as_secs_f64();
            if cores < QUIET_CORES || Instant::now() >= end {
                return Ok(cores);
            }
        }
    }

    fn system(&self) -> Result<&System> {
        self.system.as_ref().context("the system is not there")
    }

    fn servers(&self) -> Result<&Servers> {
        self.servers.as_ref().context("the servers are not there")
    }
}

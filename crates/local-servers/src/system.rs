//! The whole system as processes of this machine: databases and migrations, every service with its environment,
//! readiness, and an orderly end.

mod replica;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinSet;
use url::Url;

use crate::acquire::Progress;
use crate::databases::Admin;
use crate::environment;
use crate::error::{Doing, Error, Result};
use crate::home::Home;
use crate::http::answers_ok;
use crate::process::Process;
use crate::topology::{GATEWAY, Role, SERVICES, Service};
use crate::{Kind, Servers};

const MIGRATE_BOUND: Duration = Duration::from_secs(120);
const READY_BOUND: Duration = Duration::from_secs(90);
const STOP_BOUND: Duration = Duration::from_secs(15);

/// Where the three servers are.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// As one who may make databases and roles.
    pub postgres: Url,
    pub redis: Url,
    pub amqp: Url,
}

impl From<&Servers> for Endpoints {
    fn from(servers: &Servers) -> Endpoints {
        Endpoints {
            postgres: servers.url(Kind::Postgres),
            redis: servers.url(Kind::Redis),
            amqp: servers.url(Kind::RabbitMq),
        }
    }
}

#[derive(Debug)]
pub struct SystemOptions {
    /// Keeps ports, secrets and logs; stops what a crash leaves.
    pub home: Home,
    /// The folder of the built programs: `target/debug`.
    pub bin_dir: PathBuf,
    pub endpoints: Endpoints,
    /// Of the public API; a free port when `None`.
    pub http_addr: Option<SocketAddr>,
    /// Put before the name of each database and role, so that several systems share one Postgres.
    pub database_prefix: String,
    /// Starts these alone, and the stand-in for the provider with whoever pays; everything when `None`. A service whose
    /// upstreams are missing makes no demonstration.
    pub only: Option<Vec<&'static str>>,
    /// Environment for every service, over what the system sets itself.
    pub env: Vec<(String, String)>,
    /// Environment for one service, over all else.
    pub service_env: BTreeMap<&'static str, Vec<(String, String)>>,
}

impl SystemOptions {
    /// A system of its own on these servers: a free HTTP port, plain database names, nothing overridden.
    pub fn new(home: Home, bin_dir: impl Into<PathBuf>, endpoints: Endpoints) -> SystemOptions {
        SystemOptions {
            home,
            bin_dir: bin_dir.into(),
            endpoints,
            http_addr: None,
            database_prefix: String::new(),
            only: None,
            env: Vec::new(),
            service_env: BTreeMap::new(),
        }
    }
}

/// Every process is killed when this is dropped; [`System::shutdown`] ends them in an orderly way. A service keeps its
/// addresses, secrets and database over a stop and a start.
#[derive(Debug)]
pub struct System {
    home: Home,
    http_addr: SocketAddr,
    database_prefix: String,
    postgres: Url,
    nodes: BTreeMap<&'static str, Node>,
}

#[derive(Debug)]
struct Node {
    /// The service's, unless it is a further replica.
    name: &'static str,
    service: &'static Service,
    program: PathBuf,
    env: Vec<(String, String)>,
    /// Where it says whether it is ready, and with which path.
    health: (SocketAddr, &'static str),
    grpc_addr: Option<SocketAddr>,
    database_url: Option<Url>,
    process: Option<Process>,
}

impl System {
    /// Makes the databases, migrates them, starts every service and waits until all are ready. The error names the
    /// service that did not get there, and shows the end of its log.
    pub async fn start(options: SystemOptions, progress: Progress<'_>) -> Result<System> {
        let mut system = System::prepare(options, progress).await?;
        system.migrate(progress).await?;
        let begun = Instant::now();
        for node in system.nodes.values_mut() {
            node.spawn(&system.home)?;
        }
        progress(&format!(
            "started {} processes, waiting until they are ready",
            system.nodes.len()
        ));
        // All at once: seeding in one service waits for others.
        let end = tokio::time::Instant::now() + READY_BOUND;
        let mut waiting: Vec<_> = system.nodes.values_mut().collect();
        while !waiting.is_empty() {
            let mut late = Vec::new();
            for node in waiting {
                match node.is_ready().await? {
                    true => progress(&format!(
                        "{} is ready ({:.1} s)",
                        node.name,
                        begun.elapsed().as_secs_f64()
                    )),
                    false if tokio::time::Instant::now() >= end => return Err(node.not_ready()),
                    false => late.push(node),
                }
            }
            waiting = late;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(system)
    }

    /// The services that were started, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = &'static Service> + '_ {
        let first = self.nodes.values().filter(|node| node.is_first());
        first.map(|node| node.service)
    }

    /// The processes that were started, replicas included, in the order of their names.
    pub fn processes(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.nodes.keys().copied()
    }

    /// `http://127.0.0.1:PORT` of the public API.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.http_addr)
    }

    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// The gRPC address of a service, as others call it.
    pub fn grpc_url(&self, service: &str) -> Result<String> {
        let node = self.node(service)?;
        node.grpc_addr
            .map(|addr| format!("http://{addr}"))
            .ok_or_else(|| Error::UnknownService(service.to_owned()))
    }

    /// `http://127.0.0.1:PORT` of a service's `/readyz`, `/healthz` and `/metrics`; of all it serves, for the
    /// payment provider's stand-in.
    pub fn admin_url(&self, service: &str) -> Result<String> {
        Ok(format!("http://{}", self.node(service)?.health.0))
    }

    /// A service's database, as that service logs in.
    pub fn database_url(&self, service: &str) -> Result<Url> {
        self.node(service)?
            .database_url
            .clone()
            .ok_or_else(|| Error::UnknownService(service.to_owned()))
    }

    /// One value of the environment a service was started with, such as `PROVIDER_SECRET_KEY`.
    pub fn env(&self, service: &str, variable: &str) -> Option<&str> {
        let env = &self.node(service).ok()?.env;
        env.iter()
            .rev()
            .find(|(name, _)| name == variable)
            .map(|(_, value)| value.as_str())
    }

    /// Sets a variable of a service's environment, from its next start on.
    pub fn set_env(&mut self, service: &str, variable: &str, value: &str) -> Result<()> {
        self.node_mut(service)?.set_env(variable, value);
        Ok(())
    }

    /// Whether a service that was started has ended.
    pub fn has_ended(&mut self, service: &str) -> Result<bool> {
        let process = self.node_mut(service)?.process.as_mut();
        Ok(process.is_none_or(|process| process.ended().is_some()))
    }

    /// The pid of a service, while it runs.
    pub fn pid(&self, service: &str) -> Option<i32> {
        self.node(service).ok()?.process.as_ref().map(Process::pid)
    }

    /// All that a service has logged in this home.
    pub fn logs(&self, service: &str) -> Result<String> {
        let path = self.home.log_of(self.node(service)?.name);
        let bytes = fs::read(&path).doing(|| format!("read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Starts a service that was stopped or killed and waits until it is ready.
    pub async fn start_service(&mut self, service: &str) -> Result<()> {
        let home = self.home.clone();
        let node = self.node_mut(service)?;
        node.spawn(&home)?;
        let end = tokio::time::Instant::now() + READY_BOUND;
        while !node.is_ready().await? {
            if tokio::time::Instant::now() >= end {
                return Err(node.not_ready());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL when it has not ended after 15 s; true when it ended by itself.
    pub async fn stop_service(&mut self, service: &str) -> Result<bool> {
        match self.node_mut(service)?.process.take() {
            Some(mut process) => Ok(process.stop(Signal::TERM, STOP_BOUND).await),
            None => Ok(true),
        }
    }

    /// SIGKILL.
    pub async fn kill_service(&mut self, service: &str) -> Result<()> {
        if let Some(mut process) = self.node_mut(service)?.process.take() {
            process.kill().await;
        }
        Ok(())
    }

    /// Freezes a service: it is there and does not answer.
    pub fn pause_service(&self, service: &str) -> Result<()> {
        self.node(service)?.process.iter().for_each(Process::freeze);
        Ok(())
    }

    pub fn resume_service(&self, service: &str) -> Result<()> {
        self.node(service)?.process.iter().for_each(Process::thaw);
        Ok(())
    }

    /// The first service that has ended by itself, how, and the end of its log.
    pub fn ended(&mut self) -> Option<(&'static str, ExitStatus, String)> {
        self.nodes.values_mut().find_map(|node| {
            let process = node.process.as_mut()?;
            Some((node.name, process.ended()?, process.tail()))
        })
    }

    /// Ends every process in an orderly way: the edge first, so that what is under way is answered, then the others.
    /// Answers the names of those that had to be killed.
    pub async fn shutdown(mut self) -> Vec<&'static str> {
        let mut killed = Vec::new();
        for edge in [true, false] {
            let mut stopping = JoinSet::new();
            for node in self
                .nodes
                .values_mut()
                .filter(|node| (node.service.name == GATEWAY) == edge)
            {
                if let Some(mut process) = node.process.take() {
                    let name = node.name;
                    stopping.spawn(async move { (name, process.stop(Signal::TERM, STOP_BOUND).await) });
                }
            }
            while let Some(stopped) = stopping.join_next().await {
                killed.extend(
                    stopped
                        .ok()
                        .filter(|(_, by_itself)| !by_itself)
                        .map(|(name, _)| name),
                );
            }
        }
        killed
    }

    /// Kills every process and deletes the databases and roles: for tests that share a Postgres.
    pub async fn discard(mut self) -> Result<()> {
        for node in self.nodes.values_mut() {
            node.process = None;
        }
        let admin = Admin::connect(&self.postgres).await?;
        let owners = self.nodes.values().filter(|node| node.is_first());
        for node in owners.filter(|node| node.service.database) {
            admin
                .remove(&format!("{}{}", self.database_prefix, node.service.name))
                .await?;
        }
        Ok(())
    }

    async fn prepare(options: SystemOptions, progress: Progress<'_>) -> Result<System> {
        let SystemOptions {
            home,
            bin_dir,
            endpoints,
            http_addr,
            database_prefix,
            only,
            env,
            mut service_env,
        } = options;
        let begun = Instant::now();
        let admin = Admin::connect(&endpoints.postgres).await?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let http_addr = match http_addr {
            Some(addr) => {
                check_free(addr)?;
                addr
            }
            None => local(home.port("http")?),
        };
        let mut grpc = BTreeMap::new();
        for service in SERVICES.iter().filter(|service| service.grpc) {
            grpc.insert(service.name, local(home.port(&format!("{}-grpc", service.name))?));
        }
        let provider_addr = local(home.port("provider")?);
        let provider_key = format!("test_sk_{}", home.secret("provider-secret-key")?);

        let started = |service: &Service| started(only.as_deref(), service);
        let mut nodes = BTreeMap::new();
        for service in &SERVICES {
            let complete = SERVICES
                .iter()
                .all(|other| !service.waits_for.contains(&other.name) || started(other));
            let mut set: Vec<(String, String)> = Vec::new();
            let mut put = |name: &str, value: String| set.push((name.to_owned(), value));
            put("LOG_FORMAT", "json".to_owned());
            let mut health = (local(0), "/readyz");
            if service.role == Role::Provider {
                put("SIMULATOR_ADDR", provider_addr.to_string());
                put("SIMULATOR_SECRET_KEY", provider_key.clone());
                put("SIMULATOR_JOURNAL", home.provider_journal().display().to_string());
                put(
                    "SIMULATOR_WEBHOOK_URL",
                    format!("http://{http_addr}/v1/webhooks/toss"),
                );
                health = (provider_addr, "/healthz");
            } else {
                health.0 = local(home.port(&format!("{}-admin", service.name))?);
                if !complete {
                    health.1 = "/healthz";
                }
                put("ADMIN_ADDR", health.0.to_string());
            }
            let grpc_addr = grpc.get(service.name).copied();
            if let Some(addr) = grpc_addr {
                put("GRPC_ADDR", addr.to_string());
            }
            let mut database_url = None;
            if service.database {
                let password = home.secret(&format!("database-{}", service.name))?;
                let url = admin
                    .ensure(&format!("{database_prefix}{}", service.name), &password)
                    .await?;
                put("DATABASE_URL", url.to_string());
                database_url = Some(url);
            }
            if service.redis {
                put("REDIS_URL", endpoints.redis.to_string());
            }
            if service.amqp {
                put("AMQP_URL", endpoints.amqp.to_string());
            }
            if service.seeds && complete {
                put("SEED_DEMO", "true".to_owned());
            }
            for keys in service.token_keys {
                let secret = home.secret(&keys.variable().to_lowercase().replace('_', "-"))?;
                put(keys.variable(), format!("k1:{secret}"));
            }
            for called in service.calls {
                if let Some(addr) = grpc.get(called) {
                    put(
                        &format!("{}_URL", called.to_uppercase()),
                        format!("http://{addr}"),
                    );
                }
            }
            match service.role {
                Role::Edge => put("HTTP_ADDR", http_addr.to_string()),
                Role::Payer => {
                    put("PROVIDER_URL", format!("http://{provider_addr}"));
                    put("PROVIDER_SECRET_KEY", provider_key.clone());
                }
                Role::Plain | Role::Provider => {}
            }
            set.extend(env.iter().cloned());
            set.extend(service_env.remove(service.name).unwrap_or_default());
            environment::keep(home.dir(), service.name, &set)?;
            if !started(service) {
                continue;
            }
            let program = bin_dir.join(service.name);
            let node = Node {
                name: service.name,
                service,
                program,
                env: set,
                health,
                grpc_addr,
                database_url,
                process: None,
            };
            nodes.insert(service.name, node);
        }
        progress(&format!(
            "databases and roles are there ({:.1} s)",
            begun.elapsed().as_secs_f64()
        ));
        Ok(System {
            home,
            http_addr,
            database_prefix,
            postgres: endpoints.postgres,
            nodes,
        })
    }

    async fn migrate(&mut self, progress: Progress<'_>) -> Result<()> {
        let begun = Instant::now();
        let mut running = Vec::new();
        for node in self.nodes.values().filter(|node| node.service.database) {
            let what = format!("{} migrate", node.service.name);
            let process = Process::spawn(
                &self.home,
                &what,
                node.command("migrate"),
                self.home.log_of(node.service.name),
                Signal::TERM,
            )?;
            running.push((what, process));
        }
        for (what, mut process) in running {
            match process.ended_within(MIGRATE_BOUND).await {
                Some(status) if status.success() => {}
                Some(status) => {
                    let (log, tail) = (process.log().to_owned(), process.tail());
                    return Err(Error::Exited {
                        what,
                        status,
                        log,
                        tail,
                    });
                }
                None => {
                    let (log, tail) = (process.log().to_owned(), process.tail());
                    return Err(Error::NotReady {
                        what,
                        after: MIGRATE_BOUND,
                        log,
                        tail,
                    });
                }
            }
        }
        progress(&format!("migrated ({:.1} s)", begun.elapsed().as_secs_f64()));
        Ok(())
    }

    fn node(&self, service: &str) -> Result<&Node> {
        self.nodes
            .get(service)
            .ok_or_else(|| Error::UnknownService(service.to_owned()))
    }

    fn node_mut(&mut self, service: &str) -> Result<&mut Node> {
        self.nodes
            .get_mut(service)
            .ok_or_else(|| Error::UnknownService(service.to_owned()))
    }
}

impl Node {
    fn is_first(&self) -> bool {
        self.name == self.service.name
    }

    fn set_env(&mut self, variable: &str, value: &str) {
        self.env.retain(|(name, _)| name != variable);
        self.env.push((variable.to_owned(), value.to_owned()));
    }

    /// Its program with its environment, and nothing else of ours: what a developer's shell happens to hold must not
    /// configure a service.
    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).env_clear();
        for name in ["PATH", "HOME", "LANG", "TZ", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&mut self, home: &Home) -> Result<()> {
        if self
            .process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
        {
            return Ok(());
        }
        let name = self.name;
        self.process = Some(Process::spawn(
            home,
            name,
            self.command("serve"),
            home.log_of(name),
            Signal::TERM,
        )?);
        Ok(())
    }

    /// The error is that it has ended instead.
    async fn is_ready(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else {
            return Ok(false);
        };
        if let Some(status) = process.ended() {
            let (log, tail) = (process.log().to_owned(), process.tail());
            return Err(Error::Exited {
                what: self.name.to_owned(),
                status,
                log,
                tail,
            });
        }
        Ok(answers_ok(self.health.0, self.health.1).await)
    }

    fn not_ready(&self) -> Error {
        let (log, tail) = match &self.process {
            Some(process) => (process.log().to_owned(), process.tail()),
            None => (PathBuf::new(), String::new()),
        };
        Error::NotReady {
            what: self.name.to_owned(),
            after: READY_BOUND,
            log,
            tail,
        }
    }
}

/// Whether a service is among those that are asked for; all are, when none is named.
fn started(only: Option<&[&str]>, service: &Service) -> bool {
    let named = |role| {
        SERVICES
            .iter()
            .any(|other| other.role == role && only.unwrap_or(&[]).contains(&other.name))
    };
    only.is_none_or(|only| only.contains(&service.name))
        || (service.role == Role::Provider && named(Role::Payer))
}

/// The public address is chosen by a person: say early, and clearly, that it is taken.
pub fn check_free(addr: SocketAddr) -> Result<()> {
    match TcpListener::bind(addr) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(Error::AddressTaken {
            address: addr.to_string(),
            variable: "FRONTROW_HTTP_ADDR",
        }),
        Err(error) => Err(error).doing(|| format!("listen on {addr}")),
    }
}

//! A whole system: servers, services, and the way to it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use local_servers::{Durability, Endpoints, Home, Kind, PrivateServer, System, SystemOptions};
use reqwest::{Method, RequestBuilder};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::people::{Buyer, Organiser};
use test_support::{amqp_url, postgres_url, unique_name};

static SHARED: OnceCell<World> = OnceCell::const_new();
/// Longer than the longest answer the API allows itself.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Of each service, when a test failed.
const COMPLAINTS_SHOWN: usize = 30;

/// What makes a world differ from the shared one.
#[derive(Debug, Default)]
pub struct WorldOptions {
    /// Environment of every service.
    pub env: Vec<(&'static str, &'static str)>,
    /// A RabbitMQ of its own, to be stopped.
    pub own_rabbitmq: bool,
    /// A Postgres of its own, to be stopped.
    pub own_postgres: bool,
    /// The seeded concerts, which most tests do without.
    pub seed_concerts: bool,
}

/// A running system of real processes.
#[derive(Debug)]
pub struct World {
    /// The services.
    pub services: Services,
    /// A Redis of this world's own.
    pub redis: Server,
    /// RabbitMQ, where this world has one of its own.
    pub rabbitmq: Option<Server>,
    /// Postgres, where this world has one of its own.
    pub postgres: Option<Server>,
    /// First part of the names of its queues.
    pub amqp_prefix: String,
    home: PathBuf,
    client: reqwest::Client,
    base_url: String,
}

/// Says what the services complained of to whoever reads how a test failed.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Ok(system) = self.services.0.try_lock() else {
            return;
        };
        for process in system.processes() {
            let logs = system.logs(process).unwrap_or_default();
            let complaints: Vec<_> = logs.lines().filter(|line| is_complaint(line)).collect();
            let last = &complaints[complaints.len().saturating_sub(COMPLAINTS_SHOWN)..];
            if !last.is_empty() {
                eprintln!("--- {process} complained:\n{}", last.join("\n"));
            }
        }
    }
}

fn is_complaint(line: &str) -> bool {
    ["WARN", "ERROR"]
        .iter()
        .any(|level| line.contains(&format!("\"level\":\"{level}\"")))
}

/// The processes of a world, to be stopped, killed and frozen while people use it.
#[derive(Debug)]
pub struct Services(Mutex<System>);

impl Services {
    /// SIGKILL.
    pub async fn kill(&self, service: &str) {
        self.0.lock().await.kill_service(service).await.unwrap();
    }

    /// Starts a killed service and waits until it is ready.
    pub async fn start(&self, service: &str) {
        self.0.lock().await.start_service(service).await.unwrap();
    }

    /// Kills a service and starts it with another value in its environment.
    pub async fn restart_with(&self, service: &str, variable: &str, value: &str) {
        let mut system = self.0.lock().await;
        system.kill_service(service).await.unwrap();
        system.set_env(service, variable, value).unwrap();
        system.start_service(service).await.unwrap();
    }

    /// Whether a service is gone, without having been asked to.
    pub async fn has_ended(&self, service: &str) -> bool {
        self.0.lock().await.has_ended(service).unwrap()
    }

    /// It is there and does not answer.
    pub async fn pause(&self, service: &str) {
        self.0.lock().await.pause_service(service).unwrap();
    }

    /// It answers again.
    pub async fn resume(&self, service: &str) {
        self.0.lock().await.resume_service(service).unwrap();
    }

    /// All that a service has logged so far.
    pub async fn logs(&self, service: &str) -> String {
        self.0.lock().await.logs(service).unwrap()
    }

    /// Starts a further replica of a service, which goes by `name` from then on; `env` goes over what the service has.
    pub async fn start_replica(&self, service: &str, name: &'static str, env: &[(&str, String)]) {
        let mut system = self.0.lock().await;
        system.start_replica(service, name, env).await.unwrap();
    }

    /// A value of the environment that a service was started with.
    pub async fn env(&self, service: &str, variable: &str) -> String {
        let system = self.0.lock().await;
        system.env(service, variable).unwrap().to_owned()
    }

    /// Where a service answers gRPC.
    pub async fn grpc_url(&self, service: &str) -> String {
        self.0.lock().await.grpc_url(service).unwrap()
    }

    /// The private HTTP port of a service.
    pub async fn admin_url(&self, service: &str) -> String {
        self.0.lock().await.admin_url(service).unwrap()
    }
}

/// A store of a world's own, to be stopped while people use it.
#[derive(Debug)]
pub struct Server(Mutex<PrivateServer>);

impl Server {
    async fn launch(kind: Kind) -> Self {
        let home = Home::temporary().await.unwrap();
        Self(Mutex::new(
            PrivateServer::launch(kind, &home, Durability::Off).await.unwrap(),
        ))
    }

    /// How to reach it with all rights.
    pub async fn url(&self) -> Url {
        self.0.lock().await.url()
    }

    /// Ends it in an orderly way.
    pub async fn stop(&self) {
        self.0.lock().await.stop().await;
    }

    /// Starts it again with the data it had.
    pub async fn start(&self) {
        self.0.lock().await.start().await.unwrap();
    }

    /// Starts it again without the data it had.
    pub async fn start_empty(&self) {
        self.0.lock().await.start_empty().await.unwrap();
    }

    /// SIGKILL.
    pub async fn kill(&self) {
        self.0.lock().await.kill().await;
    }

    /// It is there and does not answer.
    pub async fn pause(&self) {
        self.0.lock().await.pause();
    }

    /// It answers again.
    pub async fn resume(&self) {
        self.0.lock().await.resume();
    }
}

impl World {
    /// The world that tests share who change nothing in it.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(WorldOptions::default())).await
    }

    /// A world of one's own with other settings.
    pub async fn with_env(env: &[(&'static str, &'static str)]) -> Self {
        Self::start(WorldOptions {
            env: env.to_vec(),
            ..WorldOptions::default()
        })
        .await
    }

    /// A world of one's own.
    pub async fn start(options: WorldOptions) -> Self {
        let redis = Server::launch(Kind::Redis).await;
        let own = async |wanted, kind| match wanted {
            true => Some(Server::launch(kind).await),
            false => None,
        };
        let rabbitmq = own(options.own_rabbitmq, Kind::RabbitMq).await;
        let postgres = own(options.own_postgres, Kind::Postgres).await;
        let amqp = match &rabbitmq {
            Some(server) => server.url().await,
            None => amqp_url().await.parse().unwrap(),
        };
        let endpoints = Endpoints {
            postgres: match &postgres {
                Some(server) => server.url().await,
                None => postgres_url().await,
            },
            redis: redis.url().await,
            amqp,
        };

        let name = unique_name("e2e");
        let home = Home::temporary().await.unwrap();
        let dir = home.dir().to_owned();
        let mut system = SystemOptions::new(home, bin_dir(), endpoints);
        system.database_prefix = format!("{name}_");
        // Everybody comes from one address here; a test of the limits sets its own.
        let generous = [
            ("SIGN_UPS_PER_ADDRESS", "1000000"),
            ("LOGIN_FAILURES_PER_ADDRESS", "1000000"),
            ("JOINS_PER_USER", "0"),
            ("JOINS_PER_ADDRESS", "0"),
            // And hundreds sign up at once, beside everything else that two cores do: they wait instead of being shed.
            ("HASH_WAIT_MS", "30000"),
        ];
        system.env = generous
            .iter()
            .chain(&options.env)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        system.env.push(("AMQP_NAME_PREFIX".to_owned(), name.clone()));
        // Several systems share two cores and one Postgres.
        system
            .env
            .push(("DATABASE_MAX_CONNECTIONS".to_owned(), "8".to_owned()));
        if !options.seed_concerts {
            system
                .service_env
                .insert("concert", vec![("SEED_DEMO".to_owned(), "false".to_owned())]);
        }
        let system = System::start(system, &|_| {})
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let base_url = system.base_url();
        // No connection is kept: each test has its own runtime, and a connection dies with the one it was made in.
        let client = reqwest::Client::builder()
            .timeout(CLIENT_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            services: Services(Mutex::new(system)),
            redis,
            rabbitmq,
            postgres,
            amqp_prefix: name,
            home: dir,
            client,
            base_url,
        }
    }

    /// A request to the public API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base_url))
    }

    /// A request to the public API at one replica of the gateway.
    pub fn request_at(&self, base_url: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{base_url}{path}"))
    }

    /// A GET of the public API.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A POST to the public API.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    /// The seeded organiser, logged in.
    pub async fn organiser(&self) -> Organiser<'_> {
        Organiser::log_in(self).await
    }

    /// A new organiser, who was given the role by the operators' command; as a buyer, with the tokens of both.
    pub async fn organiser_of_their_own(&self) -> Buyer<'_> {
        let buyer = Buyer::sign_up(self).await;
        let url = self.services.0.lock().await.database_url("auth").unwrap();
        let granted = Command::new(bin_dir().join("auth"))
            .args(["grant-role", "--role", "ORGANISER", "--email", &buyer.email])
            .env_clear()
            .env("DATABASE_URL", url.as_str())
            .output()
            .unwrap();
        assert!(granted.status.success(), "{granted:?}");
        Buyer::log_in(self, &buyer.email, Buyer::PASSWORD).await
    }

    /// A new buyer, signed up and logged in; without points.
    pub async fn buyer(&self) -> Buyer<'_> {
        Buyer::sign_up(self).await
    }

    /// The seeded buyer, logged in; with points.
    pub async fn buyer_with_points(&self) -> Buyer<'_> {
        Buyer::log_in_demo(self).await
    }

    /// Moves the time by which a service decides its deadlines; back, where the seconds are negative.
    pub async fn step_clock(&self, service: &str, seconds: impl Into<f64>) {
        let seconds: f64 = seconds.into();
        sqlx::query("UPDATE clock_step SET step = step + make_interval(secs => $1)")
            .bind(seconds)
            .execute(&mut self.database(service).await)
            .await
            .unwrap();
    }

    /// What payment's own command finds when it holds the provider's books, the ledger and the reservations against each
    /// other.
    pub async fn reconcile(&self) -> serde_json::Value {
        let env = local_servers::environment_of(&self.home, "payment").unwrap();
        let ended = tokio::process::Command::new(bin_dir().join("payment"))
            .args(["reconcile", "--json"])
            .env_clear()
            .envs(env)
            .output()
            .await
            .unwrap();
        assert!(matches!(ended.status.code(), Some(0 | 1)), "{ended:?}");
        serde_json::from_slice(&ended.stdout).unwrap()
    }

    /// A service's database, for what no answer shows.
    pub async fn database(&self, service: &str) -> PgConnection {
        let url = self.services.0.lock().await.database_url(service).unwrap();
        PgConnection::connect(url.as_str()).await.unwrap()
    }
}

/// Where cargo put the services: beside this test.
pub(crate) fn bin_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let dir = test.ancestors().nth(2).unwrap().to_path_buf();
    assert!(
        dir.join("gateway").exists(),
        "the services are not built: run `cargo xtask test`, or `cargo build --workspace` before `cargo test`"
    );
    dir
}

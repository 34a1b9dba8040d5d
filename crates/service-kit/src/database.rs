//! Connections to a service's own Postgres database, its migrations, and its clock.
//!
//! Deadlines are compared with the SQL function `frontrow_now()`: Postgres' time plus a step that is zero except
//! under tests (`sql/clock.sql`). One clock for all replicas, and tests need no sleep.

mod batch;

use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Postgres, Transaction};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Environment;
use crate::health::Gate;
use crate::rounds;

pub use batch::{BatchError, Batcher, by_position};

const CLOCK: &str = include_str!("../sql/clock.sql");
const PROBE_EVERY: Duration = Duration::from_millis(250);
const MIGRATE_WAIT: Duration = Duration::from_secs(30);
/// The pool tests a connection when it comes back; one that is wanted again so soon is not tested a second time. A round trip
/// before every statement would be a quarter of what Postgres does under load.
const TRUSTED_FOR: Duration = Duration::from_millis(250);
/// A process that is frozen in mid-transaction holds its locks for so long. No transaction of ours waits for anything but its
/// own process; and a claim of a place in line is good for longer, so the replica that settles it finds it free.
const IDLE_IN_TRANSACTION_MS: &str = "4000";

/// How a service reaches its database.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    url: SecretString,
    max_connections: u32,
    acquire_timeout: Duration,
    statement_timeout: Duration,
}

impl DatabaseConfig {
    /// Reads `DATABASE_URL` and the bounds of the pool.
    pub fn read(env: &mut Environment) -> Self {
        let url: Url = env.url(
            "DATABASE_URL",
            &["postgres", "postgresql"],
            "The service's own database.",
        );
        Self {
            url: SecretString::from(url.to_string()),
            max_connections: env.number(
                "DATABASE_MAX_CONNECTIONS",
                16,
                1..=500,
                "Connections in the pool.",
            ),
            acquire_timeout: env.millis(
                "DATABASE_ACQUIRE_TIMEOUT_MS",
                2_000,
                50..=30_000,
                "How long a request waits for a connection before it is refused as unavailable.",
            ),
            statement_timeout: env.millis(
                "DATABASE_STATEMENT_TIMEOUT_MS",
                5_000,
                100..=120_000,
                "How long one SQL statement may run.",
            ),
        }
    }

    fn options(&self) -> anyhow::Result<PgConnectOptions> {
        // The URL carries a password: its parse error is not repeated.
        let options: PgConnectOptions = self
            .url
            .expose_secret()
            .parse()
            .map_err(|_| anyhow::anyhow!("DATABASE_URL cannot be read"))?;
        Ok(options)
    }

    /// A pool that connects when it is first used, so that a service starts while its database is away.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(self.pool_with(self.options()?))
    }

    /// As [`DatabaseConfig::pool`], for a service whose statements look their rows up in an index whatever they are asked for.
    /// A plan that reads a whole table is best while the table is empty, and may be kept when it is not any more; so none
    /// does where there is another.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn pool_without_scans(&self) -> anyhow::Result<PgPool> {
        Ok(self.pool_with(self.options()?.options([
            ("enable_seqscan", "off"),
            // It compiles what is thought to be slow, as a scan is that has no other way.
            ("jit", "off"),
        ])))
    }

    fn pool_with(&self, options: PgConnectOptions) -> PgPool {
        let timeout_ms = self.statement_timeout.as_millis().to_string();
        let options = options.options([
            ("statement_timeout", timeout_ms.as_str()),
            ("lock_timeout", timeout_ms.as_str()),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS),
        ]);
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, met| {
                Box::pin(async move { Ok(met.idle_for < TRUSTED_FOR || connection.ping().await.is_ok()) })
            })
            .connect_lazy_with(options)
    }

    /// Brings the schema up to date: the clock, then the service's own migrations. Waits a while for a database that
    /// is still starting.
    ///
    /// # Errors
    /// The database stays away, or a migration fails.
    pub async fn migrate(&self, migrator: &Migrator) -> anyhow::Result<()> {
        let options = self.options()?;
        let connect = async {
            loop {
                match PgConnection::connect_with(&options).await {
                    Ok(connection) => return connection,
                    Err(error) => {
                        tracing::warn!(%error, "the database does not answer yet");
                        tokio::time::sleep(PROBE_EVERY).await;
                    }
                }
            }
        };
        let mut connection = tokio::time::timeout(MIGRATE_WAIT, connect)
            .await
            .context("the database stayed away")?;
        migrate(&mut connection, migrator).await
    }
}

/// Begins a transaction, whether whoever wants it waits or gives up. A `BEGIN` that was sent and whose answer nobody heard
/// would leave the connection inside a transaction that the pool knows nothing of: what its next users are told is
/// committed would not be. Everything after it may be given up at any moment, and is rolled back.
///
/// # Errors
/// The database is away, or has no connection to spare.
#[allow(clippy::disallowed_methods, reason = "the one place that runs it to its end")]
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// Brings the schema behind `connection` up to date.
///
/// # Errors
/// A migration fails.
pub async fn migrate(connection: &mut PgConnection, migrator: &Migrator) -> anyhow::Result<()> {
    connection.execute(CLOCK).await.context("the clock")?;
    migrator.run(connection).await.context("the migrations")?;
    Ok(())
}

/// Opens `gate` once the database answers, then waits for `stop`.
///
/// # Errors
/// Never; the type is that of a task.
pub async fn open_when_reachable(pool: PgPool, gate: Gate, stop: CancellationToken) -> anyhow::Result<()> {
    rounds::open_when_done("reach the database", gate, stop, || {
        sqlx::query("SELECT frontrow_now()").execute(&pool)
    })
    .await
}

/// What a store's failure means to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The database is away or has no connection to spare: come again.
    Unavailable,
    /// Two transactions met; running the whole transaction again is right.
    Conflict,
    /// A fault of ours.
    Bug,
}

/// Classifies a failure of a store.
#[must_use]
pub fn classify(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => {
            Failure::Unavailable
        }
        sqlx::Error::Database(database) => match database.code().as_deref() {
            // serialization_failure, deadlock_detected
            Some("40001" | "40P01") => Failure::Conflict,
            // connection_exception, insufficient_resources, operator_intervention (shutdown, statement timeout),
            // lock_not_available
            Some(code) if ["08", "53", "57"].contains(&&code[..2]) || code == "55P03" => Failure::Unavailable,
            _ => Failure::Bug,
        },
        // A connection that the server closed in the middle of an exchange.
        sqlx::Error::Protocol(_) => Failure::Unavailable,
        _ => Failure::Bug,
    }
}

//! A database for one test, with the schema of one service and a clock that can be stepped.

use std::time::Duration;

use service_kit::database::migrate;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use url::Url;

use crate::{servers, unique_name};

const POOL_CONNECTIONS: u32 = 12;

/// A migrated database that nobody else uses. It goes with the server.
#[derive(Debug)]
pub struct TestDatabase {
    url: Url,
    pool: PgPool,
}

impl TestDatabase {
    /// A new database with the schema of `migrator`.
    pub async fn create(migrator: &Migrator) -> Self {
        let database = Self::create_empty().await;
        let mut connection = PgConnection::connect(database.url.as_str()).await.unwrap();
        migrate(&mut connection, migrator).await.unwrap();
        connection.close().await.unwrap();
        database
    }

    /// A new database without any schema.
    pub async fn create_empty() -> Self {
        let mut url = servers::postgres_url().await;
        let name = unique_name("test");
        let mut server = PgConnection::connect(url.as_str()).await.unwrap();
        // The name is made above, of letters, digits and underscores.
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        server.execute(create).await.unwrap();
        server.close().await.unwrap();

        url.set_path(&name);
        let options: PgConnectOptions = url.as_str().parse().unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(POOL_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(options);
        Self { url, pool }
    }

    /// Where it is, for a service's `DATABASE_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Connections of the test's own.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Moves the time by which deadlines are decided forward, for everybody who uses this database.
    pub async fn step_clock(&self, by: Duration) {
        sqlx::query("UPDATE clock_step SET step = step + make_interval(secs => $1)")
            .bind(by.as_secs_f64())
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

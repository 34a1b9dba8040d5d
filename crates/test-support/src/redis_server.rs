//! A Redis for one test, to be flushed, stopped and frozen at will.

use local_servers::{Kind, PrivateServer};

use crate::servers;

/// A private Redis server; it ends when dropped.
#[derive(Debug)]
pub struct TestRedis {
    server: PrivateServer,
}

impl TestRedis {
    /// A new empty server.
    pub async fn start() -> Self {
        Self {
            server: servers::launch(Kind::Redis).await,
        }
    }

    /// Where it is, for a service's `REDIS_URL`; the same over stops and starts.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url().to_string()
    }

    /// A connection of the test's own.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url())
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .unwrap()
    }

    /// Loses everything it holds.
    pub async fn flush(&self) {
        let mut connection = self.connection().await;
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    }

    /// Stops answering; connections break.
    pub async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Is back after [`TestRedis::stop`], empty.
    pub async fn start_again(&mut self) {
        self.server.start_empty().await.unwrap();
    }

    /// Stops answering; connections stay open.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Answers again after [`TestRedis::pause`].
    pub fn resume(&self) {
        self.server.resume();
    }
}

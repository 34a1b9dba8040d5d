//! Starting and stopping: tests start a gateway in their own process, on port 0.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::serve::ListenerExt as _;
use queue_token::QueueTokens;
use service_kit::admin;
use service_kit::health::{Gate, Readiness};
use service_kit::tasks::Tasks;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::keys::AccessTokens;
use crate::layouts::Layouts;
use crate::rooms::Rooms;
use crate::state::{App, Gateway};
use crate::{routes, upstreams};

/// A gateway that listens, and answers from [`run_until_stopped`](Self::run_until_stopped) on.
pub struct Application {
    http: TcpListener,
    admin: TcpListener,
    http_addr: SocketAddr,
    admin_addr: SocketAddr,
    router: Router,
    app: App,
    signing_keys: Gate,
    readiness: Readiness,
    drain: Duration,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application")
            .field("http_addr", &self.http_addr)
            .field("admin_addr", &self.admin_addr)
            .finish_non_exhaustive()
    }
}

impl Application {
    /// Binds the addresses. Services are connected to when they are first called.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a URL that gRPC cannot use.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let http = TcpListener::bind(config.http.addr).await.context("HTTP_ADDR")?;
        let admin = TcpListener::bind(config.admin_addr).await.context("ADMIN_ADDR")?;
        let (clients, probes) = upstreams::connect(&config.upstreams)?;
        let readiness = Readiness::new();
        let signing_keys = readiness.gate("signing-keys");
        let app = Arc::new(Gateway {
            access_tokens: AccessTokens::new(clients.auth.clone()),
            queue_tokens: QueueTokens::new(config.queue_token_keys),
            rooms: Rooms::new(),
            layouts: Layouts::new(clients.concert.clone(), config.layout_cache_mib),
            clients,
            probes,
            readiness: readiness.clone(),
        });
        Ok(Self {
            http_addr: http.local_addr()?,
            admin_addr: admin.local_addr()?,
            http,
            admin,
            router: routes::router(Arc::clone(&app), config.http),
            app,
            signing_keys,
            readiness,
            drain: config.drain,
        })
    }

    /// Where the public API is.
    #[must_use]
    pub const fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where the private port is.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Serves until `shutdown`, then lets running requests end within the drain's bound.
    ///
    /// # Errors
    /// A part that died, or requests that outlasted the drain.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        tracing::info!(http = %self.http_addr, admin = %self.admin_addr, "serving");
        let mut tasks = Tasks::new(self.readiness.clone());

        let stop = tasks.stop();
        let listener = self.http.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
        });
        let server = axum::serve(listener, self.router).with_graceful_shutdown(stop.cancelled_owned());
        tasks.spawn("http", async move { server.await.context("the HTTP server") });

        tasks.spawn("admin", admin::serve(self.admin, self.readiness, tasks.stop()));

        let (app, stop) = (Arc::clone(&self.app), tasks.stop());
        let gate = self.signing_keys;
        tasks.spawn("signing-keys", async move {
            app.access_tokens.keep_fresh(gate, stop).await;
            Ok(())
        });

        let (app, stop) = (self.app, tasks.stop());
        tasks.spawn("rooms", async move {
            app.rooms.follow(app.clients.queue.clone(), stop).await;
            Ok(())
        });

        tasks.run_until(shutdown, self.drain).await?;
        Ok(())
    }
}

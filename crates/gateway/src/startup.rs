//! Puts the gateway together and runs it: tests start one in their own process, on port 0.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::serve::ListenerExt as _;
use queue_token::QueueTokens;
use service_kit::host::{Host, listen};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::keys::AccessTokens;
use crate::layouts::Layouts;
use crate::limits::JoinLimits;
use crate::rooms::Rooms;
use crate::state::Gateway;
use crate::streams::Streams;
use crate::{routes, upstreams};

/// A gateway that serves, until [`run_until_stopped`](Self::run_until_stopped) ends.
#[derive(Debug)]
pub struct Application {
    host: Host,
    http_addr: SocketAddr,
}

impl Application {
    /// Opens the ports and starts all tasks. Services are connected to when they are first called.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a URL that gRPC cannot use.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut host = Host::open(config.admin_addr, config.drain).await?;
        let (clients, probes) = upstreams::connect(&config.upstreams)?;
        let app = Arc::new(Gateway {
            access_tokens: AccessTokens::new(clients.auth.clone()),
            queue_tokens: QueueTokens::new(config.queue_token_keys),
            rooms: Rooms::new(),
            streams: Streams::new(
                config.http.event_streams,
                config.http.event_stream_life,
                host.stop(),
            ),
            layouts: Layouts::new(clients.concert.clone(), config.layout_cache_mib),
            join_limits: JoinLimits::new(config.join_limits),
            clients,
            probes,
            readiness: host.readiness(),
            trusted_proxies: config.http.trusted_proxies.clone(),
        });

        let (keys, gate, stop) = (Arc::clone(&app), host.gate("signing-keys"), host.stop());
        host.spawn("signing-keys", async move {
            keys.access_tokens.keep_fresh(gate, stop).await;
            Ok(())
        });
        let (rooms, stop) = (Arc::clone(&app), host.stop());
        host.spawn("rooms", async move {
            rooms.rooms.follow(rooms.clients.queue.clone(), stop).await;
            Ok(())
        });

        let (limits, stop) = (Arc::clone(&app), host.stop());
        host.spawn("join-limits", async move {
            limits.join_limits.keep_small(stop).await;
            Ok(())
        });

        let (listener, http_addr) = listen(config.http.addr).await?;
        let serving = serve(
            listener,
            routes::router(app, config.http),
            host.stop().cancelled_owned(),
        );
        host.spawn("http", async move { serving.await.context("the HTTP server") });
        Ok(Self { host, http_addr })
    }

    /// Where the public API is.
    #[must_use]
    pub const fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where the private port is.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.host.admin_addr()
    }

    /// Serves until `shutdown`, then lets running requests end within the drain's bound.
    ///
    /// # Errors
    /// A part that died, or requests that outlasted the drain.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        Ok(self.host.run_until_stopped(shutdown).await?)
    }
}

/// Serves HTTP until `stop`, then lets running requests end.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stop)
    .await
}

//! Starting and stopping: tests start a simulator in their own process, on port 0.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use crate::journal::JournalError;
use crate::{
    api::{self, Simulator},
    config::Config,
    connection::{CuttableListener, Scissors},
    ledger::Ledger,
    webhooks::Webhooks,
};

/// How long a stop waits for requests in flight.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The journal is unusable.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The configured address.
        addr: SocketAddr,
        /// What failed.
        source: io::Error,
    },
    /// The client that sends webhooks cannot be set up.
    #[error("webhooks cannot be sent")]
    Webhooks(#[from] reqwest::Error),
}

/// A simulator that listens, and answers from [`run_until_stopped`](Self::run_until_stopped) on.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    addr: SocketAddr,
    simulator: Arc<Simulator>,
}

impl Application {
    /// Replays the journal, if any, and binds the address.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        let ledger = Ledger::open(config.journal.as_deref(), config.pace())?;
        let failed = |source| BuildError::Listen {
            addr: config.addr,
            source,
        };
        let listener = TcpListener::bind(config.addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let stopping = CancellationToken::new();
        let webhooks = Webhooks::new(config.webhook_url, config.webhook_retry, stopping.clone())?;
        let simulator = Arc::new(Simulator {
            ledger,
            webhooks,
            secret_key: config.secret_key,
            late_by: config.slow,
            lost_after: config.lost,
            stopping,
        });
        Ok(Self {
            listener,
            addr,
            simulator,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` completes, then lets requests in flight finish for at most five seconds. Answers that are
    /// late or lost by design are given up at once.
    pub async fn run_until_stopped(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let stopping = self.simulator.stopping.clone();
        let stop = {
            let stopping = stopping.clone();
            async move {
                shutdown.await;
                stopping.cancel();
            }
        };
        let overdue = async {
            stopping.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        let service = api::router(self.simulator).into_make_service_with_connect_info::<Scissors>();
        let serve = axum::serve(CuttableListener(self.listener), service).with_graceful_shutdown(stop);
        tokio::select! {
            result = serve.into_future() => result,
            () = overdue => {
                tracing::warn!("requests still in flight after {STOP_LIMIT:?}: stopping without them");
                Ok(())
            }
        }
    }
}

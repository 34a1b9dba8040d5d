//! Puts the service together and runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use contracts::{DESCRIPTORS, booking_server, expiry, queue_client};
use service_kit::health::Readiness;
use service_kit::tasks::Tasks;
use service_kit::{admin, database, grpc};
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::app::Booking;
use crate::config::Config;
use crate::domain::PaymentTokens;
use crate::grpc::{BookingGrpc, Queue};
use crate::messaging::expiry_relay::ExpiryRelay;
use crate::messaging::rounds;
use crate::store::{SeatLocks, Store};

/// A service that listens and is about to run.
#[derive(Debug)]
pub struct Application {
    grpc_addr: SocketAddr,
    admin_addr: SocketAddr,
    booking: Arc<Booking>,
    drain: std::time::Duration,
    tasks: Tasks,
}

impl Application {
    /// Binds the listeners and starts all tasks. Stores and peers may be away: each heals by itself.
    ///
    /// # Errors
    /// An address is taken, or a URL can't be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let grpc_listener = TcpListener::bind(config.grpc.addr).await?;
        let admin_listener = TcpListener::bind(config.admin_addr).await?;
        let (grpc_addr, admin_addr) = (grpc_listener.local_addr()?, admin_listener.local_addr()?);

        let pool = config.database.pool()?;
        let store = Store::new(pool.clone());
        let booking = Arc::new(Booking::new(
            store.clone(),
            SeatLocks::new(config.redis.connection()?, config.seat_lock_timeout),
            Queue::new(queue_client(config.queue.channel()?)),
            PaymentTokens::new(config.payment_token_keys),
            config.times,
        ));
        let relay = ExpiryRelay::new(
            store,
            config.amqp.delay_queue(expiry::PURPOSE, config.times.hold),
            Arc::clone(&booking.messages_wait),
        );

        let readiness = Readiness::new();
        let database_gate = readiness.gate("database");
        let mut tasks = Tasks::new(readiness.clone());
        let stop = tasks.stop();
        let routes = Routes::new(booking_server(BookingGrpc::new(Arc::clone(&booking))));
        tasks.spawn(
            "grpc",
            grpc::server::serve(
                grpc_listener,
                routes,
                DESCRIPTORS,
                config.grpc,
                readiness.clone(),
                stop.clone(),
            ),
        );
        tasks.spawn("admin", admin::serve(admin_listener, readiness, stop.clone()));
        tasks.spawn(
            "database",
            database::open_when_reachable(pool, database_gate, stop.clone()),
        );
        tasks.spawn("expiry relay", relay.run(config.amqp, stop.clone()));
        tasks.spawn(
            "visit relay",
            rounds::relay_notices(Arc::clone(&booking), stop.clone()),
        );
        tasks.spawn(
            "sweep",
            rounds::sweep(Arc::clone(&booking), config.sweep_every, stop),
        );
        Ok(Self {
            grpc_addr,
            admin_addr,
            booking,
            drain: config.drain,
            tasks,
        })
    }

    /// Where gRPC is served.
    #[must_use]
    pub const fn grpc_addr(&self) -> SocketAddr {
        self.grpc_addr
    }

    /// Where health and metrics are served.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// The use cases, for a test that steps them.
    #[must_use]
    pub fn booking(&self) -> Arc<Booking> {
        Arc::clone(&self.booking)
    }

    /// Runs until `shutdown`, then drains.
    ///
    /// # Errors
    /// A task died, or had to be cut off.
    pub async fn run_until_stopped(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        Ok(self.tasks.run_until(shutdown, self.drain).await?)
    }
}

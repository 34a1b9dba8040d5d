//! Puts the service together and runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use contracts::{DESCRIPTORS, booking_server, expiry, queue_client};
use service_kit::host::Host;
use tonic::service::Routes;

use crate::app::Booking;
use crate::config::Config;
use crate::domain::PaymentTokens;
use crate::grpc::{BookingGrpc, Queue};
use crate::messaging::expiry_relay::ExpiryRelay;
use crate::messaging::rounds;
use crate::store::{SeatLocks, Store};

/// A service that serves, until [`run_until_stopped`](Self::run_until_stopped) ends.
#[derive(Debug)]
pub struct Application {
    host: Host,
    grpc_addr: SocketAddr,
    booking: Arc<Booking>,
}

impl Application {
    /// Opens the ports and starts all tasks. Stores and peers may be away: each heals by itself.
    ///
    /// # Errors
    /// An address is taken, or a URL can't be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let mut host = Host::open(config.admin_addr, config.drain).await?;
        let pool = config.database.pool_without_scans()?;
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

        host.wait_for_database(pool);
        host.spawn("expiry relay", relay.run(config.amqp, host.stop()));
        host.spawn(
            "visit relay",
            rounds::relay_notices(Arc::clone(&booking), host.stop()),
        );
        host.spawn(
            "sweep",
            rounds::sweep(Arc::clone(&booking), config.sweep_every, host.stop()),
        );
        host.spawn(
            "holds of canceled dates",
            rounds::give_up_holds(Arc::clone(&booking), config.sweep_every, host.stop()),
        );
        let routes = Routes::new(booking_server(BookingGrpc::new(Arc::clone(&booking))));
        let grpc_addr = host.serve_grpc(config.grpc, routes, DESCRIPTORS).await?;
        Ok(Self {
            host,
            grpc_addr,
            booking,
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
        self.host.admin_addr()
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
        Ok(self.host.run_until_stopped(shutdown).await?)
    }
}

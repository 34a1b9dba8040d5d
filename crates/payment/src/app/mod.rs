//! What this service is asked to do, one use case a file. No tonic and no SQL in here.

mod charge;
mod grant;
mod notice;
mod pay;
mod queries;
pub mod reconcile;
mod refund;
mod resume;
pub mod saga;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::booking::Booking;
use crate::provider::PaymentProvider;
use crate::store::Store;

pub use charge::{ChargeError, ChargeRequest, Charged};
pub use grant::{GrantError, grant};
pub use pay::{CardOffer, Paid, PayError, PayRequest};
pub use queries::EntryPage;
pub use refund::{CancelError, CancelRequest, Canceled, RoundError};

/// How long things may take and how often they are tried.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a caller waits for its payment's end.
    pub pay_wait: Duration,
    /// How long a driver that calls only booking is believed to be alive.
    pub lease: Duration,
    /// How long a driver that also calls the provider is believed to be alive.
    pub provider_lease: Duration,
    /// The wait before the second try of a step.
    pub retry_min: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// After this long the provider takes no capture of a buyer's session any more.
    pub provider_session: Duration,
    /// Payments that the resumer drives at once; besides them as many charges.
    pub resume_concurrency: usize,
    /// Refunds that the resumer drives at once, besides those.
    pub refund_concurrency: usize,
    /// Refunds of canceled dates that one round begins.
    pub refund_batch: u32,
    /// How long a caller still waits once the process was told to stop.
    pub stop_wait: Duration,
}

/// The use cases, on their stores and peers. Clones share them.
#[derive(Clone)]
pub struct App {
    store: Store,
    booking: Booking,
    provider: Arc<dyn PaymentProvider>,
    settings: Arc<Settings>,
    /// Every saga that this process drives; callers come and go without them.
    sagas: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Use cases that end their waits when `stop` is cancelled.
    #[must_use]
    pub fn new(
        store: Store,
        booking: Booking,
        provider: Arc<dyn PaymentProvider>,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            booking,
            provider,
            settings: Arc::new(settings),
            sagas: TaskTracker::new(),
            stop,
        }
    }

    /// Waits until every saga of this process has ended or was handed over.
    pub async fn drain(&self) {
        self.sagas.close();
        self.sagas.wait().await;
    }
}

//! What the service does, one file per use case.

mod cancel_schedule;
mod close_schedule;
mod create_concert;
mod create_schedule;
mod create_venue;
mod finish;
mod get_concert;
mod get_layout;
mod get_seats;
mod get_stats;
mod list_audit_log;
mod list_schedules;
mod search_concerts;
mod seed;
mod update_waiting_room;

pub use create_concert::{ConcertForm, CreateConcert};
pub use create_schedule::CreateSchedule;
pub use create_venue::{CreateVenue, VenueMade};
pub use finish::Resumed;
pub use get_seats::Seats;
pub use get_stats::{ScheduleStats, Stats};
pub use update_waiting_room::UpdateWaitingRoom;

use std::sync::Arc;
use std::time::Duration;

use service_kit::problem::{FieldError, Problem};
use tokio::sync::Semaphore;

use crate::domain::text::fault;
use crate::peers::{Booking, Queue};
use crate::store::cache::Cache;
use crate::store::layouts::Layouts;
use crate::store::{NotCreated, Store, StoreError};

/// Plans read at once: each may take hundreds of megabytes and a core for a moment.
const IMPORTS_AT_ONCE: usize = 2;
/// How long whoever finishes a concert or a date has it alone; longer than any of the calls that it takes.
const LEASE: Duration = Duration::from_secs(30);

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing, or it is somebody else's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Fields break rules.
    #[error("fields are wrong")]
    Fields(Vec<FieldError>),
    /// The same request is still running.
    #[error("a request with this idempotency key is running")]
    StillRunning,
    /// Another service refused, or is away.
    #[error(transparent)]
    Peer(#[from] Problem),
    /// The store refused, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of this process was cut short.
    #[error("a task was cut short")]
    CutShort(#[from] tokio::task::JoinError),
}

impl AppError {
    fn field(path: &str, rule: &str) -> Self {
        Self::Fields(vec![fault(path, rule)])
    }
}

impl From<Vec<FieldError>> for AppError {
    fn from(faults: Vec<FieldError>) -> Self {
        Self::Fields(faults)
    }
}

impl From<NotCreated> for AppError {
    fn from(reason: NotCreated) -> Self {
        match reason {
            NotCreated::NoSuchConcert => Self::NotFound("concert"),
            NotCreated::NotInFuture => Self::field("startsAt", "must be in the future"),
            NotCreated::TooMany => Self::field(
                "startsAt",
                "would be one date too many: a concert has at most 100",
            ),
            NotCreated::Store(error) => Self::Store(error),
        }
    }
}

/// The use cases, over stores and peers. Clones share them.
#[derive(Debug, Clone)]
pub struct App {
    store: Store,
    cache: Cache,
    layouts: Layouts,
    queue: Queue,
    booking: Booking,
    imports: Arc<Semaphore>,
}

impl App {
    /// Over these stores and peers; `layout_cache_seats` bounds the plans kept in memory.
    #[must_use]
    pub fn new(store: Store, cache: Cache, layout_cache_seats: u64, queue: Queue, booking: Booking) -> Self {
        Self {
            layouts: Layouts::new(store.clone(), layout_cache_seats),
            store,
            cache,
            queue,
            booking,
            imports: Arc::new(Semaphore::new(IMPORTS_AT_ONCE)),
        }
    }
}

//! The services that this one calls. Generated types stop here; a peer's problem is passed on as it came.

mod booking;
mod queue;

pub use booking::{Booking, CancellationProgress, GradeCounts, OPEN_SCHEDULE_DEADLINE, Opening, SeatStates};
pub use queue::{Queue, Room, Visitor};

//! The rules of seats and reservations: states, events, and what each event does to each state.
//!
//! Nothing here waits, reads a clock or knows how rows and messages look.

mod lifecycle;
mod order;
mod payment_token;
mod refund_policy;
mod reservation;
mod schedule;
mod seat;
mod selection;

pub use lifecycle::{Cancellation, Event, Lifecycle, Moment, Refused, State, Step};
pub use order::OrderId;
pub use payment_token::PaymentTokens;
pub use refund_policy::{Percent, PolicyError, RefundPolicy, RefundTerms, RefundTier};
pub use reservation::{Reservation, ReservedSeat};
pub use schedule::{OpeningError, Schedule, ScheduleOpening, ScheduledSeat};
pub use seat::{SeatEvent, SeatRefused, apply as apply_to_seat};
pub use selection::{SeatSelection, SelectionError};

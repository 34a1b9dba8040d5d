//! The words that all services share: typed ids, money, states and problem codes.
//!
//! A word stands here when two services must mean the same by it. Rules stay with the service that owns them:
//! there is no transition, no storage and no transport in this crate.

mod ids;
mod money;
mod problem_code;
mod words;

/// What `auth` and the gateway must mean alike by an access token.
pub mod access_token;
/// Accounts of a demonstration system; they exist only where seeding was asked for.
pub mod demo;

pub use ids::{
    ChargeId, ConcertId, LedgerEntryId, ParseIdError, PaymentId, RefundId, ReservationId, ScheduleId, SeatId,
    UserId, VenueId, VisitId,
};
pub use money::{Amount, Currency, MoneyError};
pub use problem_code::ProblemCode;
pub use words::{
    Grade, Phase, QueueNumber, QueueTokenStatus, ReservationStatus, Role, SEATS_PER_USER, SeatIndex,
    SeatStatus, UnknownWord,
};

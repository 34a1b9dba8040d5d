//! The rules of the line: what a token may become, when a visit is over, how fast a room admits. Pure.

mod draw;
mod meter;
mod place;
mod room;
mod settings;
mod token;
mod visit;

pub use draw::{
    Announced, BeaconChain, Draw, DrawEvent, DrawRefused, DrawState, Next, OperatorTrusted, Revealed,
    SHOWN_FOR, advance, arrival_of, index_of,
};
pub use meter::AdmissionMeter;
pub use place::{Place, Standing};
pub use room::{NumberRange, Room, Stage, Timings, UnknownStage};
pub use settings::{RoomMode, RoomSettings, RoomState, SettingsError, UnknownMode};
pub use token::{Event, Refused, TokenState, apply};
pub use visit::{Visit, VisitState};

use time::OffsetDateTime;

/// How long a hold may take to be made: for so long the sweep spares a page that ends meanwhile.
pub const HOLD_LEASE: std::time::Duration = std::time::Duration::from_secs(5);

/// Milliseconds since 1970, as the line's store keeps time.
#[must_use]
pub fn millis(time: OffsetDateTime) -> i64 {
    // A thousand years either way fit.
    (time.unix_timestamp_nanos() / 1_000_000) as i64
}

//! What organisers did.

use serde_json::Value;
use service_kit::problem::FieldError;
use time::OffsetDateTime;
use uuid::Uuid;

use super::page::{DEFAULT_LIMIT, MAX_LIMIT};
use super::text::fault;

/// Something that an organiser can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Imported a venue.
    VenueCreated,
    /// Made a concert.
    ConcertCreated,
    /// Put a date on sale.
    ScheduleCreated,
    /// Changed a waiting room.
    WaitingRoomChanged,
    /// Ended the sale of a date.
    ScheduleClosed,
    /// Canceled a date.
    ScheduleCanceled,
}

impl Act {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VenueCreated => "VENUE_CREATED",
            Self::ConcertCreated => "CONCERT_CREATED",
            Self::ScheduleCreated => "SCHEDULE_CREATED",
            Self::WaitingRoomChanged => "WAITING_ROOM_CHANGED",
            Self::ScheduleClosed => "SCHEDULE_CLOSED",
            Self::ScheduleCanceled => "SCHEDULE_CANCELED",
        }
    }
}

/// An act that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the order of all acts.
    pub entry_id: i64,
    /// What was done.
    pub act: String,
    /// To what.
    pub target_id: Uuid,
    /// When.
    pub at: OffsetDateTime,
    /// What was asked for.
    pub details: Value,
}

/// Which acts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those before this one.
    pub before: i64,
    /// Entries of the page.
    pub limit: u32,
}

impl AuditQuery {
    /// # Errors
    /// Every field that is wrong.
    pub fn new(cursor: &str, limit: u32) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let before = if cursor.is_empty() {
            i64::MAX
        } else {
            cursor.parse().ok().filter(|id| *id > 0).unwrap_or_else(|| {
                faults.push(fault("cursor", "is not a cursor of this list"));
                0
            })
        };
        if limit > MAX_LIMIT {
            faults.push(fault("limit", format!("must be 1 to {MAX_LIMIT}")));
        }
        if faults.is_empty() {
            let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
            Ok(Self { before, limit })
        } else {
            Err(faults)
        }
    }
}

/// Some acts of an organiser.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Whether there are older ones.
    pub more: bool,
}

impl AuditPage {
    /// Where the next page begins; `None` = there is no more.
    #[must_use]
    pub fn next_cursor(&self) -> Option<String> {
        self.entries
            .last()
            .filter(|_| self.more)
            .map(|last| last.entry_id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_every_wrong_field() {
        let faults = AuditQuery::new("-1", 101).unwrap_err();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["cursor", "limit"]);
        let whole = AuditQuery::new("", 0).unwrap();
        assert_eq!((whole.before, whole.limit), (i64::MAX, DEFAULT_LIMIT));
        assert_eq!(AuditQuery::new("17", 5).unwrap().before, 17);
    }
}

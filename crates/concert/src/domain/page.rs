//! Pages of a list: newest first, continued from the last entry of the page before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use service_kit::problem::FieldError;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;
use vocabulary::ConcertId;

use super::concert::Concert;
use super::text::{fault, optional_line};

/// The longest query, in characters.
pub const QUERY_MAX_CHARS: usize = 100;
/// Entries of a page where no limit is given.
pub const DEFAULT_LIMIT: u32 = 20;
/// The most entries of a page.
pub const MAX_LIMIT: u32 = 100;

/// A place in the list of concerts, to the microsecond as Postgres keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the last concert seen was made.
    pub created_at: OffsetDateTime,
    /// Its id, where several were made at once.
    pub concert_id: ConcertId,
}

const BYTES: usize = 8 + 16;

impl Cursor {
    /// Before every concert.
    pub const START: Self = Self {
        created_at: datetime!(9999-12-31 23:59:59 UTC),
        concert_id: ConcertId::from_uuid(Uuid::max()),
    };

    /// Opaque text for the caller.
    #[must_use]
    pub fn encode(&self) -> String {
        let micros = i64::try_from(self.created_at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&micros.to_be_bytes());
        bytes[8..].copy_from_slice(self.concert_id.as_uuid().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What [`Cursor::encode`] wrote.
    ///
    /// # Errors
    /// It is no cursor of this list.
    pub fn decode(text: &str) -> Result<Self, FieldError> {
        let parse = || {
            let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
            let (micros, id) = bytes.split_at(8);
            let micros = i64::from_be_bytes(micros.try_into().ok()?);
            let created_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
            // What no store could have written is no cursor.
            (1970..=9999).contains(&created_at.year()).then_some(())?;
            Some(Self {
                created_at,
                concert_id: ConcertId::from_uuid(Uuid::from_slice(id).ok()?),
            })
        };
        parse().ok_or_else(|| fault("cursor", "is not a cursor of this list"))
    }
}

/// Which concerts are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Part of a title; empty = all.
    pub query: String,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// Entries of the page.
    pub limit: u32,
}

impl Search {
    /// # Errors
    /// Every field that is wrong.
    pub fn new(query: &str, cursor: &str, limit: u32) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let query = optional_line("query", query, QUERY_MAX_CHARS).map_err(|fault| faults.push(fault));
        let after = if cursor.is_empty() {
            Ok(None)
        } else {
            Cursor::decode(cursor)
                .map(Some)
                .map_err(|fault| faults.push(fault))
        };
        if limit > MAX_LIMIT {
            faults.push(fault("limit", format!("must be 1 to {MAX_LIMIT}")));
        }
        match (query, after) {
            (Ok(query), Ok(after)) if faults.is_empty() => Ok(Self {
                query,
                after,
                limit: if limit == 0 { DEFAULT_LIMIT } else { limit },
            }),
            _ => Err(faults),
        }
    }
}

/// A page of concerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Newest first.
    pub concerts: Vec<Concert>,
    /// Where the next page begins; `None` = there is no more.
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let cursor = Cursor {
            created_at: OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_000).unwrap(),
            concert_id: ConcertId::new(),
        };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
    }

    #[test]
    fn text_of_another_maker_is_no_cursor() {
        let far = URL_SAFE_NO_PAD.encode([0x7f; BYTES]);
        for text in ["x", "AAAA", "한국어", far.as_str(), &"A".repeat(33)] {
            assert_eq!(Cursor::decode(text).unwrap_err().field, "cursor", "{text}");
        }
    }

    #[test]
    fn a_search_names_every_wrong_field() {
        let faults = Search::new(&"x".repeat(101), "?", 101).unwrap_err();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["query", "cursor", "limit"]);
        assert_eq!(Search::new("", "", 0).unwrap().limit, DEFAULT_LIMIT);
    }
}

//! A span of time as our ids have it: they are UUIDv7, so what was made in a span has the ids of one range.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// From when until when a run looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// None is everything.
    pub(super) since: Option<OffsetDateTime>,
    pub(super) until: OffsetDateTime,
    /// Every id of the span is greater.
    pub(super) after_id: Uuid,
    /// No id of the span is greater.
    pub(super) last_id: Uuid,
}

impl Span {
    pub(super) fn of(since: Option<OffsetDateTime>, until: OffsetDateTime) -> Self {
        let since = since.map(|since| since.min(until));
        Self {
            since,
            until,
            after_id: since.map_or(Uuid::nil(), first_id_at),
            // Everything is also what somebody gave an id of another kind.
            last_id: since.map_or(Uuid::max(), |_| last_id_at(until)),
        }
    }
}

/// Reads when to begin: a time by RFC 3339, or how long ago (`90s`, `30m`, `24h`, `7d`).
///
/// # Errors
/// Neither of the two.
pub fn since(text: &str) -> Result<OffsetDateTime, String> {
    let unit = text.chars().next_back().and_then(|unit| match unit {
        's' => Some(time::Duration::SECOND),
        'm' => Some(time::Duration::MINUTE),
        'h' => Some(time::Duration::HOUR),
        'd' => Some(time::Duration::DAY),
        _ => None,
    });
    let ago = unit.and_then(|unit| {
        let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
        unit.checked_mul(i32::try_from(count).ok()?)
    });
    let ago = ago.and_then(|ago| OffsetDateTime::now_utc().checked_sub(ago));
    ago.map_or_else(|| OffsetDateTime::parse(text, &Rfc3339), Ok)
        .map_err(|_| "must be a time such as 2026-11-20T09:00:00Z, or 90s, 30m, 24h, 7d ago".to_owned())
}

/// The UUIDs whose first 48 bits are this millisecond lie between the two.
fn first_id_at(at: OffsetDateTime) -> Uuid {
    Uuid::from_u128(millis(at) << 80)
}

pub(super) fn last_id_at(at: OffsetDateTime) -> Uuid {
    Uuid::from_u128((millis(at) << 80) | ((1 << 80) - 1))
}

fn millis(at: OffsetDateTime) -> u128 {
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    millis.min((1 << 48) - 1)
}

/// When an id was made; none when it is no UUIDv7.
pub(super) fn made_at(id: Uuid) -> Option<OffsetDateTime> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    at.replace_nanosecond(nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_time_or_how_long_ago() {
        let now = OffsetDateTime::now_utc();
        for (text, ago) in [("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800)] {
            let off = (now - since(text).unwrap()).whole_seconds() - ago;
            assert!(off.abs() <= 1, "{text}");
        }
        assert_eq!(
            since("2026-11-20T09:00:00Z").unwrap().unix_timestamp(),
            1_795_165_200
        );
        for wrong in ["", "h", "1w", "-1h", "4000000000d", "일", "2026-11-20"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_made_in_a_span_has_an_id_in_its_range() {
        let before = OffsetDateTime::now_utc();
        let id = Uuid::now_v7();
        let after = OffsetDateTime::now_utc();
        let span = Span::of(Some(before), after);
        assert!(span.after_id < id && id <= span.last_id);
        let made_at = made_at(id).unwrap();
        assert!(made_at >= before - time::Duration::MILLISECOND && made_at <= after);

        let earlier = Span::of(
            Some(before - time::Duration::DAY),
            before - time::Duration::SECOND,
        );
        assert!(earlier.after_id < id && id > earlier.last_id);
        let later = Span::of(
            Some(after + time::Duration::seconds(1)),
            after + time::Duration::DAY,
        );
        assert!(id <= later.after_id);
    }
}

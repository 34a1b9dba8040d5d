//! What a message says.

use contracts::events::HoldExpiryDue;
use contracts::{parse_id, time_of};
use prost::Message as _;
use service_kit::problem::Problem;
use time::OffsetDateTime;
use vocabulary::ReservationId;

/// A hold that should be due by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) reservation_id: ReservationId,
    pub(crate) expires_at: OffsetDateTime,
}

/// A message that no booking service wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("not of the contract")]
    Decode(#[from] prost::DecodeError),
    #[error(transparent)]
    Field(#[from] Problem),
}

impl Prompt {
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Unreadable> {
        let message = HoldExpiryDue::decode(payload)?;
        let expires_at = message
            .expires_at
            .ok_or_else(|| Problem::field("expiresAt", "is required"))?;
        Ok(Self {
            reservation_id: parse_id("reservationId", &message.reservation_id)?,
            expires_at: time_of("expiresAt", &expires_at)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use contracts::timestamp;

    use super::*;

    #[test]
    fn a_message_of_the_contract_is_read() {
        let prompt = Prompt {
            reservation_id: ReservationId::new(),
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        let message = HoldExpiryDue {
            reservation_id: prompt.reservation_id.to_string(),
            expires_at: Some(timestamp(prompt.expires_at)),
        };
        assert_eq!(Prompt::read(&message.encode_to_vec()).unwrap(), prompt);
    }

    #[test]
    fn garbage_a_missing_time_and_a_wrong_id_are_unreadable() {
        let without_time = HoldExpiryDue {
            reservation_id: ReservationId::new().to_string(),
            expires_at: None,
        };
        let wrong_id = HoldExpiryDue {
            reservation_id: "seat".to_owned(),
            expires_at: Some(timestamp(OffsetDateTime::UNIX_EPOCH)),
        };
        assert!(Prompt::read(b"\xff\xff garbage").is_err());
        assert!(Prompt::read(&without_time.encode_to_vec()).is_err());
        assert!(Prompt::read(&wrong_id.encode_to_vec()).is_err());
    }
}

//! A visit as it is kept, and how it is judged at an instant.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use vocabulary::{QueueNumber, UserId, VisitId};

use super::token::{Event, TokenState, apply};

/// Where a visit stands, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VisitState {
    /// Looks at dates and seats; takes one of the room's places.
    Page,
    /// Made a hold; takes no place.
    Payment,
    /// Over with a purchase.
    Completed,
    /// Over without a purchase.
    Expired,
}

/// Text that is no state of a visit.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a visit's state")]
pub struct UnknownVisitState(String);

impl VisitState {
    /// Every state, in the order of the state machine.
    pub const ALL: [Self; 4] = [Self::Page, Self::Payment, Self::Completed, Self::Expired];

    /// The word as it is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "PAGE",
            Self::Payment => "PAYMENT",
            Self::Completed => "COMPLETED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether the visit is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Expired)
    }

    /// The states in which an event applies: what a guarded update demands, so that it cannot differ from the rule.
    #[must_use]
    pub fn allowing(event: Event) -> Vec<String> {
        let allowing = Self::ALL
            .into_iter()
            .filter(|state| apply((*state).into(), event).is_ok());
        allowing.map(|state| state.as_str().to_owned()).collect()
    }
}

impl From<VisitState> for TokenState {
    fn from(state: VisitState) -> Self {
        match state {
            VisitState::Page => Self::Page,
            VisitState::Payment => Self::Payment,
            VisitState::Completed => Self::Completed,
            VisitState::Expired => Self::Expired,
        }
    }
}

impl fmt::Display for VisitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for VisitState {
    type Err = UnknownVisitState;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownVisitState(word.to_owned()))
    }
}

/// One admitted stay, or a place that was given up before its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Its id.
    pub visit_id: VisitId,
    /// Whose it is.
    pub user_id: UserId,
    /// The place in line that it came from.
    pub number: QueueNumber,
    /// As it is kept: see [`Visit::state_at`].
    pub state: VisitState,
    /// When the page ends; absent where nobody was admitted.
    pub page_ends_at: Option<OffsetDateTime>,
    /// Until when a hold is being made.
    pub hold_lease_until: Option<OffsetDateTime>,
}

impl Visit {
    /// The state at `now`: a page whose time is over is over, whether the sweep has come by or not. One that is just
    /// making a hold goes on until the lease ends.
    #[must_use]
    pub fn state_at(&self, now: OffsetDateTime) -> VisitState {
        let ends_at = self.page_ends_at.max(self.hold_lease_until);
        match self.state {
            VisitState::Page if ends_at.is_none_or(|end| end <= now) => VisitState::Expired,
            state => state,
        }
    }

    /// Whether the page still takes requests at `now`. The lease of a hold opens it to no other request.
    #[must_use]
    pub fn page_is_open_at(&self, now: OffsetDateTime) -> bool {
        self.state == VisitState::Page && self.page_ends_at.is_some_and(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn after(seconds: u64) -> OffsetDateTime {
        START + Duration::from_secs(seconds)
    }

    fn page(hold_lease_until: Option<OffsetDateTime>) -> Visit {
        Visit {
            visit_id: VisitId::new(),
            user_id: UserId::new(),
            number: QueueNumber(1),
            state: VisitState::Page,
            page_ends_at: Some(after(180)),
            hold_lease_until,
        }
    }

    #[test]
    fn a_page_is_over_at_its_end_and_not_before() {
        let visit = page(None);
        assert_eq!(visit.state_at(after(179)), VisitState::Page);
        assert_eq!(visit.state_at(after(180)), VisitState::Expired);
        assert!(visit.page_is_open_at(after(179)) && !visit.page_is_open_at(after(180)));
    }

    #[test]
    fn a_hold_in_the_making_spares_the_visit_but_opens_the_page_to_nobody() {
        let visit = page(Some(after(183)));
        assert_eq!(visit.state_at(after(182)), VisitState::Page);
        assert!(!visit.page_is_open_at(after(182)));
        assert_eq!(visit.state_at(after(183)), VisitState::Expired);
    }

    #[test]
    fn only_a_page_ends_by_time() {
        for state in [VisitState::Payment, VisitState::Completed, VisitState::Expired] {
            let visit = Visit { state, ..page(None) };
            assert_eq!(visit.state_at(after(1_000)), state);
        }
    }

    #[test]
    fn updates_are_guarded_by_the_states_that_allow_the_event() {
        assert_eq!(VisitState::allowing(Event::HoldMade), ["PAGE"]);
        assert_eq!(VisitState::allowing(Event::Paid), ["PAGE", "PAYMENT"]);
        assert_eq!(VisitState::allowing(Event::HoldEnded), ["PAGE", "PAYMENT"]);
        assert_eq!(VisitState::allowing(Event::Leave), ["PAGE"]);
        assert_eq!(VisitState::allowing(Event::PageTimeOver), ["PAGE"]);
        assert!(VisitState::allowing(Event::Claim).is_empty());
    }

    #[test]
    fn a_state_survives_text() {
        for state in VisitState::ALL {
            assert_eq!(state.as_str().parse::<VisitState>().unwrap(), state);
        }
        assert!("WAITING".parse::<VisitState>().is_err());
    }
}

//! The state machine of a queue token.

use std::fmt;

/// Where a queue token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenState {
    /// In the lobby: the place is sure, its number is not drawn yet.
    Gathering,
    /// In line; its turn has not come, or it was called a moment ago.
    Waiting,
    /// Was called, did not come within the claim window, and may still come late.
    TurnMissed,
    /// Admitted, looks at dates and seats, takes one of the room's places.
    Page,
    /// Made a hold; takes no place.
    Payment,
    /// Over with a purchase.
    Completed,
    /// Over without a purchase.
    Expired,
}

/// What happens to a queue token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// The number was drawn, and the room is open.
    NumberDrawn,
    /// Came while it was called and a place was free.
    Claim,
    /// The claim window passed without a claim.
    MissTurn,
    /// The time to come late passed. It runs from the first missed turn.
    LateLapse,
    /// The user gave the place up.
    Leave,
    /// The page's time is over.
    PageTimeOver,
    /// The visit made a hold.
    HoldMade,
    /// The visit's hold was paid.
    Paid,
    /// The visit's hold lapsed or was given up.
    HoldEnded,
}

impl TokenState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Gathering,
        Self::Waiting,
        Self::TurnMissed,
        Self::Page,
        Self::Payment,
        Self::Completed,
        Self::Expired,
    ];
}

/// The event does not apply in this state and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} changes nothing in {state}")]
pub struct Refused {
    /// The state that stays.
    pub state: TokenState,
    /// What was refused.
    pub event: Event,
}

impl fmt::Display for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a token becomes.
///
/// # Errors
/// The event does not apply in this state.
pub const fn apply(state: TokenState, event: Event) -> Result<TokenState, Refused> {
    use TokenState::{Completed, Expired, Gathering, Page, Payment, TurnMissed, Waiting};
    match (state, event) {
        (Gathering, Event::NumberDrawn) => Ok(Waiting),
        (Waiting | TurnMissed, Event::Claim) => Ok(Page),
        // A late comer who is called again and stays away again gets no second window.
        (Waiting | TurnMissed, Event::MissTurn) => Ok(TurnMissed),
        (TurnMissed, Event::LateLapse) => Ok(Expired),
        // Who pays does not lose the hold by leaving the line: there is nothing left of the line to leave.
        (Gathering | Waiting | TurnMissed | Page, Event::Leave) => Ok(Expired),
        (Page, Event::PageTimeOver) => Ok(Expired),
        (Page, Event::HoldMade) => Ok(Payment),
        // From Page too: news of the hold's end may overtake the news of the hold.
        (Page | Payment, Event::Paid) => Ok(Completed),
        (Page | Payment, Event::HoldEnded) => Ok(Expired),
        _ => Err(Refused { state, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Claim, HoldEnded, HoldMade, LateLapse, Leave, MissTurn, NumberDrawn, PageTimeOver, Paid};
    use TokenState::{Completed, Expired, Gathering, Page, Payment, TurnMissed, Waiting};

    /// Every state x event; `None` = refused.
    const TABLE: [(TokenState, Event, Option<TokenState>); 63] = [
        (Gathering, NumberDrawn, Some(Waiting)),
        (Gathering, Claim, None),
        (Gathering, MissTurn, None),
        (Gathering, LateLapse, None),
        (Gathering, Leave, Some(Expired)),
        (Gathering, PageTimeOver, None),
        (Gathering, HoldMade, None),
        (Gathering, Paid, None),
        (Gathering, HoldEnded, None),
        (Waiting, NumberDrawn, None),
        (Waiting, Claim, Some(Page)),
        (Waiting, MissTurn, Some(TurnMissed)),
        (Waiting, LateLapse, None),
        (Waiting, Leave, Some(Expired)),
        (Waiting, PageTimeOver, None),
        (Waiting, HoldMade, None),
        (Waiting, Paid, None),
        (Waiting, HoldEnded, None),
        (TurnMissed, NumberDrawn, None),
        (TurnMissed, Claim, Some(Page)),
        (TurnMissed, MissTurn, Some(TurnMissed)),
        (TurnMissed, LateLapse, Some(Expired)),
        (TurnMissed, Leave, Some(Expired)),
        (TurnMissed, PageTimeOver, None),
        (TurnMissed, HoldMade, None),
        (TurnMissed, Paid, None),
        (TurnMissed, HoldEnded, None),
        (Page, NumberDrawn, None),
        (Page, Claim, None),
        (Page, MissTurn, None),
        (Page, LateLapse, None),
        (Page, Leave, Some(Expired)),
        (Page, PageTimeOver, Some(Expired)),
        (Page, HoldMade, Some(Payment)),
        (Page, Paid, Some(Completed)),
        (Page, HoldEnded, Some(Expired)),
        (Payment, NumberDrawn, None),
        (Payment, Claim, None),
        (Payment, MissTurn, None),
        (Payment, LateLapse, None),
        (Payment, Leave, None),
        (Payment, PageTimeOver, None),
        (Payment, HoldMade, None),
        (Payment, Paid, Some(Completed)),
        (Payment, HoldEnded, Some(Expired)),
        (Completed, NumberDrawn, None),
        (Completed, Claim, None),
        (Completed, MissTurn, None),
        (Completed, LateLapse, None),
        (Completed, Leave, None),
        (Completed, PageTimeOver, None),
        (Completed, HoldMade, None),
        (Completed, Paid, None),
        (Completed, HoldEnded, None),
        (Expired, NumberDrawn, None),
        (Expired, Claim, None),
        (Expired, MissTurn, None),
        (Expired, LateLapse, None),
        (Expired, Leave, None),
        (Expired, PageTimeOver, None),
        (Expired, HoldMade, None),
        (Expired, Paid, None),
        (Expired, HoldEnded, None),
    ];

    #[test]
    fn every_state_and_event_does_what_the_table_says() {
        for (state, event, expected) in TABLE {
            let expected = expected.ok_or(Refused { state, event });
            assert_eq!(apply(state, event), expected, "{state} x {event:?}");
        }
    }

    #[test]
    fn the_table_names_every_pair_once() {
        let pairs: std::collections::BTreeSet<_> =
            TABLE.iter().map(|(state, event, _)| (*state, *event)).collect();
        assert_eq!((pairs.len(), TABLE.len()), (63, TokenState::ALL.len() * 9));
    }
}

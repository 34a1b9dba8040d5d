//! The machine of a payment: which event leads from which state to which.

use vocabulary::ProblemCode;

use super::OrderId;
use super::machine::{Refused, states};

states! {
    /// Where a payment stands.
    State of "payment", ended when Succeeded | Failed | Refunded {
        /// Recorded; nothing was taken.
        Created => "CREATED",
        /// Booking is PAYING for it, and the points are set aside.
        PointsTaken => "POINTS_TAKEN",
        /// The provider was asked to capture.
        Confirming => "CONFIRMING",
        /// Whether the provider captured is not known.
        Unknown => "UNKNOWN",
        /// The provider captured; the seats are not confirmed yet.
        Captured => "CAPTURED",
        /// Nothing is charged and points are back; booking has to be told.
        Releasing => "RELEASING",
        /// Captured, and the seats are gone; the provider has to give it back.
        Refunding => "REFUNDING",
        /// Paid, and the seats are the buyer's.
        Succeeded => "SUCCEEDED",
        /// Nothing was charged.
        Failed => "FAILED",
        /// It was charged and given back.
        Refunded => "REFUNDED",
    }
}

/// What happened to a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Booking gave the fence, and the wallet covered the points.
    PointsTaken {
        /// The reservation's version that booking demands from now on.
        fence: u64,
    },
    /// Booking gave the fence, but the payment can't go on: the wallet is short, or the order is not the current one.
    Abandoned {
        /// The reservation's version.
        fence: u64,
        /// Why.
        reason: ProblemCode,
    },
    /// The provider is about to be asked.
    ProviderAsked,
    /// No answer that says whether it captured.
    OutcomeUnknown {
        /// The provider did answer, only not usably: it would repeat that answer, so the next try needs its own key.
        answered: bool,
    },
    /// The provider captured.
    Captured,
    /// The provider captured nothing, and won't.
    NotCaptured {
        /// Why.
        reason: ProblemCode,
    },
    /// Booking made the seats the buyer's.
    SeatsConfirmed,
    /// Booking has no seats for this payment (any more).
    SeatsGone {
        /// Why.
        reason: ProblemCode,
    },
    /// Booking took the hold back from this payment.
    HoldReleased {
        /// The order that the next card attempt is for; `None` when there can be none.
        next_order_id: Option<OrderId>,
    },
    /// The provider gave all of it back.
    CardRefunded,
}

/// Where `event` leads from `state`. A payment by points alone goes from POINTS_TAKEN to SUCCEEDED directly; that only
/// such a one does is the caller's to see to, and the table's to refuse.
pub(super) fn apply(state: State, event: &Event) -> Result<State, Refused> {
    use State::{
        Captured, Confirming, Created, Failed, PointsTaken, Refunded, Refunding, Releasing, Succeeded,
        Unknown,
    };
    match (state, event) {
        (Created, Event::PointsTaken { .. }) => Ok(PointsTaken),
        (Created, Event::Abandoned { .. }) => Ok(Releasing),
        (PointsTaken, Event::ProviderAsked) => Ok(Confirming),
        (Confirming, Event::OutcomeUnknown { .. }) => Ok(Unknown),
        (Confirming | Unknown, Event::Captured) => Ok(Captured),
        (Confirming | Unknown, Event::NotCaptured { .. }) => Ok(Releasing),
        (PointsTaken | Captured, Event::SeatsConfirmed) => Ok(Succeeded),
        // Nothing is charged yet, and booking holds nothing for it: there is nobody left to tell.
        (Created | PointsTaken, Event::SeatsGone { .. }) => Ok(Failed),
        (Captured, Event::SeatsGone { .. }) => Ok(Refunding),
        (Releasing, Event::HoldReleased { .. }) => Ok(Failed),
        (Refunding, Event::CardRefunded) => Ok(Refunded),
        (
            Created | PointsTaken | Confirming | Unknown | Captured | Releasing | Refunding | Succeeded
            | Failed | Refunded,
            _,
        ) => Err(state.refuses()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_answers_every_event() {
        use State::{
            Captured, Confirming, Failed, PointsTaken, Refunded, Refunding, Releasing, Succeeded, Unknown,
        };
        const NO: Option<State> = None;
        let reason = ProblemCode::PaymentFailed;
        // Columns in the order of State::ALL: CREATED, POINTS_TAKEN, CONFIRMING, UNKNOWN, CAPTURED, RELEASING,
        // REFUNDING, SUCCEEDED, FAILED, REFUNDED.
        #[rustfmt::skip]
        let table: [(Event, [Option<State>; 10]); 11] = [
            (Event::PointsTaken { fence: 2 },
                [Some(PointsTaken), NO, NO, NO, NO, NO, NO, NO, NO, NO]),
            (Event::Abandoned { fence: 2, reason },
                [Some(Releasing), NO, NO, NO, NO, NO, NO, NO, NO, NO]),
            (Event::ProviderAsked,
                [NO, Some(Confirming), NO, NO, NO, NO, NO, NO, NO, NO]),
            (Event::OutcomeUnknown { answered: false },
                [NO, NO, Some(Unknown), NO, NO, NO, NO, NO, NO, NO]),
            (Event::OutcomeUnknown { answered: true },
                [NO, NO, Some(Unknown), NO, NO, NO, NO, NO, NO, NO]),
            (Event::Captured,
                [NO, NO, Some(Captured), Some(Captured), NO, NO, NO, NO, NO, NO]),
            (Event::NotCaptured { reason },
                [NO, NO, Some(Releasing), Some(Releasing), NO, NO, NO, NO, NO, NO]),
            (Event::SeatsConfirmed,
                [NO, Some(Succeeded), NO, NO, Some(Succeeded), NO, NO, NO, NO, NO]),
            (Event::SeatsGone { reason },
                [Some(Failed), Some(Failed), NO, NO, Some(Refunding), NO, NO, NO, NO, NO]),
            (Event::HoldReleased { next_order_id: None },
                [NO, NO, NO, NO, NO, Some(Failed), NO, NO, NO, NO]),
            (Event::CardRefunded,
                [NO, NO, NO, NO, NO, NO, Some(Refunded), NO, NO, NO]),
        ];
        for (event, row) in table {
            for (state, expected) in State::ALL.iter().zip(row) {
                let expected = expected.ok_or(state.refuses());
                assert_eq!(apply(*state, &event), expected, "{state} x {event:?}");
            }
        }
    }

    #[test]
    fn a_state_survives_text() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }
}

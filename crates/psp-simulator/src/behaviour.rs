//! What a test payment key means: which fate a confirmation meets, and how its answer travels. Pure.

use crate::payments::{Event, PaymentKey};

/// How often a `test_unavailable_*` key meets a temporary fault before it captures.
const FAULTS_BEFORE_CAPTURE: u32 = 2;

/// The part that a payment key plays, told by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// `test_ok_*`: captures.
    Captures,
    /// `test_declined_*`: the card declines.
    Declines,
    /// `test_slow_*`: captures at once, answers late.
    CapturesAndAnswersLate,
    /// `test_lost_*`: captures, and the answer never arrives.
    CapturesAndNeverAnswers,
    /// `test_unavailable_*`: temporary faults first, then captures.
    FailsThenCaptures,
}

/// How the answer to a request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// At once.
    Prompt,
    /// Late; until then the request counts as running.
    Late,
    /// Never; the request itself is over, its answer lost on the way.
    Lost,
}

impl Script {
    /// The script of a payment key, or `None` for a key that no buyer ever authenticated.
    pub(crate) fn of(payment_key: &PaymentKey) -> Option<Self> {
        const PREFIXES: [(&str, Script); 5] = [
            ("test_ok_", Script::Captures),
            ("test_declined_", Script::Declines),
            ("test_slow_", Script::CapturesAndAnswersLate),
            ("test_lost_", Script::CapturesAndNeverAnswers),
            ("test_unavailable_", Script::FailsThenCaptures),
        ];
        let key: &str = payment_key.as_ref();
        let found = PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix));
        found.map(|&(_, script)| script)
    }

    /// What a confirmation does to a payment that met `faults` temporary faults so far.
    pub(crate) fn event(self, faults: u32) -> Event {
        match self {
            Self::Captures | Self::CapturesAndAnswersLate | Self::CapturesAndNeverAnswers => Event::Capture,
            Self::Declines => Event::Decline,
            Self::FailsThenCaptures if faults < FAULTS_BEFORE_CAPTURE => Event::Fault,
            Self::FailsThenCaptures => Event::Capture,
        }
    }

    /// How the answer to a capture travels.
    pub(crate) fn delivery(self) -> Delivery {
        match self {
            Self::Captures | Self::Declines | Self::FailsThenCaptures => Delivery::Prompt,
            Self::CapturesAndAnswersLate => Delivery::Late,
            Self::CapturesAndNeverAnswers => Delivery::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_key_tells_its_script() {
        let table = [
            ("test_ok_1", Some(Script::Captures)),
            ("test_declined_1", Some(Script::Declines)),
            ("test_slow_1", Some(Script::CapturesAndAnswersLate)),
            ("test_lost_1", Some(Script::CapturesAndNeverAnswers)),
            ("test_unavailable_1", Some(Script::FailsThenCaptures)),
            ("test_okay", None),
            ("5EnNZRJGvaBX7zk2yd8ydw26XvwXkLrx9POLqKQjmAw4b0e1", None),
        ];
        for (key, script) in table {
            assert_eq!(
                Script::of(&PaymentKey::try_from(key.to_owned()).unwrap()),
                script,
                "{key}"
            );
        }
    }

    #[test]
    fn an_unavailable_key_fails_twice_and_then_captures() {
        let events = [0, 1, 2, 3].map(|faults| Script::FailsThenCaptures.event(faults));
        assert_eq!(
            events,
            [Event::Fault, Event::Fault, Event::Capture, Event::Capture]
        );
    }
}

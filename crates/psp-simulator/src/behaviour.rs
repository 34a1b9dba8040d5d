//! What a test payment key means: which fate a confirmation and a cancellation meet, how their answers travel, and how often
//! the webhook is sent. Pure.

use time::Duration;

use crate::payments::{Event, PaymentKey};

/// How often an unavailable key meets a temporary fault before it does what it is asked.
const FAULTS_FIRST: u32 = 2;

/// The part that a payment key plays, told by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// `test_ok_*`: captures, and gives back what is asked for.
    Plain,
    /// `test_declined_*`: the card declines.
    Declines,
    /// `test_slow_*`: captures at once, answers late.
    AnswersLate,
    /// `test_lost_*`: captures, and the answer never arrives.
    NeverAnswers,
    /// `test_late_*`: the connection breaks, and it captures some time after.
    CapturesLater,
    /// `test_unavailable_*`: temporary faults first, then captures.
    FailsFirst,
    /// `test_doubled_*`: captures, and each webhook comes twice.
    TellsTwice,
    /// `test_cancel_declined_*`: captures, and gives nothing back.
    CancelDeclines,
    /// `test_cancel_slow_*`: captures, gives back at once, answers that late.
    CancelAnswersLate,
    /// `test_cancel_lost_*`: captures, gives back, and the answer to that never arrives.
    CancelNeverAnswers,
    /// `test_cancel_unavailable_*`: captures, and gives back after temporary faults.
    CancelFailsFirst,
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
    /// Never, and the connection breaks at once.
    Cut,
}

impl Script {
    /// The script of a payment key, or `None` for a key that no buyer ever authenticated.
    pub(crate) fn of(payment_key: &PaymentKey) -> Option<Self> {
        const PREFIXES: [(&str, Script); 11] = [
            ("test_ok_", Script::Plain),
            ("test_declined_", Script::Declines),
            ("test_slow_", Script::AnswersLate),
            ("test_lost_", Script::NeverAnswers),
            ("test_late_", Script::CapturesLater),
            ("test_unavailable_", Script::FailsFirst),
            ("test_doubled_", Script::TellsTwice),
            ("test_cancel_declined_", Script::CancelDeclines),
            ("test_cancel_slow_", Script::CancelAnswersLate),
            ("test_cancel_lost_", Script::CancelNeverAnswers),
            ("test_cancel_unavailable_", Script::CancelFailsFirst),
        ];
        let key: &str = payment_key.as_ref();
        let found = PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix));
        found.map(|&(_, script)| script)
    }

    /// What a confirmation does to a payment that met `faults` temporary faults so far; `late_by` is how long a late
    /// capture takes.
    pub(crate) fn confirmation(self, faults: u32, late_by: Duration) -> Event {
        match self {
            Self::Declines => Event::Decline,
            Self::FailsFirst if faults < FAULTS_FIRST => Event::Fault,
            Self::CapturesLater => Event::Capture { after: late_by },
            _ => Event::Capture {
                after: Duration::ZERO,
            },
        }
    }

    /// What a cancellation does to a payment whose cancellations met `faults` temporary faults so far.
    pub(crate) fn cancellation(self, faults: u32, asked: Event) -> Event {
        match self {
            Self::CancelDeclines => Event::CancelRefusal,
            Self::CancelFailsFirst if faults < FAULTS_FIRST => Event::CancelFault,
            _ => asked,
        }
    }

    /// How the answer to an event travels.
    pub(crate) fn delivery(self, event: &Event) -> Delivery {
        match (self, event) {
            (Self::AnswersLate, Event::Capture { .. }) | (Self::CancelAnswersLate, Event::Cancel { .. }) => {
                Delivery::Late
            }
            (Self::NeverAnswers, Event::Capture { .. })
            | (Self::CancelNeverAnswers, Event::Cancel { .. }) => Delivery::Lost,
            (Self::CapturesLater, Event::Capture { .. }) => Delivery::Cut,
            _ => Delivery::Prompt,
        }
    }

    /// How often each webhook is sent.
    pub(crate) fn tellings(self) -> usize {
        if self == Self::TellsTwice { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(key: &str) -> Option<Script> {
        Script::of(&PaymentKey::try_from(key.to_owned()).unwrap())
    }

    #[test]
    fn the_prefix_of_a_key_tells_its_script() {
        let table = [
            ("test_ok_1", Some(Script::Plain)),
            ("test_declined_1", Some(Script::Declines)),
            ("test_slow_1", Some(Script::AnswersLate)),
            ("test_lost_1", Some(Script::NeverAnswers)),
            ("test_late_1", Some(Script::CapturesLater)),
            ("test_unavailable_1", Some(Script::FailsFirst)),
            ("test_doubled_1", Some(Script::TellsTwice)),
            ("test_cancel_declined_1", Some(Script::CancelDeclines)),
            ("test_cancel_slow_1", Some(Script::CancelAnswersLate)),
            ("test_cancel_lost_1", Some(Script::CancelNeverAnswers)),
            ("test_cancel_unavailable_1", Some(Script::CancelFailsFirst)),
            ("test_okay", None),
            ("5EnNZRJGvaBX7zk2yd8ydw26XvwXkLrx9POLqKQjmAw4b0e1", None),
        ];
        for (key, expected) in table {
            assert_eq!(script(key), expected, "{key}");
        }
    }

    #[test]
    fn an_unavailable_key_fails_twice_and_then_does_as_it_is_asked() {
        let events = [0, 1, 2, 3].map(|faults| Script::FailsFirst.confirmation(faults, Duration::HOUR));
        let capture = || Event::Capture {
            after: Duration::ZERO,
        };
        assert_eq!(events, [Event::Fault, Event::Fault, capture(), capture()]);
        let events = [1, 2].map(|faults| Script::CancelFailsFirst.cancellation(faults, Event::CancelRefusal));
        assert_eq!(events, [Event::CancelFault, Event::CancelRefusal]);
    }
}

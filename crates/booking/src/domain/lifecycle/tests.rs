//! Every state meets every event.

use proptest::prelude::*;
use time::macros::datetime;
use uuid::Uuid;
use vocabulary::SeatStatus;

use super::*;
use crate::domain::seat;

const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);
const BEFORE: OffsetDateTime = datetime!(2026-11-20 11:59:59 UTC);
const END: OffsetDateTime = datetime!(2026-11-20 12:05 UTC);
const AFTER: OffsetDateTime = datetime!(2026-11-20 12:30 UTC);
const GRACE: Duration = Duration::from_secs(60);
const FENCE: u64 = 7;
const MINE: PaymentId = PaymentId::from_uuid(Uuid::from_u128(1));
const OTHER: PaymentId = PaymentId::from_uuid(Uuid::from_u128(2));
const GONE: PaymentId = PaymentId::from_uuid(Uuid::from_u128(3));

const PENDING: State = State::Pending;
const PAYING: State = State::Paying {
    payment: MINE,
    lapses_at: Some(END),
};
const UNKNOWN: State = State::Paying {
    payment: MINE,
    lapses_at: None,
};
const CONFIRMED: State = State::Confirmed { payment: MINE };
const EXPIRED: State = State::Expired;
const CANCELED: State = State::Canceled(None);
const REFUNDING: State = State::Canceled(Some(CANCELLATION));
const REFUNDED: State = State::Canceled(Some(Cancellation {
    refunded_at: Some(NOW),
    ..CANCELLATION
}));
const STATES: [State; 8] = [
    PENDING, PAYING, UNKNOWN, CONFIRMED, EXPIRED, CANCELED, REFUNDING, REFUNDED,
];

const REFUND: RefundId = RefundId::from_uuid(Uuid::from_u128(4));
const ANOTHER_REFUND: RefundId = RefundId::from_uuid(Uuid::from_u128(5));
const CANCELLATION: Cancellation = Cancellation {
    payment: MINE,
    refund_id: REFUND,
    canceled_at: NOW,
    percent: Percent::WHOLE,
    with_schedule: false,
    refunded_at: None,
};

/// While the date stands.
const fn at(now: OffsetDateTime) -> Moment {
    Moment {
        now,
        date_canceled_at: None,
    }
}

/// Once the date was canceled, at [`NOW`].
const fn off(now: OffsetDateTime) -> Moment {
    Moment {
        now,
        date_canceled_at: Some(NOW),
    }
}

fn begin(payment: PaymentId) -> Event {
    Event::BeginPayment {
        payment,
        grace: GRACE,
    }
}
fn mark(payment: PaymentId, version: u64) -> Event {
    Event::MarkPaymentUnknown { payment, version }
}
fn confirm(payment: PaymentId, version: u64) -> Event {
    Event::Confirm { payment, version }
}
fn release(payment: PaymentId, version: u64) -> Event {
    Event::ReleasePayment { payment, version }
}

fn cancel(refund_id: RefundId, percent: u32) -> Event {
    asked(refund_id, percent, NOW)
}
fn asked(refund_id: RefundId, percent: u32, asked_at: OffsetDateTime) -> Event {
    Event::Cancel {
        refund_id,
        asked_at,
        share: Percent::new(percent),
    }
}
const fn refunded(refund_id: RefundId) -> Event {
    Event::CompleteRefund { refund_id }
}

fn reservation(state: State) -> Lifecycle {
    Lifecycle {
        state,
        version: FENCE,
        attempt: 2,
        expires_at: END,
        released_payment: Some(GONE),
    }
}

/// What becomes of each of [`STATES`]: the word after, `same`, or the refusal.
fn row(event: Event, at: Moment) -> [String; 8] {
    STATES.map(|state| match reservation(state).apply(event, at) {
        Ok(Step::Moved(after)) => match after.state {
            State::Paying { lapses_at: None, .. } => "UNKNOWN".to_owned(),
            State::Canceled(Some(Cancellation { refunded_at, .. })) => {
                refunded_at.map_or("REFUNDING", |_| "REFUNDED").to_owned()
            }
            after => after.status().to_string(),
        },
        Ok(Step::Unchanged) => "same".to_owned(),
        Err(refused) => format!("{refused:?}"),
    })
}

#[test]
#[rustfmt::skip]
fn every_state_and_event() {
    let table: [(&str, Event, Moment, [&str; 8]); 39] = [
    //                                                                   PENDING             PAYING               UNKNOWN              CONFIRMED                   EXPIRED             CANCELED            REFUNDING           REFUNDED
    ("begin in time",          begin(MINE),                 at(NOW),    ["PAYING",           "same",              "same",              "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("begin by another",       begin(OTHER),                at(NOW),    ["PAYING",           "PaymentInProgress", "PaymentInProgress", "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "WindowClosed",     "WindowClosed"]),
    ("begin once released",    begin(GONE),                 at(NOW),    ["PaymentEnded",     "PaymentInProgress", "PaymentInProgress", "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "WindowClosed",     "WindowClosed"]),
    ("begin too late",         begin(MINE),                 at(AFTER),  ["WindowClosed",     "same",              "same",              "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("begin, date off",        begin(MINE),                 off(NOW),   ["ScheduleCanceled", "ScheduleCanceled",  "ScheduleCanceled",  "same",                     "ScheduleCanceled", "ScheduleCanceled", "same",             "same"]),
    ("begin by another, off",  begin(OTHER),                off(NOW),   ["ScheduleCanceled", "ScheduleCanceled",  "ScheduleCanceled",  "AlreadyPaid",              "ScheduleCanceled", "ScheduleCanceled", "ScheduleCanceled", "ScheduleCanceled"]),
    ("unknown",                mark(MINE, FENCE),           at(NOW),    ["StaleVersion",     "UNKNOWN",           "same",              "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("unknown, stale",         mark(MINE, 6),               at(NOW),    ["StaleVersion",     "StaleVersion",      "StaleVersion",      "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("unknown, another's",     mark(OTHER, FENCE),          at(NOW),    ["StaleVersion",     "StaleVersion",      "StaleVersion",      "StaleVersion",             "WindowClosed",     "WindowClosed",     "WindowClosed",     "WindowClosed"]),
    ("unknown, date off",      mark(MINE, FENCE),           off(NOW),   ["StaleVersion",     "ScheduleCanceled",  "ScheduleCanceled",  "same",                     "ScheduleCanceled", "ScheduleCanceled", "same",             "same"]),
    ("unknown, stale, off",    mark(MINE, 6),               off(NOW),   ["StaleVersion",     "StaleVersion",      "StaleVersion",      "same",                     "ScheduleCanceled", "ScheduleCanceled", "same",             "same"]),
    ("confirm",                confirm(MINE, FENCE),        at(NOW),    ["StaleVersion",     "CONFIRMED",         "CONFIRMED",         "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("confirm when due",       confirm(MINE, FENCE),        at(AFTER),  ["StaleVersion",     "CONFIRMED",         "CONFIRMED",         "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("confirm, stale",         confirm(MINE, 6),            at(NOW),    ["StaleVersion",     "StaleVersion",      "StaleVersion",      "same",                     "WindowClosed",     "WindowClosed",     "same",             "same"]),
    ("confirm, another's",     confirm(OTHER, FENCE),       at(NOW),    ["StaleVersion",     "StaleVersion",      "StaleVersion",      "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "WindowClosed",     "WindowClosed"]),
    ("confirm, date off",      confirm(MINE, FENCE),        off(NOW),   ["StaleVersion",     "ScheduleCanceled",  "ScheduleCanceled",  "same",                     "ScheduleCanceled", "ScheduleCanceled", "same",             "same"]),
    ("confirm another's, off", confirm(OTHER, FENCE),       off(NOW),   ["StaleVersion",     "StaleVersion",      "StaleVersion",      "AlreadyPaid",              "ScheduleCanceled", "ScheduleCanceled", "ScheduleCanceled", "ScheduleCanceled"]),
    ("pay back in time",       release(MINE, FENCE),        at(NOW),    ["StaleVersion",     "PENDING",           "PENDING",           "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "AlreadyPaid",      "AlreadyPaid"]),
    ("pay back too late",      release(MINE, FENCE),        at(AFTER),  ["StaleVersion",     "EXPIRED",           "EXPIRED",           "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "AlreadyPaid",      "AlreadyPaid"]),
    ("pay back, stale",        release(MINE, 6),            at(NOW),    ["StaleVersion",     "StaleVersion",      "StaleVersion",      "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "AlreadyPaid",      "AlreadyPaid"]),
    ("pay back, another's",    release(OTHER, FENCE),       at(NOW),    ["StaleVersion",     "StaleVersion",      "StaleVersion",      "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "WindowClosed",     "WindowClosed"]),
    ("pay back once more",     release(GONE, 5),            at(NOW),    ["same",             "same",              "same",              "same",                     "same",             "same",             "same",             "same"]),
    ("pay back, date off",     release(MINE, FENCE),        off(NOW),   ["StaleVersion",     "CANCELED",          "CANCELED",          "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "AlreadyPaid",      "AlreadyPaid"]),
    ("pay back late, off",     release(MINE, FENCE),        off(AFTER), ["StaleVersion",     "CANCELED",          "CANCELED",          "AlreadyPaid",              "WindowClosed",     "WindowClosed",     "AlreadyPaid",      "AlreadyPaid"]),
    ("release",                Event::Release,              at(NOW),    ["CANCELED",         "NotReleasable",     "NotReleasable",     "NotReleasable",            "same",             "same",             "same",             "same"]),
    ("expire in time",         Event::Expire,               at(NOW),    ["NotDue",           "NotDue",            "NotDue",            "NotDue",                   "same",             "NotDue",           "NotDue",           "NotDue"]),
    ("expire when due",        Event::Expire,               at(AFTER),  ["EXPIRED",          "EXPIRED",           "NotDue",            "NotDue",                   "same",             "NotDue",           "NotDue",           "NotDue"]),
    ("expire when due, off",   Event::Expire,               off(AFTER), ["EXPIRED",          "EXPIRED",           "NotDue",            "NotDue",                   "same",             "NotDue",           "NotDue",           "NotDue"]),
    ("give up",                Event::GiveUp,               at(NOW),    ["NotDue",           "NotDue",            "NotDue",            "NotDue",                   "same",             "same",             "same",             "same"]),
    ("give up, date off",      Event::GiveUp,               off(NOW),   ["CANCELED",         "NotDue",            "NotDue",            "NotDue",                   "same",             "same",             "same",             "same"]),
    ("give up when due, off",  Event::GiveUp,               off(AFTER), ["NotDue",           "NotDue",            "NotDue",            "NotDue",                   "same",             "same",             "same",             "same"]),
    ("cancel",                 cancel(REFUND, 50),          at(NOW),    ["NotCancelable",    "NotCancelable",     "NotCancelable",     "REFUNDING",                "NotCancelable",    "NotCancelable",    "same",             "same"]),
    ("cancel for another",     cancel(ANOTHER_REFUND, 50),  at(NOW),    ["NotCancelable",    "NotCancelable",     "NotCancelable",     "REFUNDING",                "NotCancelable",    "NotCancelable",    "NotCancelable",    "NotCancelable"]),
    ("cancel too late",        cancel(REFUND, 0),           at(NOW),    ["NotCancelable",    "NotCancelable",     "NotCancelable",     "CancellationWindowClosed", "NotCancelable",    "NotCancelable",    "same",             "same"]),
    ("cancel, date off",       cancel(REFUND, 0),           off(NOW),   ["NotCancelable",    "NotCancelable",     "NotCancelable",     "REFUNDING",                "NotCancelable",    "NotCancelable",    "same",             "same"]),
    ("cancel in time, off",    asked(REFUND, 50, BEFORE),   off(AFTER), ["NotCancelable",    "NotCancelable",     "NotCancelable",     "REFUNDING",                "NotCancelable",    "NotCancelable",    "same",             "same"]),
    ("canceled too late, off", asked(REFUND, 0, BEFORE),    off(AFTER), ["NotCancelable",    "NotCancelable",     "NotCancelable",     "CancellationWindowClosed", "NotCancelable",    "NotCancelable",    "same",             "same"]),
    ("refunded",               refunded(REFUND),            at(NOW),    ["NotCancelable",    "NotCancelable",     "NotCancelable",     "NotCancelable",            "NotCancelable",    "NotCancelable",    "REFUNDED",         "same"]),
    ("refunded, another",      refunded(ANOTHER_REFUND),    at(NOW),    ["NotCancelable",    "NotCancelable",     "NotCancelable",     "NotCancelable",            "NotCancelable",    "NotCancelable",    "NotCancelable",    "NotCancelable"]),
    ];
    for (name, event, at, expected) in table {
        assert_eq!(row(event, at), expected, "{name}");
    }
}

#[test]
fn a_canceled_date_gives_all_back_also_of_what_was_asked_for_before() {
    for event in [
        asked(REFUND, 50, BEFORE),
        asked(REFUND, 50, NOW),
        asked(REFUND, 0, NOW),
    ] {
        let Ok(Step::Moved(after)) = reservation(CONFIRMED).apply(event, off(AFTER)) else {
            panic!("{event:?} is let through");
        };
        let expected = Cancellation {
            canceled_at: AFTER,
            with_schedule: true,
            ..CANCELLATION
        };
        assert_eq!(after.state, State::Canceled(Some(expected)), "{event:?}");
    }
}

#[test]
fn a_hold_can_be_paid_until_its_end_and_lapses_from_then_on() {
    let hold = reservation(PENDING);
    let just_before = END - Duration::from_nanos(1);
    assert!(matches!(
        hold.apply(begin(MINE), at(just_before)),
        Ok(Step::Moved(_))
    ));
    assert_eq!(hold.apply(Event::Expire, at(just_before)), Err(Refused::NotDue));
    assert_eq!(hold.apply(begin(MINE), at(END)), Err(Refused::WindowClosed));
    assert!(matches!(hold.apply(Event::Expire, at(END)), Ok(Step::Moved(_))));
}

#[test]
fn a_payment_that_begins_late_has_its_grace() {
    let begun_at = END - Duration::from_secs(1);
    let Ok(Step::Moved(paying)) = reservation(PENDING).apply(begin(MINE), at(begun_at)) else {
        panic!("a payment begins until the end of the hold");
    };
    assert_eq!(paying.lapses_at(), Some(begun_at + GRACE));
    assert_eq!(
        paying.apply(Event::Expire, at(END + Duration::from_secs(1))),
        Err(Refused::NotDue)
    );
}

#[test]
fn a_payment_that_ends_without_success_makes_the_next_order_another() {
    let Ok(Step::Moved(after)) = reservation(PAYING).apply(release(MINE, FENCE), at(NOW)) else {
        panic!("a payment that runs can end");
    };
    assert_eq!((after.attempt, after.released_payment), (3, Some(MINE)));
}

fn any_refund() -> impl Strategy<Value = RefundId> {
    prop_oneof![Just(REFUND), Just(ANOTHER_REFUND)]
}

fn any_event() -> impl Strategy<Value = Event> {
    let payment = prop_oneof![Just(MINE), Just(OTHER), Just(GONE)];
    let version = 1..8_u64;
    prop_oneof![
        payment.clone().prop_map(begin),
        (payment.clone(), version.clone()).prop_map(|(payment, version)| mark(payment, version)),
        (payment.clone(), version.clone()).prop_map(|(payment, version)| confirm(payment, version)),
        (payment, version).prop_map(|(payment, version)| release(payment, version)),
        Just(Event::Release),
        Just(Event::Expire),
        Just(Event::GiveUp),
        (any_refund(), 0..=100_u32).prop_map(|(refund, percent)| cancel(refund, percent)),
        any_refund().prop_map(refunded),
    ]
}

proptest! {
    #[test]
    fn in_every_history_the_fence_grows_and_the_seats_follow(
        events in prop::collection::vec((any_event(), 0..600_i64), 0..40), canceled_from in 0..80_usize,
    ) {
        let mut now = NOW;
        let mut reservation = Lifecycle::held_until(END);
        let mut seat = SeatStatus::Pending;
        let mut canceled_at = None;
        for (number, (event, seconds)) in events.into_iter().enumerate() {
            now += time::Duration::seconds(seconds);
            canceled_at = canceled_at.or((number >= canceled_from).then_some(now));
            let moment = Moment { now, date_canceled_at: canceled_at };
            let Ok(Step::Moved(after)) = reservation.apply(event, moment) else { continue };
            let same_word = after.state.status() == reservation.state.status();
            prop_assert_eq!(after.version, reservation.version + u64::from(!same_word));
            prop_assert!(same_word || reservation.state.status().is_live(), "an ended reservation stays ended");
            if moment.date_canceled() {
                let status = after.state.status();
                prop_assert!(same_word || !status.is_live(), "{} on a canceled date", status);
            }
            if let Some(event) = reservation.seat_event(&after) {
                seat = seat::apply(seat, event).expect("a seat's machine allows what its reservation's does");
            }
            prop_assert_eq!(after.state.status().is_live(), seat != SeatStatus::Available);
            prop_assert_eq!(after.state.status() == ReservationStatus::Confirmed, seat == SeatStatus::Occupied);
            reservation = after;
        }
    }

    #[test]
    fn what_happened_changes_nothing_when_it_happens_again(event in any_event(), date_canceled: bool) {
        let moment = if date_canceled { off(NOW) } else { at(NOW) };
        for state in STATES {
            let Ok(Step::Moved(after)) = reservation(state).apply(event, moment) else { continue };
            let again = after.apply(event, moment);
            prop_assert!(matches!(again, Ok(Step::Unchanged)), "{:?} after {:?}: {:?}", event, state, again);
        }
    }
}

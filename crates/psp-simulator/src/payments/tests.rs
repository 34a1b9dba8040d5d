//! Every state and event, and the values at their limits.

use time::macros::datetime;

use super::*;

const AT: OffsetDateTime = datetime!(2026-11-20 10:00:00 UTC);

fn won(amount: u64) -> Won {
    Won(NonZeroU64::new(amount).unwrap())
}

fn stamp() -> Stamp {
    Stamp {
        at: AT,
        transaction_key: "T".to_owned(),
    }
}

const CAPTURE: Event = Event::Capture {
    after: Duration::ZERO,
};

fn cancel(amount: Option<u64>) -> Event {
    cancel_of(amount, None)
}

fn cancel_of(amount: Option<u64>, expected_balance: Option<u64>) -> Event {
    Event::Cancel {
        amount: amount.map(won),
        expected_balance: expected_balance.map(won),
        reason: CancelReason("changed my mind".to_owned()),
    }
}

/// A payment of 1,000 won that has reached `status`.
fn payment(status: Status) -> Payment {
    let key = PaymentKey("test_ok_1".to_owned());
    let fresh = Payment::authenticated(key, OrderId("order-1".to_owned()), won(1_000), AT);
    let after = |payment: &Payment, event| apply(payment, &event, stamp()).unwrap();
    match status {
        Status::InProgress => fresh,
        Status::Done => after(&fresh, CAPTURE),
        Status::PartialCanceled => after(&payment(Status::Done), cancel(Some(400))),
        Status::Canceled => after(&payment(Status::Done), cancel(None)),
        Status::Aborted => after(&fresh, Event::Decline),
        Status::Expired => fresh.as_of(AT + CONFIRMATION_WINDOW + Duration::SECOND),
    }
}

#[test]
fn every_state_answers_every_event() {
    use ErrorCode::{
        AlreadyCanceledPayment, AlreadyProcessedPayment, NotCancelableAmount, NotCancelablePayment,
        NotFoundPaymentSession, NotMatchesRefundableAmount, RejectCardPayment,
    };
    use Event::{CancelFault, CancelRefusal, Decline, Fault};
    use Status::{Aborted, Canceled, Done, Expired, InProgress, PartialCanceled};

    let whole = || cancel(None);
    let part = || cancel(Some(600));
    let too_much = || cancel(Some(1_001));
    let of_all = || cancel_of(Some(600), Some(1_000));
    let table = [
        (InProgress, CAPTURE, Ok((Done, 1_000))),
        (InProgress, Decline, Ok((Aborted, 1_000))),
        (InProgress, Fault, Ok((InProgress, 1_000))),
        (InProgress, whole(), Err(NotCancelablePayment)),
        (InProgress, part(), Err(NotCancelablePayment)),
        (InProgress, too_much(), Err(NotCancelablePayment)),
        (InProgress, of_all(), Err(NotCancelablePayment)),
        (InProgress, CancelRefusal, Err(NotCancelablePayment)),
        (InProgress, CancelFault, Err(NotCancelablePayment)),
        (Done, CAPTURE, Err(AlreadyProcessedPayment)),
        (Done, Decline, Err(AlreadyProcessedPayment)),
        (Done, Fault, Err(AlreadyProcessedPayment)),
        (Done, whole(), Ok((Canceled, 0))),
        (Done, part(), Ok((PartialCanceled, 400))),
        (Done, too_much(), Err(NotCancelableAmount)),
        (Done, of_all(), Ok((PartialCanceled, 400))),
        (Done, CancelRefusal, Err(NotCancelablePayment)),
        (Done, CancelFault, Ok((Done, 1_000))),
        (PartialCanceled, CAPTURE, Err(AlreadyProcessedPayment)),
        (PartialCanceled, Decline, Err(AlreadyProcessedPayment)),
        (PartialCanceled, Fault, Err(AlreadyProcessedPayment)),
        (PartialCanceled, whole(), Ok((PartialCanceled, 0))),
        (PartialCanceled, part(), Ok((PartialCanceled, 0))),
        (PartialCanceled, cancel(Some(599)), Ok((PartialCanceled, 1))),
        (PartialCanceled, cancel(Some(601)), Err(NotCancelableAmount)),
        (PartialCanceled, too_much(), Err(NotCancelableAmount)),
        (PartialCanceled, of_all(), Err(NotMatchesRefundableAmount)),
        (PartialCanceled, CancelRefusal, Err(NotCancelablePayment)),
        (PartialCanceled, CancelFault, Ok((PartialCanceled, 600))),
        (Canceled, CAPTURE, Err(AlreadyProcessedPayment)),
        (Canceled, Decline, Err(AlreadyProcessedPayment)),
        (Canceled, Fault, Err(AlreadyProcessedPayment)),
        (Canceled, whole(), Err(AlreadyCanceledPayment)),
        (Canceled, part(), Err(AlreadyCanceledPayment)),
        (Canceled, too_much(), Err(AlreadyCanceledPayment)),
        (Canceled, of_all(), Err(AlreadyCanceledPayment)),
        (Canceled, CancelRefusal, Err(AlreadyCanceledPayment)),
        (Canceled, CancelFault, Err(AlreadyCanceledPayment)),
        (Aborted, CAPTURE, Err(RejectCardPayment)),
        (Aborted, Decline, Err(RejectCardPayment)),
        (Aborted, Fault, Err(RejectCardPayment)),
        (Aborted, whole(), Err(NotCancelablePayment)),
        (Aborted, part(), Err(NotCancelablePayment)),
        (Aborted, too_much(), Err(NotCancelablePayment)),
        (Aborted, of_all(), Err(NotCancelablePayment)),
        (Aborted, CancelRefusal, Err(NotCancelablePayment)),
        (Aborted, CancelFault, Err(NotCancelablePayment)),
        (Expired, CAPTURE, Err(NotFoundPaymentSession)),
        (Expired, Decline, Err(NotFoundPaymentSession)),
        (Expired, Fault, Err(NotFoundPaymentSession)),
        (Expired, whole(), Err(NotCancelablePayment)),
        (Expired, part(), Err(NotCancelablePayment)),
        (Expired, too_much(), Err(NotCancelablePayment)),
        (Expired, of_all(), Err(NotCancelablePayment)),
        (Expired, CancelRefusal, Err(NotCancelablePayment)),
        (Expired, CancelFault, Err(NotCancelablePayment)),
    ];
    for (status, event, expected) in table {
        let after = apply(&payment(status), &event, stamp());
        let after = after.map(|payment| (payment.status, payment.balance()));
        assert_eq!(after, expected, "{status:?} x {event:?}");
    }
}

#[test]
fn what_went_back_and_what_is_left_add_up_to_the_capture() {
    let mut payment = payment(Status::Done);
    for amount in [1, 300, 299] {
        payment = apply(&payment, &cancel(Some(amount)), stamp()).unwrap();
        let back: u64 = payment.cancels.iter().map(|cancel| cancel.amount.get()).sum();
        assert_eq!(back + payment.balance(), 1_000);
    }
    assert_eq!(payment.balance(), 400);
}

#[test]
fn nothing_is_left_of_what_went_back_in_parts() {
    let part = payment(Status::PartialCanceled);
    let nothing = apply(&part, &cancel(None), stamp()).unwrap();
    for again in [cancel(None), cancel(Some(1))] {
        assert_eq!(
            apply(&nothing, &again, stamp()),
            Err(ErrorCode::NotCancelableAmount)
        );
    }
}

#[test]
fn a_late_capture_is_not_seen_before_it_comes() {
    let fresh = payment(Status::InProgress);
    let late = Event::Capture {
        after: Duration::HOUR,
    };
    let confirmed = apply(&fresh, &late, stamp()).unwrap();
    for before in [AT, AT + Duration::minutes(59)] {
        assert_eq!(confirmed.as_of(before), fresh);
    }
    assert_eq!(confirmed.as_of(AT + Duration::HOUR).status, Status::Done);
}

#[test]
fn only_an_unconfirmed_payment_expires_and_only_after_its_window() {
    let last_moment = AT + CONFIRMATION_WINDOW;
    let too_late = last_moment + Duration::SECOND;
    assert_eq!(
        payment(Status::InProgress).as_of(last_moment).status,
        Status::InProgress
    );
    assert_eq!(
        payment(Status::InProgress).as_of(too_late).status,
        Status::Expired
    );
    for status in [
        Status::Done,
        Status::PartialCanceled,
        Status::Canceled,
        Status::Aborted,
    ] {
        assert_eq!(payment(status).as_of(too_late).status, status);
    }
}

#[test]
fn values_outside_the_rules_of_the_provider_cannot_be_built() {
    let order = |id: String| OrderId::try_from(id).is_ok();
    assert!(!order("five5".to_owned()) && order("sixsix".to_owned()));
    assert!(order("x".repeat(64)) && !order("x".repeat(65)));
    assert!(
        order("A-Z_=09".to_owned()) && !order("with space".to_owned()) && !order("주문번호입니다".to_owned())
    );

    let key = |length: usize| PaymentKey::try_from("k".repeat(length)).is_ok();
    assert!(!key(0) && key(1) && key(200) && !key(201));

    let reason = |length: usize| CancelReason::try_from("이".repeat(length)).is_ok();
    assert!(!reason(0) && reason(200) && !reason(201));
}

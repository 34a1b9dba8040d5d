//! The side that payment calls.

use std::time::Duration;

use contracts::booking::payment_credential::Credential;
use contracts::booking::{
    BeginPaymentsRequest, ConfirmReservationsRequest, GetPayablesRequest, PayableToGet, PaymentCredential,
    PaymentToBegin, QueueCredential, ReservationStatus, ReservationToConfirm,
};
use service_kit::grpc::status_of_one;
use service_kit::problem::Problem;
use vocabulary::{ConcertId, PaymentId, ProblemCode, ReservationId, UserId};

use crate::queue_peer::Told;
use crate::world::{GRACE, HOLD, Held, World, code};

fn queue_credential(held: &Held, concert_id: ConcertId) -> QueueCredential {
    QueueCredential {
        user_id: held.visitor.user_id.to_string(),
        concert_id: concert_id.to_string(),
        number: held.visitor.number.0,
    }
}

#[tokio::test]
async fn the_payment_token_and_the_visit_that_made_the_hold_both_allow_to_pay() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let by_token = Credential::PaymentToken(held.reservation.payment_token.clone());
    let by_visit = Credential::Queue(queue_credential(&held, world.concert_id));
    for credential in [by_token, by_visit] {
        let payable = world.payable(held.id, credential).await.unwrap();
        assert_eq!(payable.total, held.reservation.total);
        assert_eq!(payable.order_id, held.reservation.order_id);
        assert_eq!(payable.user_id, held.visitor.user_id.to_string());
        assert_eq!(payable.status(), ReservationStatus::Pending);
    }
}

#[tokio::test]
async fn promise_14_no_other_credential_allows_to_pay() {
    let world = World::with_seats(2).await;
    let held = world.held(&world.seats[..1]).await;
    let other = world.held(&world.seats[1..]).await;
    let token = |text: &str| Credential::PaymentToken(text.to_owned());
    let mut tampered = held.reservation.payment_token.clone();
    tampered.pop();
    for wrong in ["", "forged", &tampered, &other.reservation.payment_token] {
        assert_eq!(
            code(world.payable(held.id, token(wrong)).await),
            ProblemCode::PaymentTokenInvalid,
            "{wrong}"
        );
    }

    let right = queue_credential(&held, world.concert_id);
    let elsewhere = queue_credential(&held, ConcertId::new());
    let another_place = QueueCredential {
        number: right.number + 1,
        ..right.clone()
    };
    for (wrong, why) in [
        (elsewhere, ProblemCode::QueueTokenOtherConcert),
        (another_place, ProblemCode::PaymentTokenInvalid),
    ] {
        assert_eq!(code(world.payable(held.id, Credential::Queue(wrong)).await), why);
    }
    let stranger = QueueCredential {
        user_id: UserId::new().to_string(),
        ..right.clone()
    };
    assert_eq!(
        code(world.payable(held.id, Credential::Queue(stranger)).await),
        ProblemCode::NotFound
    );
    assert_eq!(
        code(
            world
                .payable(ReservationId::new(), Credential::Queue(right))
                .await
        ),
        ProblemCode::NotFound
    );
}

#[tokio::test]
async fn a_payment_begins_and_confirms_and_the_seats_are_sold() {
    let world = World::with_seats(2).await;
    let held = world.held(&world.seats).await;
    let payment = PaymentId::new();

    let paying = world.begin(&held, payment).await.unwrap();
    assert_eq!(paying.version, 2);
    assert_eq!(world.status(&held).await, ReservationStatus::Paying);
    assert_eq!(world.begin(&held, payment).await.unwrap(), paying, "again");
    assert!(!world.get(&held).await.unwrap().payment_token.is_empty());
    assert_eq!(world.seat_states().await, (2, "PP".to_owned()));

    let confirmed = world.confirm(&held, payment, paying.version).await.unwrap();
    assert_eq!(
        (confirmed.status(), confirmed.version),
        (ReservationStatus::Confirmed, 3)
    );
    assert_eq!(
        world.confirm(&held, payment, paying.version).await.unwrap(),
        confirmed,
        "again"
    );
    assert_eq!(world.seat_states().await, (4, "OO".to_owned()));
    world.completed(&held).await;
    let read = world.get(&held).await.unwrap();
    assert_eq!(read.status(), ReservationStatus::Confirmed);
    assert!(read.payment_token.is_empty(), "there is nothing left to pay");
    assert_eq!(world.counted(held.visitor.user_id).await, 2, "owned seats count");
}

#[tokio::test]
async fn a_second_payment_is_in_progress_and_then_already_paid() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let (first, second) = (PaymentId::new(), PaymentId::new());
    let fence = world.begin(&held, first).await.unwrap().version;
    assert_eq!(
        code(world.begin(&held, second).await),
        ProblemCode::PaymentInProgress
    );
    assert_eq!(
        code(world.release(&held).await),
        ProblemCode::ReservationNotReleasable
    );
    world.confirm(&held, first, fence).await.unwrap();
    assert_eq!(code(world.begin(&held, second).await), ProblemCode::AlreadyPaid);
    assert_eq!(
        code(world.confirm(&held, second, fence).await),
        ProblemCode::AlreadyPaid
    );
    assert_eq!(
        code(world.release_payment(&held, first, fence).await),
        ProblemCode::AlreadyPaid
    );
    assert_eq!(
        code(world.release(&held).await),
        ProblemCode::ReservationNotReleasable
    );
}

#[tokio::test]
async fn promise_2_a_stale_version_changes_nothing() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let (first, second) = (PaymentId::new(), PaymentId::new());
    let old = world.begin(&held, first).await.unwrap().version;
    world.release_payment(&held, first, old).await.unwrap();
    let now = world.begin(&held, second).await.unwrap();
    let before = world.seat_states().await;

    for (payment, version) in [(first, old), (second, old), (first, now.version)] {
        assert_eq!(
            code(world.confirm(&held, payment, version).await),
            ProblemCode::PaymentWindowClosed
        );
        assert_eq!(
            code(world.mark_unknown(&held, payment, version).await),
            ProblemCode::PaymentWindowClosed
        );
    }
    assert_eq!(
        code(world.release_payment(&held, second, old).await),
        ProblemCode::PaymentWindowClosed
    );
    let read = world.get(&held).await.unwrap();
    assert_eq!(
        (read.status(), read.version),
        (ReservationStatus::Paying, now.version)
    );
    assert_eq!(world.seat_states().await, before);
    world.confirm(&held, second, now.version).await.unwrap();
}

#[tokio::test]
async fn a_declined_payment_leaves_the_hold_and_makes_the_next_order_another() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let payment = PaymentId::new();
    let fence = world.begin(&held, payment).await.unwrap().version;
    let released = world.release_payment(&held, payment, fence).await.unwrap();
    assert_eq!(released.status(), ReservationStatus::Pending);
    assert_ne!(released.order_id, held.reservation.order_id);
    assert_eq!(released.expires_at, held.reservation.expires_at);
    assert_eq!(
        world.release_payment(&held, payment, fence).await.unwrap(),
        released,
        "again"
    );
    // A payment that ended does not begin again, however late its first call comes.
    assert_eq!(
        code(world.begin(&held, payment).await),
        ProblemCode::PaymentFailed
    );
    world.begin(&held, PaymentId::new()).await.unwrap();
}

#[tokio::test]
async fn a_declined_payment_without_time_left_frees_the_seats() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let payment = PaymentId::new();
    let fence = world.begin(&held, payment).await.unwrap().version;
    world.database.step_clock(HOLD).await;
    let released = world.release_payment(&held, payment, fence).await.unwrap();
    assert_eq!(released.status(), ReservationStatus::Expired);
    assert_eq!(world.seat_states().await, (2, "A".to_owned()));
    assert_eq!(world.counted(held.visitor.user_id).await, 0);
    assert_eq!(
        world.queue.told(held.visitor.visit_id),
        [Told::PageEnded, Told::Expired]
    );
    assert_eq!(
        world.release_payment(&held, payment, fence).await.unwrap(),
        released
    );
    // The lock went with the hold.
    world.held(&world.seats).await;
}

#[tokio::test]
async fn a_payment_cannot_begin_after_the_end_of_the_hold_even_before_it_was_swept() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    world.database.step_clock(HOLD).await;
    assert_eq!(
        code(world.begin(&held, PaymentId::new()).await),
        ProblemCode::PaymentWindowClosed
    );
    world.booking.sweep().await.unwrap();
    assert_eq!(
        code(world.begin(&held, PaymentId::new()).await),
        ProblemCode::PaymentWindowClosed
    );
}

#[tokio::test]
async fn a_payment_that_runs_has_its_grace_and_then_lapses() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    world.database.step_clock(HOLD - Duration::from_secs(5)).await;
    let payment = PaymentId::new();
    let fence = world.begin(&held, payment).await.unwrap().version;

    world.database.step_clock(Duration::from_secs(20)).await;
    assert_eq!(world.expire_due(0).await.expired, 0, "the hold's end alone");
    world.database.step_clock(GRACE).await;
    assert_eq!(world.expire_due(0).await.expired, 1);
    assert_eq!(
        code(world.confirm(&held, payment, fence).await),
        ProblemCode::PaymentWindowClosed
    );
    // What expiry ended is also released, as far as the payment is concerned.
    let released = world.release_payment(&held, payment, fence).await.unwrap();
    assert_eq!(released.status(), ReservationStatus::Expired);
}

#[tokio::test]
async fn a_payment_of_unknown_outcome_never_lapses_and_can_still_be_confirmed() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let payment = PaymentId::new();
    let fence = world.begin(&held, payment).await.unwrap().version;
    world.mark_unknown(&held, payment, fence).await.unwrap();
    world.mark_unknown(&held, payment, fence).await.unwrap();
    world
        .database
        .step_clock(Duration::from_secs(7 * 24 * 3_600))
        .await;
    assert_eq!(world.expire_due(0).await.expired, 0);
    assert_eq!(world.status(&held).await, ReservationStatus::Paying);
    world.confirm(&held, payment, fence).await.unwrap();
    assert_eq!(world.seat_states().await.1, "O");
}

/// A payment's steps go by what was seen at the step before, where that is still so; what happened since decides.
#[tokio::test]
async fn what_was_seen_before_a_step_decides_nothing() {
    let world = World::with_seats(5).await;
    let mut held = Vec::new();
    for seat in &world.seats {
        let held_here = world.held(&[*seat]).await;
        let token = Credential::PaymentToken(held_here.reservation.payment_token.clone());
        world.payable(held_here.id, token).await.unwrap();
        held.push(held_here);
    }
    let (first, second) = (PaymentId::new(), PaymentId::new());

    // Given up since.
    world.release(&held[0]).await.unwrap();
    assert_eq!(
        code(world.begin(&held[0], first).await),
        ProblemCode::PaymentWindowClosed
    );

    // Another payment began since, and ended, and it is not the same reservation to whoever saw it before that.
    let fence = world.begin(&held[1], first).await.unwrap().version;
    world.release_payment(&held[1], first, fence).await.unwrap();
    let late = world.confirm(&held[1], first, fence).await;
    assert_eq!(code(late), ProblemCode::PaymentWindowClosed);
    let again = world.begin(&held[1], second).await.unwrap();
    assert!(again.version > fence);

    // Its outcome became unknown since: it is confirmed all the same.
    let fence = world.begin(&held[2], first).await.unwrap().version;
    world.mark_unknown(&held[2], first, fence).await.unwrap();
    world.confirm(&held[2], first, fence).await.unwrap();

    // Its date was canceled since.
    let fence = world.begin(&held[4], first).await.unwrap().version;
    world.cancel_schedule(world.schedule_id).await.unwrap();
    let late = world.confirm(&held[4], first, fence).await;
    assert_eq!(code(late), ProblemCode::ScheduleCanceled);
    assert_eq!(
        code(world.begin(&held[3], first).await),
        ProblemCode::ScheduleCanceled
    );
}

#[tokio::test]
async fn a_hold_that_lapsed_since_it_was_seen_cannot_be_paid() {
    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let token = Credential::PaymentToken(held.reservation.payment_token.clone());
    world.payable(held.id, token).await.unwrap();
    let (held, first) = ([held], PaymentId::new());
    world.database.step_clock(HOLD + Duration::from_secs(1)).await;
    assert_eq!(
        code(world.begin(&held[0], first).await),
        ProblemCode::PaymentWindowClosed
    );
    world.expire_due(10).await;
    assert_eq!(
        code(world.begin(&held[0], first).await),
        ProblemCode::PaymentWindowClosed
    );
}

/// Payments of one call share a statement; each has its own answer, fence and notice.
#[tokio::test]
async fn payments_that_meet_begin_and_settle_each_by_its_own() {
    let world = World::with_seats(12).await;
    let mut held = Vec::new();
    for (number, seat) in world.seats.iter().enumerate() {
        let hold = world.held(&[*seat]).await;
        // Some were begun and released before, so that their fences differ.
        for _ in 0..number % 3 {
            let payment = PaymentId::new();
            let fence = world.begin(&hold, payment).await.unwrap().version;
            world.release_payment(&hold, payment, fence).await.unwrap();
        }
        held.push((hold, PaymentId::new()));
    }
    let commits = async || -> i64 {
        sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM reservations")
            .fetch_one(world.database.pool())
            .await
            .unwrap()
    };
    for (hold, _) in &held {
        let token = Credential::PaymentToken(world.get(hold).await.unwrap().payment_token);
        world.payable(hold.id, token).await.unwrap();
    }
    let payments: Vec<_> = held.iter().map(|(hold, payment)| (hold, *payment)).collect();
    let begun = world.begin_all(&payments).await.unwrap();
    assert_eq!(commits().await, 1);
    let mut fences = Vec::new();
    for (number, begun) in begun.into_iter().enumerate() {
        let begun = begun.unwrap();
        assert_eq!(begun.version, 2 + 2 * (number as u64 % 3));
        fences.push(begun.version);
    }
    // Another payment of the first, and a fence that is not the present one of the second, in the same call as the rest.
    let mut confirms: Vec<_> = held
        .iter()
        .zip(&fences)
        .map(|((hold, payment), fence)| (hold, *payment, *fence))
        .collect();
    confirms[0].1 = PaymentId::new();
    confirms[1].2 += 1;
    let confirmed = world.confirm_all(&confirms).await.unwrap();
    for (number, (confirmed, (hold, ..))) in confirmed.into_iter().zip(&confirms).enumerate() {
        if number > 1 {
            assert_eq!(confirmed.unwrap().reservation_id, hold.id.to_string());
            world.completed(hold).await;
        } else {
            assert_eq!(code(confirmed), ProblemCode::PaymentWindowClosed);
            assert_eq!(world.queue.told(hold.visitor.visit_id), [Told::PageEnded]);
        }
    }
    assert_eq!(
        commits().await,
        2,
        "one of those that began, and one of those that are sold"
    );
}

/// Buyers share a call with strangers: whatever is wrong with one is that one's answer.
#[tokio::test]
async fn what_is_wrong_with_one_of_several_is_nobody_elses_fault() {
    use contracts::booking::{begin_payment_outcome, confirmation_outcome, payable_outcome};

    let world = World::with_seats(1).await;
    let held = world.held(&world.seats).await;
    let (id, payment) = (held.id.to_string(), PaymentId::new().to_string());
    let mut client = world.client.clone();
    let wrong = |refused: tonic::Status| -> Vec<String> {
        let fields = Problem::from(refused).fields.into_iter();
        fields.map(|error| error.field).collect()
    };

    let token = Credential::PaymentToken(held.reservation.payment_token.clone());
    let payables = [
        (id.as_str(), None),
        ("7", Some(token.clone())),
        (id.as_str(), Some(token)),
    ];
    let payables = payables.map(|(reservation_id, credential)| PayableToGet {
        reservation_id: reservation_id.to_owned(),
        credential: Some(PaymentCredential { credential }),
    });
    let request = GetPayablesRequest {
        payables: payables.to_vec(),
    };
    let answer = client.get_payables(request).await.unwrap().into_inner();
    let said: Vec<_> = answer
        .outcomes
        .iter()
        .map(|outcome| match outcome.outcome.as_ref().unwrap() {
            payable_outcome::Outcome::Payable(payable) => vec![payable.order_id.clone()],
            payable_outcome::Outcome::Error(error) => wrong(status_of_one(error)),
        })
        .collect();
    assert_eq!(
        said,
        [
            ["credential"],
            ["reservationId"],
            [held.reservation.order_id.as_str()]
        ]
    );

    let payments = [(id.as_str(), ""), (id.as_str(), payment.as_str())];
    let payments = payments.map(|(reservation_id, payment_id)| PaymentToBegin {
        reservation_id: reservation_id.to_owned(),
        payment_id: payment_id.to_owned(),
    });
    let request = BeginPaymentsRequest {
        payments: payments.to_vec(),
    };
    let answer = client.begin_payments(request).await.unwrap().into_inner();
    let said: Vec<_> = answer
        .outcomes
        .iter()
        .map(|outcome| match outcome.outcome.as_ref().unwrap() {
            begin_payment_outcome::Outcome::Begun(begun) => vec![begun.version.to_string()],
            begin_payment_outcome::Outcome::Error(error) => wrong(status_of_one(error)),
        })
        .collect();
    assert_eq!(said, [["paymentId"], ["2"]]);

    let reservations = [0, 2].map(|version| ReservationToConfirm {
        reservation_id: id.clone(),
        payment_id: payment.clone(),
        version,
    });
    let request = ConfirmReservationsRequest {
        reservations: reservations.to_vec(),
    };
    let answer = client.confirm_reservations(request).await.unwrap().into_inner();
    let said: Vec<_> = answer
        .outcomes
        .iter()
        .map(|outcome| match outcome.outcome.as_ref().unwrap() {
            confirmation_outcome::Outcome::Reservation(sold) => vec![sold.reservation_id.clone()],
            confirmation_outcome::Outcome::Error(error) => wrong(status_of_one(error)),
        })
        .collect();
    assert_eq!(said, [["version"], [id.as_str()]]);
}

//! The rule stands twice, in `domain` and in the guards of the store's statements: here every state meets every event
//! in both, and they agree.

use std::time::Duration;

use booking::app::AppError;
use booking::domain::{Cancellation, Event, Lifecycle, Percent, Refused, State, Step};
use booking::store::Loaded;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;
use vocabulary::{PaymentId, RefundId, ReservationId};

use crate::world::{GRACE, HOLD, Held, TIERS, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Pending,
    PendingAgain,
    Paying,
    Unknown,
    Confirmed,
    Expired,
    Canceled,
    Refunding,
    Refunded,
}

const STARTS: [Start; 9] = [
    Start::Pending,
    Start::PendingAgain,
    Start::Paying,
    Start::Unknown,
    Start::Confirmed,
    Start::Expired,
    Start::Canceled,
    Start::Refunding,
    Start::Refunded,
];

/// The refund for which what is canceled here was canceled.
const REFUND: u128 = 7;

/// Brings a new hold into a state. Answers the payment that was in it, and its fence.
async fn bring_to(world: &World, start: Start, held: &Held) -> (PaymentId, u64) {
    let payment = PaymentId::new();
    match start {
        Start::Pending => (payment, 1),
        Start::Canceled => {
            world.release(held).await.unwrap();
            (payment, 1)
        }
        Start::Expired => {
            // The only one that is due; the clock goes on for all others.
            world.database.step_clock(HOLD).await;
            world.expire_due(0).await;
            (payment, 1)
        }
        _ => {
            let fence = world.begin(held, payment).await.unwrap().version;
            match start {
                Start::PendingAgain => drop(world.release_payment(held, payment, fence).await.unwrap()),
                Start::Unknown => world.mark_unknown(held, payment, fence).await.unwrap(),
                Start::Confirmed | Start::Refunding | Start::Refunded => {
                    world.confirm(held, payment, fence).await.unwrap();
                }
                _ => {}
            }
            if matches!(start, Start::Refunding | Start::Refunded) {
                world.cancel(held, refund(held, REFUND)).await.unwrap();
            }
            if start == Start::Refunded {
                let refund_id = refund(held, REFUND);
                world.complete_refund(held.id, refund_id).await.unwrap();
            }
            (payment, fence)
        }
    }
}

/// A time that is later than all that happens here.
const LATER: OffsetDateTime = datetime!(2099-01-01 00:00 UTC);

fn held_at(held: &Held) -> OffsetDateTime {
    contracts::time_of("createdAt", &held.reservation.created_at.unwrap()).unwrap()
}

/// A refund of this reservation: no two reservations share one.
fn refund(held: &Held, number: u128) -> RefundId {
    RefundId::from_uuid(Uuid::from_u128(held.id.as_uuid().as_u128() ^ number))
}

/// `share` is what the date's policy gives back.
fn events(held: &Held, mine: PaymentId, version: u64, share: Option<Percent>) -> Vec<Event> {
    let other = PaymentId::new();
    let begin = |payment| Event::BeginPayment {
        payment,
        grace: GRACE,
    };
    let mut events = vec![
        begin(mine),
        begin(other),
        Event::Release,
        Event::Expire,
        Event::GiveUp,
    ];
    for refund_id in [refund(held, REFUND), refund(held, REFUND + 1)] {
        for asked_at in [held_at(held), LATER] {
            events.push(Event::Cancel {
                refund_id,
                asked_at,
                share,
            });
        }
        events.push(Event::CompleteRefund { refund_id });
    }
    for (payment, version) in [(mine, version), (mine, version + 9), (other, version)] {
        events.push(Event::MarkPaymentUnknown { payment, version });
        events.push(Event::Confirm { payment, version });
        events.push(Event::ReleasePayment { payment, version });
    }
    events
}

/// Has the service apply an event, whatever call that takes.
async fn send(world: &World, held: &Held, event: Event) -> Result<(), AppError> {
    let (booking, id) = (&world.booking, held.id);
    match event {
        Event::BeginPayment { payment, .. } => {
            let mut begun = booking.begin_payments(&[(id, payment)]).await;
            begun.remove(0).map(drop)
        }
        Event::MarkPaymentUnknown { payment, version } => {
            booking.mark_payment_unknown(id, payment, version).await
        }
        Event::Confirm { payment, version } => {
            let mut confirmed = booking.confirm_reservations(&[(id, payment, version)]).await;
            confirmed.remove(0).map(drop)
        }
        Event::ReleasePayment { payment, version } => {
            booking.release_payment(id, payment, version).await.map(drop)
        }
        Event::Release => booking.release_reservation(held.visitor.user_id, id).await,
        // Expiry asks for whatever is due; what is not refuses by staying as it is.
        Event::Expire => booking.expire_due(1_000).await.map(drop),
        // And so does giving up.
        Event::GiveUp => booking.give_up_holds(1_000).await.map(drop),
        Event::Cancel {
            refund_id, asked_at, ..
        } => {
            let canceled = booking.cancel_reservation(held.visitor.user_id, id, refund_id, Some(asked_at));
            canceled.await.map(drop)
        }
        Event::CompleteRefund { refund_id } => booking.complete_refund(id, refund_id).await,
    }
}

async fn load(world: &World, id: ReservationId) -> Loaded {
    world.store().reservation(id).await.unwrap().unwrap()
}

/// What the domain says, and what the service did.
fn compare(
    name: &str,
    before: Loaded,
    event: Event,
    outcome: Result<(), Option<Refused>>,
    after: &Lifecycle,
) {
    let lifecycle = before.reservation.lifecycle;
    let event = match event {
        // A time in the future counts as now.
        Event::Cancel {
            refund_id,
            asked_at,
            share,
        } => Event::Cancel {
            refund_id,
            asked_at: asked_at.min(before.at.now),
            share,
        },
        event => event,
    };
    match lifecycle.apply(event, before.at) {
        Ok(Step::Moved(expected)) => {
            assert_eq!(outcome, Ok(()), "{name}");
            assert_eq!(close(after), close(&expected), "{name}");
            let rest = |lifecycle: &Lifecycle| {
                (
                    lifecycle.version,
                    lifecycle.attempt,
                    lifecycle.expires_at,
                    lifecycle.released_payment,
                )
            };
            assert_eq!(rest(after), rest(&expected), "{name}");
        }
        Ok(Step::Unchanged) => {
            assert_eq!(outcome, Ok(()), "{name}");
            assert_eq!(*after, lifecycle, "{name}");
        }
        Err(refused) => {
            if !matches!(event, Event::Expire | Event::GiveUp) {
                assert_eq!(outcome, Err(Some(refused)), "{name}");
            }
            // On a canceled date confirming ends the payment.
            let ended = match event {
                Event::Confirm { payment, version } if refused == Refused::ScheduleCanceled => {
                    lifecycle.apply(Event::ReleasePayment { payment, version }, before.at)
                }
                _ => Err(refused),
            };
            match ended {
                Ok(Step::Moved(ended)) => assert_eq!(close(after), close(&ended), "{name}"),
                _ => assert_eq!(*after, lifecycle, "{name}"),
            }
        }
    }
}

/// A lifecycle's state but for the exact times, which the store's statements decide.
fn close(lifecycle: &Lifecycle) -> impl PartialEq + std::fmt::Debug + use<> {
    let canceled = match lifecycle.state {
        State::Canceled(Some(canceled)) => Some(Cancellation {
            canceled_at: OffsetDateTime::UNIX_EPOCH,
            refunded_at: canceled.refunded_at.map(|_| OffsetDateTime::UNIX_EPOCH),
            ..canceled
        }),
        _ => None,
    };
    let lapses = lifecycle.lapses_at().is_some();
    (lifecycle.state.status(), lapses, canceled)
}

/// Every state meets every event, `late` after the event's state was reached, of dates that give back what `tiers` say and
/// stand, or were canceled meanwhile.
async fn every_pair(late: Duration, tiers: &[(u32, u32)], date_canceled: bool) {
    let world = World::with_seats(1).await;
    for start in STARTS {
        let mut number = 0;
        loop {
            // What was canceled by its owner was so under a policy that let it.
            let was_canceled = matches!(start, Start::Refunding | Start::Refunded);
            let of_date = if was_canceled { &TIERS } else { tiers };
            let (schedule_id, seat) = world.another_date(of_date).await;
            let held = world.held_of(schedule_id, &[seat]).await;
            let (payment, fence) = bring_to(&world, start, &held).await;
            let share = of_date.first().and_then(|tier| Percent::new(tier.1));
            let Some(&event) = events(&held, payment, fence, share).get(number) else {
                break;
            };
            number += 1;
            if date_canceled {
                world.cancel_schedule(schedule_id).await.unwrap();
            }
            world.database.step_clock(late).await;

            let before = load(&world, held.id).await;
            let outcome = send(&world, &held, event).await.map_err(|error| match error {
                AppError::Refused(refused) => Some(refused),
                error => panic!("{start:?} x {event:?}: {error}"),
            });
            let after = load(&world, held.id).await.reservation.lifecycle;
            compare(
                &format!("{start:?} x {event:?} after {late:?}, date canceled: {date_canceled}"),
                before,
                event,
                outcome,
                &after,
            );
        }
    }
}

const TOO_LATE: Duration = Duration::from_secs(HOLD.as_secs() + GRACE.as_secs() + 1);

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_event_is_decided_alike_by_domain_and_postgres_in_time() {
    every_pair(Duration::ZERO, &TIERS, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_event_is_decided_alike_by_domain_and_postgres_when_the_time_is_over() {
    every_pair(TOO_LATE, &[], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_event_is_decided_alike_by_domain_and_postgres_on_a_canceled_date() {
    every_pair(Duration::ZERO, &[], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_event_is_decided_alike_by_domain_and_postgres_on_a_date_canceled_long_ago() {
    every_pair(TOO_LATE, &TIERS, true).await;
}

//! The rule stands twice, in `domain` and in the guards of the store's statements: here every state meets every event
//! in both, and they agree.

use std::time::Duration;

use booking::app::AppError;
use booking::domain::{Event, Lifecycle, Refused, Step};
use booking::store::Loaded;
use vocabulary::{PaymentId, ReservationId};

use crate::world::{GRACE, HOLD, Held, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Pending,
    PendingAgain,
    Paying,
    Unknown,
    Confirmed,
    Expired,
    Canceled,
}

const STARTS: [Start; 7] = [
    Start::Pending,
    Start::PendingAgain,
    Start::Paying,
    Start::Unknown,
    Start::Confirmed,
    Start::Expired,
    Start::Canceled,
];

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
        Start::PendingAgain | Start::Paying | Start::Unknown | Start::Confirmed => {
            let fence = world.begin(held, payment).await.unwrap().version;
            match start {
                Start::PendingAgain => drop(world.release_payment(held, payment, fence).await.unwrap()),
                Start::Unknown => world.mark_unknown(held, payment, fence).await.unwrap(),
                Start::Confirmed => drop(world.confirm(held, payment, fence).await.unwrap()),
                _ => {}
            }
            (payment, fence)
        }
    }
}

fn events(mine: PaymentId, version: u64) -> Vec<Event> {
    let other = PaymentId::new();
    let begin = |payment| Event::BeginPayment {
        payment,
        grace: GRACE,
    };
    let mut events = vec![begin(mine), begin(other), Event::Release, Event::Expire];
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
        Event::BeginPayment { payment, .. } => booking.begin_payment(id, payment).await.map(drop),
        Event::MarkPaymentUnknown { payment, version } => {
            booking.mark_payment_unknown(id, payment, version).await
        }
        Event::Confirm { payment, version } => {
            booking.confirm_reservation(id, payment, version).await.map(drop)
        }
        Event::ReleasePayment { payment, version } => {
            booking.release_payment(id, payment, version).await.map(drop)
        }
        Event::Release => booking.release_reservation(held.visitor.user_id, id).await,
        // Expiry asks for whatever is due; what is not refuses by staying as it is.
        Event::Expire => booking.expire_due(1_000).await.map(drop),
        Event::Cancel => unreachable!("no call does this"),
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
    match lifecycle.apply(event, before.now) {
        Ok(Step::Moved(expected)) => {
            assert_eq!(outcome, Ok(()), "{name}");
            let close = |lifecycle: &Lifecycle| (lifecycle.state.status(), lifecycle.lapses_at().is_some());
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
            if event != Event::Expire {
                assert_eq!(outcome, Err(Some(refused)), "{name}");
            }
            assert_eq!(*after, lifecycle, "{name}");
        }
    }
}

/// Every state meets every event, `late` after the event's state was reached.
async fn every_pair(late: Duration) {
    let pairs = events(PaymentId::new(), 1).len();
    let world = World::with_seats(STARTS.len() * pairs).await;
    let mut seats = world.seats.iter();
    for start in STARTS {
        for number in 0..pairs {
            let held = world.held(&[*seats.next().unwrap()]).await;
            let (payment, fence) = bring_to(&world, start, &held).await;
            let event = events(payment, fence)[number];
            world.database.step_clock(late).await;

            let before = load(&world, held.id).await;
            let outcome = send(&world, &held, event).await.map_err(|error| match error {
                AppError::Refused(refused) => Some(refused),
                error => panic!("{start:?} x {event:?}: {error}"),
            });
            let after = load(&world, held.id).await.reservation.lifecycle;
            compare(
                &format!("{start:?} x {event:?} after {late:?}"),
                before,
                event,
                outcome,
                &after,
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_event_is_decided_alike_by_domain_and_postgres_in_time() {
    every_pair(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_event_is_decided_alike_by_domain_and_postgres_when_the_time_is_over() {
    every_pair(HOLD + GRACE + Duration::from_secs(1)).await;
}

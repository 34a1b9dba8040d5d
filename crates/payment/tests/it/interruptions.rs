//! A process may die before and after every call that it makes, every call may fail or lose its answer, and every call may
//! be delivered twice: each payment still ends, and the money with it.

use std::collections::BTreeSet;

use contracts::booking::ReservationStatus;
use payment::domain::{NewPayment, OrderId, Payment, PaymentKey, State, split};
use payment::store::Inserted;
use vocabulary::{Amount, Currency, PaymentId};

use crate::booking::{Call, Fault};
use crate::ledger::assert_balanced;
use crate::mishaps::{Mishap, Survived, survive};
use crate::world::{Hold, World, card};

/// A payment that was recorded, and not a step further.
pub(crate) async fn recorded(world: &World, hold: &Hold, points: i64, payment_key: &str) -> Payment {
    let card = (!payment_key.is_empty()).then(|| (PaymentKey::new(payment_key).unwrap(), None));
    let terms = split(
        Amount::new(10_000).unwrap(),
        Currency::KRW,
        Amount::new(points).unwrap(),
        card,
        OrderId::new(&world.booking.order_id(hold)).ok(),
    );
    let new = NewPayment {
        payment_id: PaymentId::new(),
        reservation_id: hold.reservation_id,
        user_id: hold.user_id,
        currency: Currency::KRW,
        terms: terms.unwrap(),
    };
    let lease = world.config.settings.lease;
    match world.store().insert(&new, None, lease).await.unwrap() {
        Inserted::New(payment) => payment,
        other => panic!("{other:?}"),
    }
}

/// One way that a payment may go.
struct Way {
    name: &'static str,
    wallet: i64,
    points: i64,
    card: Option<&'static str>,
    lapses: bool,
    ends: (State, ReservationStatus),
}

const WAYS: [Way; 6] = [
    Way {
        name: "points only",
        wallet: 10_000,
        points: 10_000,
        card: None,
        lapses: false,
        ends: (State::Succeeded, ReservationStatus::Confirmed),
    },
    Way {
        name: "points and card",
        wallet: 10_000,
        points: 4_000,
        card: Some("ok"),
        lapses: false,
        ends: (State::Succeeded, ReservationStatus::Confirmed),
    },
    Way {
        name: "short of points",
        wallet: 3_999,
        points: 4_000,
        card: Some("ok"),
        lapses: false,
        ends: (State::Failed, ReservationStatus::Pending),
    },
    Way {
        name: "declined",
        wallet: 10_000,
        points: 4_000,
        card: Some("declined"),
        lapses: false,
        ends: (State::Failed, ReservationStatus::Pending),
    },
    Way {
        name: "unavailable at first",
        wallet: 10_000,
        points: 4_000,
        card: Some("unavailable"),
        lapses: false,
        ends: (State::Succeeded, ReservationStatus::Confirmed),
    },
    Way {
        name: "captured for seats that are gone",
        wallet: 10_000,
        points: 4_000,
        card: Some("ok"),
        lapses: true,
        ends: (State::Refunded, ReservationStatus::Expired),
    },
];

/// Lets one payment go its way under a mishap until it has ended.
async fn go(world: &World, way: &Way, mishap: Mishap) -> Survived {
    let hold = world.hold_with(10_000, way.wallet).await;
    let payment_key = way.card.map(card).unwrap_or_default();
    let payment = recorded(world, &hold, way.points, &payment_key).await;
    let payment_id = payment.payment_id;
    if way.lapses {
        world.booking.fault(Call::Confirm, Fault::LapsedBefore);
    }

    let survived = survive(world, payment, mishap).await;
    let ended = world.store().payment(payment_id).await.unwrap().unwrap();
    let ends = (ended.state, world.booking.status(&hold));
    // A mishap may make the outcome unknown, and while it is a hold does not lapse.
    let held = way.lapses && ends == (State::Succeeded, ReservationStatus::Confirmed);
    assert!(ends == way.ends || held, "{}, {mishap:?}: {ends:?}", way.name);
    assert_balanced(world).await;
    survived
}

#[tokio::test]
async fn promise_15_a_process_that_dies_anywhere_leaves_nothing_undone() {
    let world = World::start().await;
    let mut found_in = BTreeSet::new();
    let mut deaths = 0;
    for way in &WAYS {
        let Survived { calls, .. } = go(&world, way, Mishap::None).await;
        for n in 0..calls {
            for mishap in [Mishap::DiesBefore(n), Mishap::DiesAfter(n)] {
                found_in.extend(go(&world, way, mishap).await.found_in);
                deaths += 1;
            }
        }
    }
    println!("{deaths} points of death");
    // A state that is new and open, and that no death was tried in, fails here.
    let open = State::ALL.iter().filter(|state| !state.has_ended());
    let open: BTreeSet<_> = open.map(|state| state.as_str().to_owned()).collect();
    assert_eq!(found_in, open);
}

#[tokio::test]
async fn every_call_may_fail_or_lose_its_answer() {
    let world = World::start().await;
    for way in &WAYS {
        let Survived { calls, .. } = go(&world, way, Mishap::None).await;
        for n in 0..calls {
            go(&world, way, Mishap::Fails(n)).await;
            go(&world, way, Mishap::AnswerLost(n)).await;
        }
    }
}

#[tokio::test]
async fn every_call_may_arrive_twice() {
    let world = World::start().await;
    for way in &WAYS {
        go(&world, way, Mishap::Twice).await;
    }
}

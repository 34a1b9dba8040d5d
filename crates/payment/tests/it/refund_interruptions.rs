//! A process may die before and after every call of a refund, every call may fail or lose its answer, and every call may be
//! delivered twice: each refund still ends, and the money with it.

use std::collections::BTreeSet;

use contracts::booking::ReservationStatus;
use payment::domain::RefundState;

use crate::ledger::assert_balanced;
use crate::mishaps::{Mishap, Survived, survive};
use crate::refunding::{paid, recorded};
use crate::world::{World, card};

/// One way that a refund may go.
struct Way {
    name: &'static str,
    points: i64,
    card: Option<&'static str>,
    percent: u32,
    ends: (RefundState, ReservationStatus),
}

const BACK: (RefundState, ReservationStatus) = (RefundState::Completed, ReservationStatus::Canceled);

const WAYS: [Way; 6] = [
    Way {
        name: "points only",
        points: 10_000,
        card: None,
        percent: 100,
        ends: BACK,
    },
    Way {
        name: "card only",
        points: 0,
        card: Some("ok"),
        percent: 100,
        ends: BACK,
    },
    Way {
        name: "points and card",
        points: 4_000,
        card: Some("ok"),
        percent: 100,
        ends: BACK,
    },
    Way {
        name: "a share of points and card",
        points: 4_000,
        card: Some("ok"),
        percent: 30,
        ends: BACK,
    },
    Way {
        name: "a share that is unavailable at first",
        points: 4_000,
        card: Some("cancel_unavailable"),
        percent: 30,
        ends: BACK,
    },
    Way {
        name: "refused",
        points: 4_000,
        card: Some("ok"),
        percent: 0,
        ends: (RefundState::Refused, ReservationStatus::Confirmed),
    },
];

/// Lets one refund go its way under a mishap until it has ended.
async fn go(world: &World, way: &Way, mishap: Mishap) -> Survived {
    let payment_key = way.card.map(card);
    let hold = paid(world, way.points, payment_key.as_deref()).await;
    world.booking.gives_back(&hold, way.percent);
    let refund = recorded(world, &hold).await;
    let refund_id = refund.refund_id;
    let (_, given_back) = world.provider_totals().await;

    let survived = survive(world, refund, mishap).await;
    let ended = world.store().refund(refund_id).await.unwrap().unwrap();
    let ends = (ended.state, world.booking.status(&hold));
    assert_eq!(ends, way.ends, "{}, {mishap:?}", way.name);
    let share = i64::from(way.percent);
    assert_eq!(
        world.wallet(&hold).await,
        (10_000 - way.points + way.points * share / 100, 0),
        "{}, {mishap:?}",
        way.name
    );
    let by_card = 10_000 - way.points;
    assert_eq!(
        world.provider_totals().await.1 - given_back,
        by_card * share / 100,
        "{}, {mishap:?}",
        way.name
    );
    assert_eq!(
        world.booking.is_refunded(&hold),
        ended.state == RefundState::Completed
    );
    assert_balanced(world).await;
    survived
}

#[tokio::test]
async fn promise_15_a_refund_whose_process_dies_anywhere_still_ends() {
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
    // A state that is new and open, and that no death was tried in, fails here. SEATS_RETURNED calls nobody.
    let calling = RefundState::ALL
        .iter()
        .filter(|state| !state.has_ended() && **state != RefundState::SeatsReturned);
    let calling: BTreeSet<_> = calling.map(|state| state.as_str().to_owned()).collect();
    assert_eq!(found_in, calling);
}

#[tokio::test]
async fn every_call_of_a_refund_may_fail_or_lose_its_answer() {
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
async fn every_call_of_a_refund_may_arrive_twice() {
    let world = World::start().await;
    for way in &WAYS {
        go(&world, way, Mishap::Twice).await;
    }
}

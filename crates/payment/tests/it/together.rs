//! Payments that meet at the database share a statement and nothing else.

use std::time::Duration;

use futures::future::join_all;
use payment::domain::{Event, NewPayment, Payment, Terms};
use payment::store::{Inserted, RequestKey, Store, StoreError};
use vocabulary::{Amount, Currency, PaymentId, ProblemCode, ReservationId, UserId};

use crate::world::World;

const LEASE: Duration = Duration::from_secs(60);
const TAKEN: Event = Event::PointsTaken { fence: 2 };

fn won(amount: i64) -> Amount {
    Amount::new(amount).unwrap()
}

fn new(user_id: UserId, points: i64) -> NewPayment {
    NewPayment {
        payment_id: PaymentId::new(),
        reservation_id: ReservationId::new(),
        user_id,
        currency: Currency::KRW,
        terms: Terms {
            points: won(points),
            card: None,
        },
    }
}

async fn begun(store: &Store, user_id: UserId, points: i64) -> Payment {
    match store.insert(&new(user_id, points), None, LEASE).await.unwrap() {
        Inserted::New(payment) => payment,
        other => panic!("{other:?}"),
    }
}

async fn user_with(store: &Store, points: i64) -> UserId {
    let user_id = UserId::new();
    let operation = user_id.to_string();
    store.grant(user_id, won(points), &operation).await.unwrap();
    user_id
}

#[tokio::test]
async fn of_steps_that_meet_each_moves_its_own_money_and_who_is_short_stops_nobody() {
    let world = World::start().await;
    let store = world.store();
    let mut payments = Vec::new();
    for number in 0..40_i64 {
        let user_id = user_with(&store, 1_000).await;
        // Every tenth asks for more than there is.
        let points = if number % 10 == 9 { 1_001 } else { 100 + number };
        payments.push(begun(&store, user_id, points).await);
    }
    let taken = join_all(payments.iter().map(|payment| {
        let (store, next) = (store.clone(), payment.after(&TAKEN).unwrap());
        async move { store.transition(payment, &next, LEASE).await }
    }));
    for (payment, taken) in payments.iter().zip(taken.await) {
        let wallet = store.wallet(payment.user_id).await.unwrap();
        let moved = match taken {
            Ok(()) => payment.points.get(),
            Err(StoreError::InsufficientPoints) => 0,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(moved == 0, payment.points > won(1_000));
        assert_eq!((wallet.balance, wallet.pending), (1_000 - moved, moved));
    }
    let commits = commits(&world, "state = 'POINTS_TAKEN'").await;
    assert!((1..=3).contains(&commits), "36 steps in {commits} commits");
}

/// In how many transactions the payments were last changed.
async fn commits(world: &World, which: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT count(DISTINCT xmin::text) FROM payments WHERE {which}"
    )))
    .fetch_one(world.database.pool())
    .await
    .unwrap()
}

/// Each alone they could be paid, and together not: one is, whichever way they come.
#[tokio::test]
async fn of_two_payments_from_one_wallet_in_one_batch_one_is_short() {
    let world = World::start().await;
    let store = world.store();
    let user_id = user_with(&store, 1_000).await;
    let payments = [
        begun(&store, user_id, 600).await,
        begun(&store, user_id, 700).await,
    ];
    let other = begun(&store, user_with(&store, 1_000).await, 500).await;
    let taken = join_all(payments.iter().chain([&other]).map(|payment| {
        let (store, next) = (store.clone(), payment.after(&TAKEN).unwrap());
        async move { store.transition(payment, &next, LEASE).await }
    }))
    .await;
    let short = taken
        .iter()
        .filter(|taken| matches!(taken, Err(StoreError::InsufficientPoints)));
    assert_eq!(short.count(), 1, "{taken:?}");
    assert!(taken[2].is_ok());
    let wallet = store.wallet(user_id).await.unwrap();
    assert_eq!(wallet.balance + wallet.pending, 1_000);
    assert!([600, 700].contains(&wallet.pending));
}

/// A payment in two hands: whichever step is made, its money moves, and that of the other does not.
#[tokio::test]
async fn of_two_steps_of_one_payment_in_one_batch_one_is_made_with_its_money() {
    let world = World::start().await;
    let store = world.store();
    let mut taken = 0;
    for round in 0..20 {
        let user_id = user_with(&store, 1_000).await;
        let payment = begun(&store, user_id, 300).await;
        let reason = ProblemCode::PaymentFailed;
        let given_up = Event::Abandoned { fence: 2, reason };
        let mut steps = [TAKEN, given_up].map(|event| payment.after(&event).unwrap());
        if round % 2 == 0 {
            steps.reverse();
        }
        let made = join_all(steps.iter().map(|next| store.transition(&payment, next, LEASE))).await;
        let made: Vec<bool> = made.iter().map(Result::is_ok).collect();
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        let winner = &steps[usize::from(made[1])];
        let stands = store.payment(payment.payment_id).await.unwrap().unwrap();
        assert_eq!(stands.state, winner.state);
        let pending = if winner.failure.is_none() { 300 } else { 0 };
        taken += u32::from(pending > 0);
        let wallet = store.wallet(user_id).await.unwrap();
        assert_eq!((wallet.balance, wallet.pending), (1_000 - pending, pending));
    }
    assert!((1..20).contains(&taken), "both kinds won: {taken}");
}

#[tokio::test]
async fn of_requests_with_one_key_in_one_batch_one_payment_is_made() {
    let world = World::start().await;
    let store = world.store();
    let user_id = user_with(&store, 1_000).await;
    let key = RequestKey {
        key: "one".to_owned(),
        hash: vec![7; 32],
    };
    let wanted: Vec<NewPayment> = (0..8).map(|_| new(user_id, 100)).collect();
    let inserted = join_all(wanted.iter().map(|new| store.insert(new, Some(&key), LEASE))).await;
    let mut made = Vec::new();
    let mut named = Vec::new();
    for inserted in inserted {
        match inserted.unwrap() {
            Inserted::New(payment) => made.push(payment.payment_id),
            Inserted::SameKey {
                payment,
                same_request: true,
            } => named.push(payment.payment_id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(named, vec![made[0]; 7]);
}

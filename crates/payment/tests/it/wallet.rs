//! Points: balances, history, grants.

use contracts::payment::{CancelReservationRequest, ListWalletEntriesRequest, ListWalletEntriesResponse};
use payment::app::{GrantError, grant};
use service_kit::problem::Problem;
use vocabulary::{Amount, ProblemCode, UserId, demo};

use crate::charging::{asked, charge};
use crate::world::{Hold, World, card};

async fn entries(
    world: &World,
    user_id: UserId,
    cursor: &str,
    limit: u32,
) -> Result<ListWalletEntriesResponse, Problem> {
    let request = ListWalletEntriesRequest {
        user_id: user_id.to_string(),
        cursor: cursor.to_owned(),
        limit,
    };
    let answer = world.client.clone().list_wallet_entries(request).await;
    answer.map(tonic::Response::into_inner).map_err(Problem::from)
}

fn amount(points: i64) -> Amount {
    Amount::new(points).unwrap()
}

#[tokio::test]
async fn a_new_wallet_is_empty() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 0).await;
    assert_eq!(world.wallet(&hold).await, (0, 0));
    let page = entries(&world, hold.user_id, "", 0).await.unwrap();
    assert_eq!((page.entries.len(), page.next_cursor.as_str()), (0, ""));
}

#[tokio::test]
async fn history_is_paged_newest_first_and_adds_up() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 15_000).await;
    world
        .pay(&hold, 6_000, Some(&card("declined")))
        .await
        .unwrap_err();
    world.pay(&hold, 10_000, None).await.unwrap();

    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = entries(&world, hold.user_id, &cursor, 3).await.unwrap();
        all.extend(page.entries);
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    let told: Vec<_> = all
        .iter()
        .map(|entry| (entry.kind.as_str(), entry.amount, entry.payment_id.is_empty()))
        .collect();
    assert_eq!(
        told,
        [
            ("PURCHASE", -10_000, false),
            ("RETURN", 6_000, false),
            ("PURCHASE", -6_000, false),
            ("GRANT", 15_000, true),
        ]
    );
    let sum: i64 = all.iter().map(|entry| entry.amount).sum();
    assert_eq!((sum, 0), world.wallet(&hold).await);

    let refusal = entries(&world, hold.user_id, "page-2", 0).await.unwrap_err();
    assert_eq!(refusal.fields[0].field, "cursor");
    let refusal = entries(&world, hold.user_id, "", 101).await.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.fields[0].field.as_str()),
        (ProblemCode::InvalidField, "limit")
    );
}

#[tokio::test]
async fn a_grant_happens_once_for_each_operation() {
    let world = World::start().await;
    let (store, user_id) = (world.store(), UserId::new());
    let grants = (0..8).map(|_| grant(&store, user_id, amount(500), "welcome"));
    let granted = futures::future::join_all(grants).await;
    let new = granted.into_iter().filter(|granted| *granted.as_ref().unwrap());
    assert_eq!(new.count(), 1);
    assert_eq!(store.wallet(user_id).await.unwrap().balance, 500);
    let other = grant(&store, user_id, amount(501), "welcome").await;
    assert!(matches!(other, Err(GrantError::OperationUsed(_))));
}

#[tokio::test]
async fn the_demonstrations_buyer_gets_points_once() {
    let world = World::with(&[("SEED_DEMO", "true")]).await;
    let buyer = Hold {
        user_id: demo::BUYER_ID,
        ..world.hold().await
    };
    test_support::eventually("the points", async || {
        (world.wallet(&buyer).await == (demo::BUYER_POINTS, 0)).then_some(())
    })
    .await;
    let again = grant(
        &world.store(),
        demo::BUYER_ID,
        amount(demo::BUYER_POINTS),
        "demo:buyer",
    )
    .await;
    assert!(!again.unwrap());
}

#[tokio::test]
async fn each_entry_names_what_it_belongs_to_and_pages_lose_none() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 4_000).await;
    let bought = charge(&world, asked(hold.user_id, 6_000, &card("ok")))
        .await
        .unwrap();
    let charge_id = bought.charge.unwrap().charge_id;
    let declined = world.pay(&hold, 1_000, Some(&card("declined"))).await;
    let declined = declined.unwrap_err().members["paymentId"].clone();
    let paid = world.pay(&hold, 10_000, None).await.unwrap();
    let payment_id = paid.payment.unwrap().payment_id;
    let request = CancelReservationRequest {
        user_id: hold.user_id.to_string(),
        reservation_id: hold.reservation_id.to_string(),
        idempotency_key: String::new(),
    };
    let canceled = world.client.clone().cancel_reservation(request).await.unwrap();
    let refund_id = canceled.into_inner().refund.unwrap().refund_id;

    let told = |limit| {
        let world = &world;
        async move {
            let (mut told, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = entries(world, hold.user_id, &cursor, limit).await.unwrap();
                told.extend(page.entries);
                cursor = page.next_cursor;
                if cursor.is_empty() {
                    return told;
                }
            }
        }
    };
    let whole = told(100).await;
    let lines: Vec<_> = whole
        .iter()
        .map(|entry| {
            let of = [&*entry.payment_id, &*entry.charge_id, &*entry.refund_id];
            (&*entry.kind, entry.amount, of)
        })
        .collect();
    let declined = declined.as_str().unwrap();
    assert_eq!(
        lines,
        [
            ("REFUND_POINTS", 10_000, [&*payment_id, "", &*refund_id]),
            ("PURCHASE", -10_000, [&*payment_id, "", ""]),
            ("RETURN", 1_000, [declined, "", ""]),
            ("PURCHASE", -1_000, [declined, "", ""]),
            ("CHARGE", 6_000, ["", &*charge_id, ""]),
            ("GRANT", 4_000, ["", "", ""]),
        ]
    );
    for limit in 1..=6 {
        assert_eq!(told(limit).await, whole, "pages of {limit}");
    }
    assert_eq!(world.wallet(&hold).await, (10_000, 0));
}

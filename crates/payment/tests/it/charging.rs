//! Points bought by card: they come with the capture, once, whatever is lost or asked twice.

use std::collections::BTreeSet;
use std::time::Duration;

use contracts::payment::{
    Card, Charge, ChargeStatus, CreateChargeRequest, CreateChargeResponse, GetChargeRequest, PaymentStatus,
};
use futures::future::join_all;
use payment::domain::{self, ChargeState, NewCharge, PaymentKey, charge_amount, own_charge_order};
use payment::store::ChargeInserted;
use service_kit::problem::Problem;
use test_support::eventually;
use tokio_util::sync::CancellationToken;
use vocabulary::{ChargeId, ProblemCode, ReservationId, UserId};

use crate::ledger::assert_balanced;
use crate::mishaps::{Mishap, Survived, survive};
use crate::world::{World, card, status};

pub(crate) fn asked(user_id: UserId, amount: i64, payment_key: &str) -> CreateChargeRequest {
    CreateChargeRequest {
        user_id: user_id.to_string(),
        amount,
        card: Some(Card {
            payment_key: payment_key.to_owned(),
            order_id: String::new(),
        }),
        idempotency_key: String::new(),
    }
}

fn for_order(user_id: UserId, order_id: &str) -> CreateChargeRequest {
    let mut request = asked(user_id, 5_000, &card("ok"));
    request.card.as_mut().unwrap().order_id = order_id.to_owned();
    request
}

pub(crate) async fn charge(
    world: &World,
    request: CreateChargeRequest,
) -> Result<CreateChargeResponse, Problem> {
    let answer = world.client.clone().create_charge(request).await;
    answer.map(tonic::Response::into_inner).map_err(Problem::from)
}

async fn get(world: &World, user_id: UserId, charge_id: &str) -> Result<Charge, Problem> {
    let request = GetChargeRequest {
        user_id: user_id.to_string(),
        charge_id: charge_id.to_owned(),
    };
    let answer = world.client.clone().get_charge(request).await;
    answer
        .map(|answer| answer.into_inner().charge.unwrap())
        .map_err(Problem::from)
}

async fn rows(world: &World, condition: &str) -> i64 {
    let counted = format!("SELECT count(*) FROM charges WHERE {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(counted))
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn points_bought_by_card_can_be_spent_at_once() {
    let world = World::start().await;
    let hold = world.hold_with(10_000, 0).await;
    let answer = charge(&world, asked(hold.user_id, 10_000, &card("ok")))
        .await
        .unwrap();
    let charged = answer.charge.unwrap();
    assert_eq!(
        (charged.status(), charged.amount),
        (ChargeStatus::Succeeded, 10_000)
    );
    let wallet = answer.wallet.unwrap();
    assert_eq!((wallet.balance, wallet.pending), (10_000, 0));
    assert_eq!(
        get(&world, hold.user_id, &charged.charge_id).await.unwrap(),
        charged
    );
    assert_eq!(world.provider_totals().await, (10_000, 0));
    assert_eq!(
        rows(&world, "payment_key IS NOT NULL").await,
        0,
        "the key is forgotten"
    );

    let paid = world.pay(&hold, 10_000, None).await.unwrap();
    assert_eq!(status(&paid.payment.unwrap()), PaymentStatus::Succeeded);
    assert_eq!(world.wallet(&hold).await, (0, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_declined_card_buys_nothing() {
    let world = World::start().await;
    let user_id = UserId::new();
    let refusal = charge(&world, asked(user_id, 5_000, &card("declined")))
        .await
        .unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentFailed);
    let charge_id = refusal.members["chargeId"].as_str().unwrap().to_owned();
    let failed = get(&world, user_id, &charge_id).await.unwrap();
    assert_eq!(
        (failed.status(), failed.failure_code.as_str()),
        (ChargeStatus::Failed, "payment-failed")
    );
    assert_eq!(world.wallet_of(user_id).await, (0, 0));
    assert_eq!(world.provider_totals().await, (0, 0));
    assert_eq!(
        rows(&world, "payment_key IS NOT NULL").await,
        0,
        "the key is forgotten"
    );
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_lost_answer_is_told_as_unfinished_and_ends_by_resumption() {
    let world = World::with(&[("PAY_WAIT_MS", "150"), ("PROVIDER_TIMEOUT_MS", "400")]).await;
    let user_id = UserId::new();
    let answer = charge(&world, asked(user_id, 5_000, &card("lost")))
        .await
        .unwrap();
    let begun = answer.charge.unwrap();
    assert_eq!((begun.status(), answer.wallet), (ChargeStatus::Confirming, None));

    world.settle(&world.replica()).await;
    let ended = get(&world, user_id, &begun.charge_id).await.unwrap();
    assert_eq!(ended.status(), ChargeStatus::Succeeded);
    assert_eq!(world.wallet_of(user_id).await, (5_000, 0));
    assert_eq!(world.provider_totals().await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_while_the_caller_waits() {
    let world = World::with(&[("PROVIDER_TIMEOUT_MS", "300")]).await;
    for outcome in ["lost", "unavailable"] {
        let answer = charge(&world, asked(UserId::new(), 5_000, &card(outcome)))
            .await
            .unwrap();
        assert_eq!(
            answer.charge.unwrap().status(),
            ChargeStatus::Succeeded,
            "{outcome}"
        );
    }
    assert_eq!(world.provider_totals().await, (10_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn a_slow_provider_is_answered_for_in_time_and_the_points_come_later() {
    let world = World::with(&[("PAY_WAIT_MS", "100")]).await;
    let user_id = UserId::new();
    let answer = charge(&world, asked(user_id, 5_000, &card("slow")))
        .await
        .unwrap();
    let begun = answer.charge.unwrap();
    assert_eq!(begun.status(), ChargeStatus::Confirming);
    eventually("the points to come", async || {
        let ended = get(&world, user_id, &begun.charge_id).await.unwrap();
        (ended.status() == ChargeStatus::Succeeded).then_some(())
    })
    .await;
    assert_eq!(world.wallet_of(user_id).await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn while_the_providers_session_may_still_capture_an_open_charge_is_not_given_up() {
    let world = World::start().await;
    let user_id = UserId::new();
    // Its only request never arrived, so the provider knows of no capture; the buyer's session would still allow one.
    let charge = recorded(&world, user_id, &card("ok")).await;
    let app = crate::mishaps::losing_requests(&world);
    let driven = app.drive(charge, Duration::from_secs(10)).await.unwrap();
    assert_eq!(driven.saga.state, ChargeState::Succeeded);
    assert_eq!(world.wallet_of(user_id).await, (5_000, 0));
    assert_eq!(world.provider_totals().await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn an_order_is_charged_once_and_burnt_by_nobody_else() {
    let world = World::start().await;
    let (owner, other) = (UserId::new(), UserId::new());
    let refused = async |request| charge(&world, request).await.unwrap_err().code;
    // Somebody else names it first, with a card that pays nothing.
    let mut burnt = for_order(other, "site-order-1");
    burnt.card.as_mut().unwrap().payment_key = card("declined");
    assert_eq!(refused(burnt).await, ProblemCode::PaymentFailed);

    let first = charge(&world, for_order(owner, "site-order-1")).await.unwrap();
    assert_eq!(first.charge.unwrap().status(), ChargeStatus::Succeeded);
    assert_eq!(
        refused(for_order(owner, "site-order-1")).await,
        ProblemCode::OrderUsed
    );
    // The provider captures it for one payment key only.
    let late = for_order(UserId::new(), "site-order-1");
    assert_eq!(refused(late).await, ProblemCode::PaymentFailed);
    assert_eq!(rows(&world, "true").await, 3);
    assert_eq!(world.provider_totals().await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn what_cannot_be_bought_like_this_names_its_field() {
    let world = World::start().await;
    let user_id = UserId::new();
    let of_a_reservation = format!("fr-{}-1", ReservationId::new().as_uuid().simple());
    let without_card = CreateChargeRequest {
        card: None,
        ..asked(user_id, 5_000, "")
    };
    for (request, field) in [
        (asked(user_id, 99, &card("ok")), "amount"),
        (asked(user_id, 10_000_001, &card("ok")), "amount"),
        (asked(user_id, -100, &card("ok")), "amount"),
        (asked(user_id, 5_000, ""), "card.paymentKey"),
        (without_card, "card"),
        (for_order(user_id, "five5"), "card.orderId"),
        (for_order(user_id, &of_a_reservation), "card.orderId"),
    ] {
        let refusal = charge(&world, request).await.unwrap_err();
        assert_eq!(refusal.code, ProblemCode::InvalidField, "{refusal}");
        assert_eq!(refusal.fields[0].field, field, "{refusal}");
    }
    assert_eq!(rows(&world, "true").await, 0);
}

#[tokio::test]
async fn promise_17_a_charge_of_another_user_does_not_exist() {
    let world = World::start().await;
    let answer = charge(&world, asked(UserId::new(), 5_000, &card("ok")))
        .await
        .unwrap();
    let charge_id = answer.charge.unwrap().charge_id;
    let theirs = get(&world, UserId::new(), &charge_id).await.unwrap_err();
    let none = get(&world, UserId::new(), &ChargeId::new().to_string())
        .await
        .unwrap_err();
    assert_eq!(theirs.code, ProblemCode::NotFound);
    assert_eq!(theirs, none);
}

#[tokio::test]
async fn a_provider_that_is_away_charges_nothing() {
    // A port that nobody listens on.
    let world = World::against("http://127.0.0.1:1".to_owned(), &[], CancellationToken::new()).await;
    let user_id = UserId::new();
    let refusal = charge(&world, asked(user_id, 5_000, &card("ok")))
        .await
        .unwrap_err();
    assert_eq!(refusal.code, ProblemCode::PaymentFailed);
    let charge_id = refusal.members["chargeId"].as_str().unwrap().to_owned();
    let failed = get(&world, user_id, &charge_id).await.unwrap();
    assert_eq!(failed.status(), ChargeStatus::Failed);
    assert_eq!(world.wallet_of(user_id).await, (0, 0));
    assert_eq!(world.open_sagas().await, 0);
}

#[tokio::test]
async fn promise_9_the_same_charge_asked_twenty_times_at_once_is_one_capture() {
    let world = World::start().await;
    let user_id = UserId::new();
    ask_twenty_times(&world, user_id).await;
    assert_eq!(rows(&world, "true").await, 1);
    assert_eq!(world.provider_totals().await, (5_000, 0));
    assert_eq!(world.wallet_of(user_id).await, (5_000, 0));
    assert_balanced(&world).await;
}

#[tokio::test]
async fn control_without_its_index_the_same_charge_is_begun_more_than_once() {
    let world = World::start().await;
    sqlx::query("DROP INDEX charges_one_per_idempotency_key")
        .execute(world.database.pool())
        .await
        .unwrap();
    ask_twenty_times(&world, UserId::new()).await;
    assert!(rows(&world, "true").await > 1);
}

/// The same request with the same key, twenty times at once. One is answered, the others too or told to wait.
async fn ask_twenty_times(world: &World, user_id: UserId) {
    let request = CreateChargeRequest {
        idempotency_key: "once".to_owned(),
        ..asked(user_id, 5_000, &card("slow"))
    };
    let answers = join_all((0..20).map(|_| charge(world, request.clone()))).await;
    for refusal in answers.into_iter().filter_map(Result::err) {
        let waits = [ProblemCode::IdempotencyKeyInProgress, ProblemCode::PaymentFailed];
        assert!(waits.contains(&refusal.code), "{refusal}");
    }
    world.settle(&world.replica()).await;
}

/// A charge of 5,000 won that was recorded, and not a step further.
async fn recorded(world: &World, user_id: UserId, payment_key: &str) -> domain::Charge {
    let charge_id = ChargeId::new();
    let new = NewCharge {
        charge_id,
        user_id,
        amount: charge_amount(5_000).unwrap(),
        order_id: own_charge_order(charge_id).unwrap(),
        payment_key: PaymentKey::new(payment_key).unwrap(),
    };
    let lease = world.config.settings.provider_lease;
    match world.store().insert_charge(&new, None, lease).await.unwrap() {
        ChargeInserted::New(charge) => charge,
        other => panic!("{other:?}"),
    }
}

/// How a card may answer, and where a charge of it ends.
const WAYS: [(&str, ChargeState); 3] = [
    ("ok", ChargeState::Succeeded),
    ("declined", ChargeState::Failed),
    ("unavailable", ChargeState::Succeeded),
];

/// Lets one charge go its way under a mishap until it has ended.
async fn go(world: &World, (outcome, end): (&str, ChargeState), mishap: Mishap) -> Survived {
    let user_id = UserId::new();
    let charge = recorded(world, user_id, &card(outcome)).await;
    let charge_id = charge.charge_id;
    let survived = survive(world, charge, mishap).await;
    let ended = world.store().charge(charge_id).await.unwrap().unwrap();
    assert_eq!(ended.state, end, "{outcome}, {mishap:?}");
    let points = if end == ChargeState::Succeeded { 5_000 } else { 0 };
    assert_eq!(
        world.wallet_of(user_id).await,
        (points, 0),
        "{outcome}, {mishap:?}"
    );
    assert_balanced(world).await;
    survived
}

#[tokio::test]
async fn promise_15_a_process_that_dies_anywhere_in_a_charge_leaves_nothing_undone() {
    let world = World::start().await;
    let mut found_in = BTreeSet::new();
    let mut deaths = 0;
    for way in WAYS {
        let Survived { calls, .. } = go(&world, way, Mishap::None).await;
        for n in 0..calls {
            for mishap in [Mishap::DiesBefore(n), Mishap::DiesAfter(n)] {
                found_in.extend(go(&world, way, mishap).await.found_in);
                deaths += 1;
            }
        }
    }
    // A process that dies before its first call may have died before it recorded that it would make it.
    recorded(&world, UserId::new(), &card("ok")).await;
    found_in.insert(ChargeState::Created.to_string());
    world.settle(&world.replica()).await;
    assert_balanced(&world).await;

    println!("{} points of death of a charge", deaths + 1);
    let open = ChargeState::ALL.iter().filter(|state| !state.has_ended());
    let open: BTreeSet<_> = open.map(ToString::to_string).collect();
    assert_eq!(found_in, open);
}

#[tokio::test]
async fn every_call_of_a_charge_may_fail_or_lose_its_answer_or_arrive_twice() {
    let world = World::start().await;
    for way in WAYS {
        let Survived { calls, .. } = go(&world, way, Mishap::None).await;
        for n in 0..calls {
            go(&world, way, Mishap::Fails(n)).await;
            go(&world, way, Mishap::AnswerLost(n)).await;
        }
        go(&world, way, Mishap::Twice).await;
    }
}

#[tokio::test]
async fn impossible_charges_are_refused_by_name() {
    let world = World::start().await;
    charge(&world, for_order(UserId::new(), "site-order-1"))
        .await
        .unwrap();
    for (attempt, constraint) in [
        (
            "UPDATE charges SET state = 'PAID', payment_key = 'key', ended_at = NULL, resume_at = frontrow_now()",
            "charges_state_is_known",
        ),
        ("UPDATE charges SET amount = 99", "charges_amount_is_within_bounds"),
        ("UPDATE charges SET payment_key = 'key'", "charges_forget_the_key"),
        ("UPDATE charges SET failure_code = 'payment-failed'", "charges_failures_have_a_reason"),
        ("UPDATE charges SET resume_at = frontrow_now()", "charges_end_for_good"),
        ("UPDATE charges SET idempotency_key = 'key'", "charges_keys_have_a_request"),
        (
            "INSERT INTO charges SELECT (json_populate_record(c, '{\"charge_id\":
             \"01900000-0000-7000-8000-000000000001\"}')).* FROM charges c",
            "charges_order_is_used_once",
        ),
        (
            "INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount)
             SELECT '01900000-0000-7000-8000-000000000001', 'x', kind, debit, credit, user_id, amount FROM transfers",
            "transfers_of_charges_name_them",
        ),
    ] {
        let refusal = sqlx::query(attempt).execute(world.database.pool()).await.unwrap_err();
        let named = refusal.as_database_error().and_then(|error| error.constraint());
        assert_eq!(named, Some(constraint), "{attempt}: {refusal}");
    }
}

//! Reconciliation: silent while everything is right, and with the name of each thing that somebody did behind our back.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use contracts::payment::PaymentStatus;
use payment::app::reconcile::{ReconcileError, Report, Scope};
use payment::app::saga::Saga as _;
use payment::domain::reconcile::Difference;
use payment::provider::TossProvider;
use serde_json::{Value, json};
use sqlx::{Executor as _, Row as _};
use time::OffsetDateTime;

use crate::booking::{Call, Fault};
use crate::charging::{asked, charge};
use crate::interruptions::recorded;
use crate::mishaps::losing_answers;
use crate::refunding::cancel;
use crate::world::{Hold, World, card, status};

/// Everything that there is.
fn everything() -> Scope {
    Scope {
        since: None,
        stuck_after: Duration::from_secs(3_600),
    }
}

pub(crate) async fn reconcile(world: &World) -> Result<Report, ReconcileError> {
    world.replica().reconcile(&everything(), &|_| {}).await
}

/// Fails unless the provider's books, the ledger, the rows and booking's reservations tell the same story.
pub(crate) async fn assert_reconciled(world: &World) {
    let report = reconcile(world).await.unwrap();
    assert!(report.is_equal(), "{report}");
}

/// What reconciliation finds, by its codes.
pub(crate) async fn found(world: &World) -> BTreeSet<&'static str> {
    let report = reconcile(world).await.unwrap();
    report.differences.iter().map(Difference::code).collect()
}

/// Changes rows that the service itself never would, past every trigger.
pub(crate) async fn tamper(world: &World, statement: &'static str) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    connection
        .execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let done = connection.execute(statement).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    connection
        .execute("SET session_replication_role = origin")
        .await
        .unwrap();
}

/// Asks the provider as its console would, past the service.
pub(crate) async fn at_console(world: &World, path: &str, body: Value) {
    let url = format!("{}/v1/payments/{path}", world.provider_url);
    let request = reqwest::Client::new().post(url).json(&body);
    let answer = request
        .basic_auth("test_sk_frontrow", Some(""))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// A hold that was paid by 4,000 points and 6,000 by card, and the card's key.
pub(crate) async fn paid(world: &World) -> (Hold, String) {
    let (hold, key) = (world.hold().await, card("ok"));
    let answer = world.pay(&hold, 4_000, Some(&key)).await.unwrap();
    assert_eq!(status(&answer.payment.unwrap()), PaymentStatus::Succeeded);
    (hold, key)
}

pub(crate) async fn payment_of(world: &World, hold: &Hold) -> String {
    let query = "SELECT payment_id::text FROM payments WHERE reservation_id = $1";
    sqlx::query_scalar(query)
        .bind(hold.reservation_id.as_uuid())
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn promise_10_books_that_nobody_touched_are_equal() {
    let world = World::start().await;
    paid(&world).await;
    let by_points = world.hold().await;
    world.pay(&by_points, 10_000, None).await.unwrap();
    let declined = world.hold().await;
    world
        .pay(&declined, 4_000, Some(&card("declined")))
        .await
        .unwrap_err();
    let gone = world.hold().await;
    world.booking.fault(Call::Confirm, Fault::LapsedBefore);
    world.pay(&gone, 4_000, Some(&card("ok"))).await.unwrap_err();
    world.settle(&world.replica()).await;

    let report = reconcile(&world).await.unwrap();
    assert!(report.is_equal(), "{report}");
    let compared = report.compared;
    assert_eq!((compared.payments, compared.reservations), (4, 2));
    assert_eq!((compared.transactions, compared.wallets), (3, 4));
    assert!(report.open.is_empty());
}

#[tokio::test]
async fn a_running_system_gives_no_false_alarm() {
    let world = World::start().await;
    let visit = async |way: usize| {
        let hold = world.hold().await;
        let (points, card) = match way % 4 {
            0 => (10_000, None),
            1 => (0, Some(card("ok"))),
            2 => (4_000, Some(card("declined"))),
            _ => {
                world.booking.fault(Call::Confirm, Fault::LapsedBefore);
                (4_000, Some(card("ok")))
            }
        };
        // Some are declined, some lose their seats, and of those who have them some give them back.
        let answer = world.pay(&hold, points, card.as_deref()).await;
        if answer.is_ok() && way.is_multiple_of(3) {
            let _ = cancel(&world, &hold).await;
        }
        let _ = charge(&world, asked(hold.user_id, 1_000, &crate::world::card("ok"))).await;
    };
    let shop = async {
        for round in 0..12 {
            futures::future::join_all((0..8).map(|way| visit(round + way))).await;
        }
    };
    let (mut runs, mut second_looks) = (0, 0);
    let watch = async {
        loop {
            let report = reconcile(&world).await.unwrap();
            assert!(report.is_equal(), "run {runs}: {report}");
            runs += 1;
            second_looks += report.second_looks;
        }
    };
    tokio::select! {
        () = shop => {}
        () = watch => {}
    }
    assert!(runs > 3, "{runs} runs");
    // Each of them would have been a false alarm.
    assert!(second_looks > 0, "no run met a payment on its way");
    world.settle(&world.replica()).await;
    assert_reconciled(&world).await;
}

#[tokio::test]
async fn more_than_a_page_of_everything_is_compared() {
    let world = World::start().await;
    // Reservations and payments of as many users, by points, as if made before.
    let rows = sqlx::query(
        "WITH made AS (
             SELECT n, gen_random_uuid() AS user_id,
                    ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS reservation_id,
                    ('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid AS payment_id
             FROM generate_series(1, 2500) AS n
         ), paid AS (
             INSERT INTO payments (payment_id, reservation_id, user_id, state, points, card_amount, currency, fence, ended_at)
             SELECT payment_id, reservation_id, user_id, 'SUCCEEDED', 10, 0, 'KRW', 1, frontrow_now() FROM made
         ), moved AS (
             INSERT INTO transfers (transfer_id, operation, kind, debit, credit, user_id, amount, payment_id)
             SELECT gen_random_uuid(), kind || n, kind, debit, credit, user_id, 10,
                    CASE WHEN kind <> 'GRANT' THEN payment_id END
             FROM made, (VALUES (1, 'GRANT', 'GRANTS', 'WALLET'), (2, 'PURCHASE', 'WALLET', 'HELD'),
                 (3, 'POST', 'HELD', 'HOUSE')) AS way (step, kind, debit, credit)
             ORDER BY step
         )
         SELECT reservation_id, user_id, payment_id FROM made ORDER BY n",
    )
    .fetch_all(world.database.pool())
    .await
    .unwrap();
    for row in &rows {
        let payment_id: uuid::Uuid = row.get("payment_id");
        let (reservation_id, user_id) = (row.get("reservation_id"), row.get("user_id"));
        world
            .booking
            .confirmed_before(reservation_id, user_id, &payment_id.to_string(), 10);
    }
    let report = reconcile(&world).await.unwrap();
    assert!(report.is_equal(), "{report}");
    let compared = report.compared;
    assert_eq!(
        (compared.payments, compared.reservations, compared.wallets),
        (2_500, 2_500, 2_500)
    );

    // One in a thousand is missed on neither side.
    tamper(
        &world,
        "DELETE FROM payments WHERE payment_id = '01900000-0000-7000-9000-000000000400'",
    )
    .await;
    world.booking.forget("01900000-0000-7000-8000-000000000800");
    assert_eq!(
        found(&world).await,
        BTreeSet::from(["confirmed-without-payment", "paid-without-reservation"])
    );
}

#[tokio::test]
async fn what_is_under_way_is_counted_and_told_only_when_it_is_old() {
    let world = World::start().await;
    let hold = world.hold().await;
    let begun = recorded(&world, &hold, 4_000, &card("ok")).await;
    // Captured, and the answer was lost.
    let (payment_id, deaf) = (begun.payment_id, losing_answers(&world));
    begun.advance(&deaf).await.unwrap();
    let asking = world.store().payment(payment_id).await.unwrap().unwrap();
    asking.advance(&deaf).await.unwrap();
    assert_eq!(world.provider_totals().await, (6_000, 0));

    let report = reconcile(&world).await.unwrap();
    assert!(report.is_equal(), "{report}");
    let [open] = &report.open[..] else {
        panic!("{report}")
    };
    assert_eq!((open.what, open.count), ("payment", 1));

    world.database.step_clock(Duration::from_secs(3_660)).await;
    assert_eq!(found(&world).await, BTreeSet::from(["stuck"]));
    world.settle(&world.replica()).await;
    assert_reconciled(&world).await;
}

#[tokio::test]
async fn only_what_was_made_since_then_is_looked_at() {
    let world = World::start().await;
    paid(&world).await;
    tamper(&world, "DELETE FROM transfers WHERE kind = 'POST'").await;
    let since = |ago: i64| Scope {
        since: Some(OffsetDateTime::now_utc() - time::Duration::seconds(ago)),
        ..everything()
    };
    let app = world.replica();
    let report = app.reconcile(&since(600), &|_| {}).await.unwrap();
    assert_eq!(report.differences.len(), 2, "{report}");
    let report = app.reconcile(&since(-5), &|_| {}).await.unwrap();
    assert!(report.is_equal(), "{report}");
}

#[tokio::test]
async fn an_older_payment_is_looked_at_when_its_refund_is_new() {
    let world = World::start().await;
    let (hold, _) = paid(&world).await;
    let scope = Scope {
        since: Some(OffsetDateTime::now_utc()),
        ..everything()
    };
    cancel(&world, &hold).await.unwrap();
    let app = world.replica();
    let report = app.reconcile(&scope, &|_| {}).await.unwrap();
    assert!(report.is_equal(), "{report}");
    assert_eq!(report.compared.payments, 1);
    world.booking.tamper_refund(&hold, Some((10_000, false)));
    let report = app.reconcile(&scope, &|_| {}).await.unwrap();
    let codes: Vec<_> = report.differences.iter().map(Difference::code).collect();
    assert_eq!(codes, ["refund-untold"]);
}

#[tokio::test]
async fn many_new_refunds_of_older_payments_do_not_end_a_run_early() {
    let world = World::start().await;
    let mut holds = Vec::new();
    for _ in 0..4 {
        let hold = world.hold().await;
        world.pay(&hold, 10_000, None).await.unwrap();
        holds.push(hold);
    }
    let scope = Scope {
        since: Some(OffsetDateTime::now_utc()),
        ..everything()
    };
    for hold in &holds {
        cancel(&world, hold).await.unwrap();
    }
    let app = world.replica();
    let report = app.reconcile_keeping(3, &scope, &|_| {}).await.unwrap();
    assert!(report.is_equal(), "{report}");
    assert_eq!((report.compared.payments, report.second_looks), (4, 4));
    for hold in &holds {
        world.booking.tamper_refund(hold, Some((10_000, false)));
    }
    let report = app.reconcile_keeping(3, &scope, &|_| {}).await.unwrap();
    assert!(!report.complete, "{report}");
}

#[tokio::test]
async fn one_replica_reconciles_at_a_time() {
    let world = World::start().await;
    paid(&world).await;
    let settings = &world.config.reconcile;
    let (one, other) = (world.store(), world.replica());
    let lock = one.try_reconcile_lock().await.unwrap().unwrap();
    assert!(other.reconcile_recent(settings).await.unwrap().is_none());
    // Also one that died.
    drop(lock);
    let report = test_support::eventually("the lock of the dead to be free", async || {
        other.reconcile_recent(settings).await.unwrap()
    })
    .await;
    assert!(report.is_equal(), "{report}");
    assert_eq!(report.compared.payments, 1);
}

#[tokio::test]
async fn books_that_cannot_be_read_are_not_equal() {
    let world = World::start().await;
    paid(&world).await;
    let mut away = world.values.clone();
    away.insert("PROVIDER_URL".to_owned(), "http://127.0.0.1:9".to_owned());
    let config = service_kit::config::load_from(away, payment::config::Config::read).unwrap();
    let provider = TossProvider::new(&config.provider).unwrap();
    let app = world.replica_with(std::sync::Arc::new(provider));
    let error = app.reconcile(&everything(), &|_| {}).await.unwrap_err();
    assert!(matches!(error, ReconcileError::Provider(_)), "{error}");
}

#[test]
fn every_difference_is_explained_for_operators() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reconciliation.md");
    let page = std::fs::read_to_string(page).unwrap();
    for code in Difference::CODES {
        assert!(page.contains(&format!("| `{code}` |")), "{code}");
    }
}

async fn command(world: &World, change: &[(&str, &str)], arguments: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_payment"))
        .arg("reconcile")
        .args(arguments)
        .env_clear()
        .envs(&world.values)
        .envs(change.iter().copied())
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_command_says_by_its_exit_code_whether_books_are_equal() {
    let world = World::start().await;
    let (_, key) = paid(&world).await;
    let equal = command(&world, &[], &[]).await;
    assert_eq!(equal.status.code(), Some(0), "{equal:?}");
    assert!(String::from_utf8_lossy(&equal.stdout).ends_with("equal\n"));
    assert!(String::from_utf8_lossy(&equal.stderr).starts_with("comparing "));

    at_console(
        &world,
        &format!("{key}/cancel"),
        json!({"cancelReason": "at the console"}),
    )
    .await;
    let differ = command(&world, &[], &["--json", "--since", "10m"]).await;
    assert_eq!(differ.status.code(), Some(1), "{differ:?}");
    let report: Value = serde_json::from_slice(&differ.stdout).unwrap();
    assert_eq!(report["differences"][0]["code"], "refund-not-in-ledger");
    let text = command(&world, &[], &[]).await;
    assert!(String::from_utf8_lossy(&text.stdout).ends_with("1 difference\n"));

    let away = [("PROVIDER_URL", "http://127.0.0.1:9")];
    let unknown = command(&world, &away, &[]).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let wrong = command(&world, &[], &["--since", "yesterday"]).await;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

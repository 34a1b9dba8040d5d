//! Payment's process ended before and after every step that a saga records, by a failpoint in the process itself.
//!
//! Which points a saga comes by is read from the log of an undisturbed run, so a step that is new is tried by itself; a
//! state of a saga that no way here leads through fails the last test of the file.

use std::collections::BTreeSet;

use ::payment::app::saga::points::points;
use ::payment::domain::{ChargeState, RefundState, State};
use end_to_end::{Answer, Buyer, Sale, World, invariants, payment, text};
use futures::future::join;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{eventually, unique_name};

use crate::large;

/// Longer than any lease and any wait, and than the provider would still capture what was asked for before.
const LONG_SECONDS: u32 = 1_000;
/// Beyond the end of a hold and the grace of its payment.
const LAPSED_SECONDS: u32 = 600;
/// Beyond the beginning of a date.
const OVER_SECONDS: u32 = 40 * 24 * 3600;

/// One way that a saga may go, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Purchase,
    PurchaseDeclined,
    PurchaseLost,
    PurchaseTooLate,
    Charge,
    ChargeDeclined,
    ChargeLost,
    Cancellation,
    DateCancellation,
    CancellationTooLate,
}

impl Way {
    /// The kind of saga, and its table.
    const fn saga(self) -> (&'static str, &'static str) {
        match self {
            Self::Purchase | Self::PurchaseDeclined | Self::PurchaseLost | Self::PurchaseTooLate => {
                ("payment", "payments")
            }
            Self::Charge | Self::ChargeDeclined | Self::ChargeLost => ("charge", "charges"),
            Self::Cancellation | Self::DateCancellation | Self::CancellationTooLate => ("refund", "refunds"),
        }
    }

    const fn card(self) -> &'static str {
        match self {
            Self::PurchaseDeclined | Self::ChargeDeclined => "test_declined",
            Self::PurchaseLost | Self::ChargeLost => "test_lost",
            Self::PurchaseTooLate => "test_slow",
            _ => "test_ok",
        }
    }

    /// States that it may end in. A process that dies on the way may make an outcome unknown, and while it is a hold does not
    /// lapse.
    const fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Purchase | Self::PurchaseLost | Self::Charge | Self::ChargeLost => &["SUCCEEDED"],
            Self::PurchaseDeclined | Self::ChargeDeclined => &["FAILED"],
            Self::PurchaseTooLate => &["REFUNDED", "FAILED", "SUCCEEDED"],
            Self::Cancellation | Self::DateCancellation => &["COMPLETED"],
            Self::CancellationTooLate => &["REFUSED"],
        }
    }
}

/// One go of a way: who goes it, and with what.
struct Go<'a> {
    world: &'a World,
    way: Way,
    buyer: Buyer<'a>,
    sale: Sale,
    reservation: Value,
    /// When it begins, by payment's clock.
    since: String,
}

impl<'a> Go<'a> {
    /// All that comes before the saga in question.
    async fn prepare(world: &'a World, way: Way, sale: &Sale) -> Self {
        let mut go = Self {
            world,
            way,
            buyer: world.buyer().await,
            sale: sale.clone(),
            reservation: Value::Null,
            since: now(world).await,
        };
        let (saga, _) = way.saga();
        if saga == "charge" {
            return go;
        }
        go.charge("test_ok").await.expect(201);
        if way == Way::DateCancellation {
            // A date is canceled once.
            go.sale.schedule_id = Sale::add_date(world, &go.sale.concert_id, 30).await;
        }
        go.buyer.enter(&go.sale.concert_id).await;
        go.reservation = go.buyer.hold_one(&go.sale).await;
        if saga == "refund" {
            let paid = go.pay("test_ok").await;
            assert_eq!(paid.expect(201)["status"], "SUCCEEDED");
        }
        if way == Way::CancellationTooLate {
            // Booking judges by the time of asking, which is payment's.
            world.step_clock("booking", OVER_SECONDS).await;
            world.step_clock("payment", OVER_SECONDS).await;
        }
        go.since = now(world).await;
        go
    }

    async fn charge(&self, card: &str) -> Answer {
        Answer::to(self.charging(card)).await
    }

    fn charging(&self, card: &str) -> reqwest::RequestBuilder {
        let body = json!({ "amount": 30_000, "card": { "paymentKey": unique_name(card) } });
        self.buyer.request(Method::POST, "/v1/wallet/charges").json(&body)
    }

    async fn pay(&self, card: &str) -> Answer {
        Answer::to(self.paying(card)).await
    }

    fn paying(&self, card: &str) -> reqwest::RequestBuilder {
        let body = payment(&self.reservation, 20_000, Some(&unique_name(card)));
        let request = self.world.request(Method::POST, "/v1/payments");
        request
            .header("Payment-Token", text(&self.reservation, "paymentToken"))
            .json(&body)
    }

    /// What begins the saga. Whoever asked may get no answer.
    async fn act(&self) {
        let card = self.way.card();
        match self.way {
            Way::Purchase | Way::PurchaseDeclined | Way::PurchaseLost => {
                let _ = Answer::attempt(self.paying(card)).await;
            }
            Way::PurchaseTooLate => {
                let lapse = async {
                    self.until_gone_or("CONFIRMING").await;
                    self.world.step_clock("booking", LAPSED_SECONDS).await;
                };
                let _ = join(Answer::attempt(self.paying(card)), lapse).await;
            }
            Way::Charge | Way::ChargeDeclined | Way::ChargeLost => {
                let _ = Answer::attempt(self.charging(card)).await;
            }
            Way::Cancellation | Way::CancellationTooLate => {
                let id = text(&self.reservation, "reservationId");
                let path = format!("/v1/reservations/{id}/cancellation");
                let _ = Answer::attempt(self.buyer.request(Method::POST, &path)).await;
            }
            Way::DateCancellation => {
                let (concert, schedule) = (&self.sale.concert_id, &self.sale.schedule_id);
                let path = format!("/v1/admin/concerts/{concert}/schedules/{schedule}/cancellation");
                let organiser = self.world.organiser().await;
                organiser.post(&path, &Value::Null).await.expect(202);
            }
        }
    }

    /// How the saga stands, once there is one.
    async fn stands(&self) -> Option<String> {
        let (_, table) = self.way.saga();
        let query = format!(
            "SELECT state FROM {table} WHERE created_at > $1::timestamptz ORDER BY created_at DESC LIMIT 1"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(&self.since)
            .fetch_optional(&mut self.world.database("payment").await)
            .await
            .unwrap()
    }

    async fn until_gone_or(&self, state: &str) {
        eventually("the saga's step, or its process' end", async || {
            let gone = self.world.services.has_ended("payment").await;
            let there = self.stands().await.is_some_and(|stands| stands == state);
            (gone || there).then_some(())
        })
        .await;
    }

    /// Answers the state that the saga ended in.
    async fn ended(&self) -> String {
        eventually("the saga's end", async || {
            self.stands()
                .await
                .filter(|state| self.way.ends().contains(&state.as_str()))
        })
        .await
    }
}

/// Payment's time, by its own clock.
async fn now(world: &World) -> String {
    sqlx::query_scalar("SELECT frontrow_now()::text")
        .fetch_one(&mut world.database("payment").await)
        .await
        .unwrap()
}

/// Goes a way undisturbed. Answers the points that its saga came by.
async fn points_of(world: &World, way: Way, sale: &Sale) -> Vec<String> {
    let (kind, _) = way.saga();
    let go = Go::prepare(world, way, sale).await;
    let before = world.services.logs("payment").await.len();
    go.act().await;
    go.ended().await;
    let log = world.services.logs("payment").await;
    let lines = log[before..]
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let moves = lines.filter(|line| line["message"] == format!("{kind} moved on"));
    let states: BTreeSet<String> = moves.map(|line| text(&line, "to")).collect();
    assert!(!states.is_empty());
    let moved = states
        .iter()
        .flat_map(|state| ["recording", "recorded"].map(|side| format!("{kind}.{state}.{side}")));
    std::iter::once(format!("{kind}.CREATED.recorded"))
        .chain(moved)
        .collect()
}

/// Goes a way in a process that ends at `point`, and on in another.
async fn die_at(world: &World, way: Way, sale: &Sale, point: &str) {
    let go = Go::prepare(world, way, sale).await;
    let armed = format!("{point}=return");
    world.services.restart_with("payment", "FAILPOINTS", &armed).await;
    go.act().await;
    // The control: it did end.
    eventually("the process to end", async || {
        world.services.has_ended("payment").await.then_some(())
    })
    .await;
    world.services.restart_with("payment", "FAILPOINTS", "").await;
    // What the dead process had leased is free by Postgres' clock.
    world.step_clock("payment", LONG_SECONDS).await;
    go.ended().await;
    invariants::hold(world).await;
}

/// Goes some ways, ending the process at each point of each. Answers all points and how many times a process ended.
async fn die_everywhere(ways: &[Way]) -> (BTreeSet<String>, usize) {
    let world = World::with_env(&[
        ("SWEEP_SECONDS", "1"),
        ("SIMULATOR_SLOW_SECONDS", "3"),
        ("PROVIDER_TIMEOUT_MS", "4000"),
        ("PAY_WAIT_MS", "6000"),
        ("RESUME_EVERY_MS", "50"),
        ("PAYMENT_RETRY_MIN_MS", "20"),
        ("PAYMENT_RETRY_MAX_MS", "500"),
        ("REFUND_SCHEDULES_EVERY_MS", "100"),
    ])
    .await;
    let (mut died_at, mut deaths) = (BTreeSet::new(), 0);
    for way in ways {
        let sale = Sale::open(&world, large(50)).await;
        let points = points_of(&world, *way, &sale).await;
        for point in &points {
            // Shown where a way fails.
            println!("{way:?} dies at {point}");
            die_at(&world, *way, &sale, point).await;
        }
        deaths += points.len();
        died_at.extend(points);
    }
    (died_at, deaths)
}

/// Every point that a saga of this kind could come by.
fn points_of_kind(kind: &str, states: impl Iterator<Item = &'static str>) -> Vec<String> {
    let points = points(kind, states);
    // Before it is recorded for the first time there is no saga.
    let not_there = format!("{kind}.CREATED.recording");
    points.into_iter().filter(|point| *point != not_there).collect()
}

#[tokio::test]
async fn promises_7_to_10_and_15_a_process_that_ends_at_any_step_of_any_saga_leaves_no_money_astray() {
    use Way::{
        Cancellation, CancellationTooLate, Charge, ChargeDeclined, ChargeLost, DateCancellation, Purchase,
        PurchaseDeclined, PurchaseLost, PurchaseTooLate,
    };
    let all = tokio::join!(
        die_everywhere(&[Purchase, PurchaseDeclined, PurchaseLost]),
        die_everywhere(&[PurchaseTooLate]),
        die_everywhere(&[Charge, ChargeDeclined, ChargeLost]),
        // The last one ends the time of every date.
        die_everywhere(&[Cancellation, DateCancellation, CancellationTooLate]),
    );
    let all = [all.0, all.1, all.2, all.3];
    let deaths: usize = all.iter().map(|(_, deaths)| deaths).sum();
    let died_at: BTreeSet<String> = all.into_iter().flat_map(|(points, _)| points).collect();
    println!("{deaths} deaths at {} points", died_at.len());

    // A state that is new, and that no process died at, fails here.
    let could: BTreeSet<String> = [
        points_of_kind("payment", State::ALL.iter().map(|state| state.as_str())),
        points_of_kind("charge", ChargeState::ALL.iter().map(|state| state.as_str())),
        points_of_kind("refund", RefundState::ALL.iter().map(|state| state.as_str())),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(died_at, could);
}

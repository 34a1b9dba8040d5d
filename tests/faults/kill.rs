//! Each process killed between any two steps of hold and pay.

use std::time::Duration;

use end_to_end::{Answer, Buyer, Crowd, Sale, World, invariants, payment, text};
use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::{Value, json};
use test_support::{eventually, unique_name};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{QUICK, buys_on, large, pause_ms};

/// One world for all cases, one case at a time: a world costs more than a case.
static ARENA: OnceCell<Mutex<World>> = OnceCell::const_new();

async fn arena() -> MutexGuard<'static, World> {
    let env = [
        ("PAY_WAIT_MS", "1500"),
        ("PROVIDER_TIMEOUT_MS", "1000"),
        ("PAYMENT_RETRY_MAX_MS", "1000"),
        ("SIMULATOR_SLOW_SECONDS", "3"),
    ];
    let arena = ARENA.get_or_init(async || Mutex::new(World::with_env(&env).await));
    arena.await.lock().await
}

/// Between which steps the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeHold,
    DuringHold,
    BetweenHoldAndPay,
    DuringPay,
    AfterPay,
}

/// One process, one moment.
struct Strike<'a> {
    world: &'a World,
    service: &'a str,
    moment: Moment,
}

impl Strike<'_> {
    async fn kill(&self) {
        let url = self.world.services.admin_url(self.service).await;
        self.world.services.kill(self.service).await;
        // The control: nobody is there any more.
        let gone = reqwest::get(format!("{url}/healthz")).await;
        assert!(
            gone.is_err_and(|error| error.is_connect()),
            "{} lives",
            self.service
        );
    }

    async fn start(&self) {
        if self.service == "payment" {
            // What the dead process had leased is free by Postgres' clock.
            self.world.step_clock("payment", 30).await;
        }
        self.world.services.start(self.service).await;
    }

    /// Does a step, before which the process is killed if this is its moment: once while it is away, and again when
    /// it is back. Answers the end of it.
    async fn step(&self, moment: Moment, step: impl Fn() -> RequestBuilder) -> Answer {
        if self.moment == moment {
            self.kill().await;
            let meanwhile = self.attempt(step()).await;
            assert!(meanwhile.is_none_or(|answer| answer.is_plain()));
            self.start().await;
        }
        self.until_final(step).await
    }

    /// The same request until it is answered for good.
    async fn until_final(&self, step: impl Fn() -> RequestBuilder) -> Answer {
        eventually("an answer for good", async || {
            let answer = self.attempt(step()).await?;
            assert!(answer.is_plain(), "{} {}", answer.status, answer.body);
            let again = answer.is_temporary() || answer.text("code").ends_with("-in-progress");
            (!again).then_some(answer)
        })
        .await
    }

    /// None where the edge itself was killed; all others leave it an answer.
    async fn attempt(&self, request: RequestBuilder) -> Option<Answer> {
        match Answer::attempt(request).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert_eq!(self.service, "gateway", "{error}");
                None
            }
        }
    }
}

#[rstest]
#[case("auth")]
#[case("queue")]
#[case("concert")]
#[case("booking")]
#[case("payment")]
#[case("expire-worker")]
#[case("gateway")]
#[case("psp-simulator")]
#[tokio::test]
async fn promises_1_to_15_whichever_process_is_killed_between_any_two_steps_of_hold_and_pay(
    #[case] service: &str,
) {
    let world = arena().await;
    for moment in [
        Moment::BeforeHold,
        Moment::DuringHold,
        Moment::BetweenHoldAndPay,
        Moment::DuringPay,
        Moment::AfterPay,
    ] {
        // Shown where the case fails.
        println!("{service} is killed {moment:?}");
        let strike = Strike {
            world: &world,
            service,
            moment,
        };
        let sale = Sale::open(&world, large(10)).await;
        purchase(&strike, &sale).await;
        invariants::hold(&world).await;
    }
}

#[tokio::test]
async fn promises_15_and_16_a_crowd_is_told_plainly_and_buys_on_whichever_process_is_killed() {
    let world = arena().await;
    let sale = Sale::open(&world, large(3)).await;
    let crowd = Crowd::gather(&world, &sale, 4).await;
    for service in ["queue", "concert", "booking", "payment"] {
        let strike = Strike {
            world: &world,
            service,
            moment: Moment::DuringHold,
        };
        let killed = async {
            pause_ms(500).await;
            strike.kill().await;
            pause_ms(700).await;
            strike.start().await;
        };
        let ((), tries) = crowd.during(killed).await;
        tries.assert_plain(QUICK);
        crowd.assert_kept(&tries).await;
        // A claim that the dead process had begun keeps its place for 5 s.
        buys_on(&crowd, Duration::from_secs(10)).await;
    }
    invariants::hold(&world).await;
}

/// Two want one seat, one gets it, and pays.
async fn purchase(strike: &Strike<'_>, sale: &Sale) {
    let world = strike.world;
    let mut rivals = [world.buyer().await, world.buyer().await];
    for buyer in &mut rivals {
        buyer.enter(&sale.concert_id).await;
    }
    let seat = rivals[0].available(&sale.schedule_id).await.remove(0);
    let (winner, held) = hold(strike, sale, &rivals, &seat).await;

    let paid = pay(strike, winner, &held).await;
    let paid_path = format!("/v1/payments/{}", text(&paid.body, "paymentId"));
    let reservation_path = format!("/v1/reservations/{}", text(&held, "reservationId"));
    let kept = strike
        .step(Moment::AfterPay, || {
            winner.request(Method::GET, &reservation_path)
        })
        .await
        .expect(200);
    assert_eq!(
        (&kept["status"], &kept["seats"]),
        (&"CONFIRMED".into(), &held["seats"])
    );
    let payment = strike
        .until_final(|| winner.request(Method::GET, &paid_path))
        .await
        .expect(200);
    assert_eq!(payment["status"], "SUCCEEDED");
}

async fn hold<'a>(
    strike: &Strike<'_>,
    sale: &Sale,
    rivals: &'a [Buyer<'a>],
    seat: &str,
) -> (&'a Buyer<'a>, Value) {
    let body = json!({ "scheduleId": sale.schedule_id, "seatIds": [seat] });
    let keys: Vec<_> = rivals.iter().map(|_| unique_name("hold")).collect();
    let ask = |index: usize| {
        let request = rivals[index].request(Method::POST, "/v1/reservations");
        request.header("Idempotency-Key", &keys[index]).json(&body)
    };
    let mut first = vec![None; rivals.len()];
    if strike.moment == Moment::DuringHold {
        let holds = join_all((0..rivals.len()).map(|index| strike.attempt(ask(index))));
        let killed = async {
            pause_ms(5).await;
            strike.kill().await;
        };
        (first, ()) = tokio::join!(holds, killed);
        assert!(first.iter().flatten().all(Answer::is_plain), "{first:?}");
        strike.start().await;
    }
    let mut ends = Vec::new();
    for index in 0..rivals.len() {
        ends.push(strike.step(Moment::BeforeHold, || ask(index)).await);
    }
    for (first, end) in first.iter().zip(&ends) {
        // What was acknowledged before the kill is so after it.
        if let Some(acknowledged) = first.as_ref().filter(|answer| answer.status == 201) {
            assert_eq!(end.text("reservationId"), acknowledged.text("reservationId"));
        }
    }
    let won: Vec<_> = (0..rivals.len())
        .filter(|index| ends[*index].status == 201)
        .collect();
    let lost = ends.iter().filter(|end| end.text("code") == "seat-unavailable");
    assert_eq!((won.len(), lost.count()), (1, rivals.len() - 1), "{ends:?}");
    (&rivals[won[0]], ends.swap_remove(won[0]).body)
}

async fn pay(strike: &Strike<'_>, buyer: &Buyer<'_>, held: &Value) -> Answer {
    let during = strike.moment == Moment::DuringPay;
    let payment_key = unique_name(if during { "test_slow" } else { "test_ok" });
    let (body, key) = (payment(held, 0, Some(&payment_key)), unique_name("pay"));
    let ask = || {
        let request = strike.world.request(Method::POST, "/v1/payments");
        let request = request.header("Payment-Token", text(held, "paymentToken"));
        request.header("Idempotency-Key", &key).json(&body)
    };
    if during {
        let killed = async {
            // The control: the provider has been asked and has not answered.
            until_asked(strike.world, held).await;
            strike.kill().await;
            pause_ms(100).await;
            strike.start().await;
        };
        let (first, ()) = tokio::join!(strike.attempt(ask()), killed);
        assert!(first.is_none_or(|answer| answer.is_plain()));
    }
    let path = format!("/v1/reservations/{}", text(held, "reservationId"));
    let mut answer = strike.step(Moment::BetweenHoldAndPay, ask).await;
    if strike.service == "psp-simulator" && answer.text("code") == "payment-failed" {
        // Nobody was there to charge the card, which is known at once: the buyer pays anew.
        let now = buyer.get(&path).await.expect(200);
        answer = buyer.pay(&now, 0, Some(&unique_name("test_ok"))).await;
    }
    assert!(
        matches!(answer.status, 201 | 202),
        "{} {}",
        answer.status,
        answer.body
    );
    eventually("the reservation to be confirmed", async || {
        let now = strike.attempt(buyer.request(Method::GET, &path)).await?;
        (now.text("status") == "CONFIRMED").then_some(())
    })
    .await;
    answer
}

async fn until_asked(world: &World, held: &Value) {
    let mut database = world.database("payment").await;
    eventually("the provider to be asked", async || {
        sqlx::query_scalar("SELECT state FROM payments WHERE reservation_id = $1::uuid AND state IN ('CONFIRMING', 'UNKNOWN')")
            .bind(text(held, "reservationId"))
            .fetch_optional(&mut database)
            .await
            .unwrap()
            .map(|_: String| ())
    })
    .await;
}

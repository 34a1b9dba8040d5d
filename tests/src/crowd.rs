//! Buyers who keep trying while something happens, and what they were told meanwhile.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::unique_name;

use crate::answer::Answer;
use crate::people::{Buyer, payment, text};
use crate::sale::Sale;
use crate::world::World;

/// How long a buyer rests between two calls: the machine has other work.
const REST: Duration = Duration::from_millis(40);
/// After 8 s a payment whose outcome is unknown is a 202.
const PAY_WAIT: Duration = Duration::from_secs(9);
/// Of four that a user may have of a date, one is left for holds that are dropped again.
const PURCHASES: usize = 3;

/// Buyers of one sale.
#[derive(Debug)]
pub struct Crowd<'a> {
    world: &'a World,
    sale: &'a Sale,
    buyers: Vec<Buyer<'a>>,
    /// How many seats each has paid for, or may have.
    bought: Vec<Cell<usize>>,
}

/// One call and what came of it.
#[derive(Debug)]
struct Try {
    call: &'static str,
    answer: reqwest::Result<Answer>,
    took: Duration,
}

/// What a crowd was told.
#[derive(Debug, Default)]
pub struct Tries {
    tries: Vec<Try>,
    /// Reservations whose payment was acknowledged, each with its buyer's place in the crowd.
    paid: Vec<(usize, Value)>,
    /// Reservations that were acknowledged and that nobody paid or dropped.
    held: Vec<(usize, Value)>,
}

impl<'a> Crowd<'a> {
    /// So many new buyers.
    pub async fn gather(world: &'a World, sale: &'a Sale, size: usize) -> Self {
        let buyers = join_all((0..size).map(|_| world.buyer())).await;
        Self {
            world,
            sale,
            buyers,
            bought: vec![Cell::new(0); size],
        }
    }

    /// Has everybody look, join, hold, pay and drop, over and over, until `event` is over.
    pub async fn during<T>(&self, event: impl Future<Output = T>) -> (T, Tries) {
        let over = Cell::new(false);
        let event = async {
            let outcome = event.await;
            over.set(true);
            outcome
        };
        let shopping = self.buyers.iter().enumerate();
        let shopping = join_all(shopping.map(|(place, buyer)| self.shop(place, buyer.clone(), &over)));
        let (outcome, tries) = join(event, shopping).await;
        let mut all = Tries::default();
        for mut of_one in tries {
            all.tries.append(&mut of_one.tries);
            all.paid.append(&mut of_one.paid);
            all.held.append(&mut of_one.held);
        }
        (outcome, all)
    }

    /// Promise 15: what was acknowledged is still true.
    ///
    /// # Panics
    /// It is not.
    pub async fn assert_kept(&self, tries: &Tries) {
        for (kept, status) in [(&tries.paid, "CONFIRMED"), (&tries.held, "PENDING")] {
            for (place, reservation) in kept {
                let now = self.buyers[*place].reservation(reservation).await;
                assert_eq!(now["status"], status, "{now}");
                assert_eq!(now["seats"], reservation["seats"]);
            }
        }
    }

    async fn shop(&self, place: usize, mut buyer: Buyer<'a>, over: &Cell<bool>) -> Tries {
        let mut tries = Tries::default();
        let (concert, seats) = (
            format!("/v1/concerts/{}", self.sale.concert_id),
            format!("/v1/schedules/{}/seats", self.sale.schedule_id),
        );
        let join = format!("{concert}/queue-tokens");
        let mut dropped_last = false;
        while !over.get() {
            tries.call("concert", self.world.get(&concert)).await;
            let joining = buyer.world.request(Method::POST, &join);
            let joining = joining.bearer_auth(&buyer.access_token);
            let Some(joined) = tries.call("join", joining).await.filter(Answer::is_success) else {
                continue;
            };
            buyer.queue_token = text(&joined.body, "queueToken");

            let mut admitted = false;
            while !over.get() && !admitted {
                let Some(line) = tries.call("queue", buyer.request(Method::GET, "/v1/queue")).await else {
                    continue;
                };
                match line.text("status") {
                    "PROCESSING" => admitted = true,
                    "EXPIRED" | "COMPLETED" => break,
                    _ => {}
                }
            }
            let mut held = None;
            while !over.get() && admitted && held.is_none() {
                let Some(map) = tries.call("seats", buyer.request(Method::GET, &seats)).await else {
                    continue;
                };
                match map.status {
                    200 => held = self.hold(&buyer, place, &map.body, &mut tries, over).await,
                    // A hold whose answer was lost, or one of an earlier event.
                    410 => {
                        self.drop_holds(&buyer, &mut tries).await;
                        break;
                    }
                    403 => break,
                    _ => {}
                }
            }
            let Some(held) = held else { continue };
            if over.get() {
                tries.held.push((place, held));
            } else if self.bought[place].get() < PURCHASES && dropped_last {
                dropped_last = false;
                self.bought[place].set(self.bought[place].get() + 1);
                let request = self.world.request(Method::POST, "/v1/payments");
                let request = request
                    .header("Payment-Token", text(&held, "paymentToken"))
                    .json(&payment(&held, 0, Some(&unique_name("test_ok"))));
                match tries.until_final("pay", request, over).await {
                    Some(paid) if paid.status == 201 => tries.paid.push((place, held)),
                    _ => {}
                }
            } else {
                dropped_last = true;
                tries.drop_hold(&buyer, &held).await;
            }
        }
        tries
    }

    async fn drop_holds(&self, buyer: &Buyer<'a>, tries: &mut Tries) {
        let mine = tries
            .call("mine", buyer.request(Method::GET, "/v1/reservations"))
            .await;
        let mine = mine.and_then(|mine| mine.body["reservations"].as_array().cloned());
        for held in mine.unwrap_or_default() {
            if held["status"] == "PENDING" {
                tries.drop_hold(buyer, &held).await;
            }
        }
    }

    /// A hold of the first free seat, as seen from this place in the crowd; those near it want the same.
    async fn hold(
        &self,
        buyer: &Buyer<'a>,
        place: usize,
        map: &Value,
        tries: &mut Tries,
        over: &Cell<bool>,
    ) -> Option<Value> {
        let seats = map["seats"].as_array().unwrap();
        let free: Vec<_> = seats
            .iter()
            .filter(|seat| seat["status"] == "AVAILABLE")
            .collect();
        let wanted = free.get((place / 2).min(free.len().checked_sub(1)?))?;
        let body = json!({ "scheduleId": self.sale.schedule_id, "seatIds": [wanted["seatId"]] });
        let request = buyer.request(Method::POST, "/v1/reservations").json(&body);
        let held = tries.until_final("hold", request, over).await?;
        (held.status == 201).then_some(held.body)
    }
}

impl Tries {
    /// While something was away nobody was told anything but what is right, a 503 with its Retry-After or a 504, and
    /// nobody waited longer than `bound` for it, a payment aside, which is waited for as long as the API says.
    ///
    /// # Panics
    /// Somebody was.
    #[track_caller]
    pub fn assert_plain(&self, bound: Duration) {
        for one in &self.tries {
            let plain = one.answer.as_ref().is_ok_and(Answer::is_plain);
            let bound = if one.call == "pay" { PAY_WAIT } else { bound };
            assert!(plain && one.took <= bound, "{one:?}");
            let known = one
                .answer
                .as_ref()
                .is_ok_and(|answer| !matches!(answer.status, 400 | 401 | 404 | 422));
            assert!(known, "a right request was told that it is wrong: {one:?}");
        }
    }

    /// Holds and payments that were acknowledged.
    pub fn successes(&self) -> usize {
        self.count(|one| {
            matches!(one.call, "hold" | "pay") && one.answer.as_ref().is_ok_and(|answer| answer.status == 201)
        })
    }

    /// Every call of this name was answered in full.
    ///
    /// # Panics
    /// One was not, or there was none.
    #[track_caller]
    pub fn assert_answered(&self, call: &str) {
        let all = self.count(|one| one.call == call);
        let answered =
            self.count(|one| one.call == call && one.answer.as_ref().is_ok_and(Answer::is_success));
        assert!(all == answered && all > 0, "{}", self.summary());
    }

    /// Calls that came to nothing because something was away.
    pub fn refusals(&self) -> usize {
        self.count(|one| one.answer.as_ref().is_ok_and(Answer::is_temporary))
    }

    /// One line a call and outcome: how often, and how long the slowest took.
    pub fn summary(&self) -> String {
        let mut lines = std::collections::BTreeMap::<_, (usize, Duration)>::new();
        for one in &self.tries {
            let outcome = match &one.answer {
                Ok(answer) => format!("{} {}", answer.status, answer.text("code")),
                Err(_) => "no answer".to_owned(),
            };
            let (count, slowest) = lines.entry((one.call, outcome)).or_default();
            *count += 1;
            *slowest = one.took.max(*slowest);
        }
        let lines = lines.iter().map(|((call, outcome), (count, slowest))| {
            format!(
                "{call:8} {outcome:28} {count:5} x, slowest {} ms\n",
                slowest.as_millis()
            )
        });
        lines.collect()
    }

    fn count(&self, counts: impl Fn(&Try) -> bool) -> usize {
        self.tries.iter().filter(|one| counts(one)).count()
    }

    async fn call(&mut self, call: &'static str, request: RequestBuilder) -> Option<Answer> {
        tokio::time::sleep(REST).await;
        let asked = Instant::now();
        let answer = Answer::attempt(request).await;
        let given = answer.as_ref().ok().cloned();
        self.tries.push(Try {
            call,
            answer,
            took: asked.elapsed(),
        });
        given
    }

    async fn drop_hold(&mut self, buyer: &Buyer<'_>, held: &Value) {
        let path = format!("/v1/reservations/{}", text(held, "reservationId"));
        self.call("drop", buyer.request(Method::DELETE, &path)).await;
    }

    /// The same request with the same key, until it is answered for good.
    async fn until_final(
        &mut self,
        call: &'static str,
        request: RequestBuilder,
        over: &Cell<bool>,
    ) -> Option<Answer> {
        let request = request.header("Idempotency-Key", unique_name("try"));
        while !over.get() {
            let answer = self.call(call, request.try_clone()?).await;
            match answer {
                Some(answer) if !answer.is_temporary() => return Some(answer),
                _ => {}
            }
        }
        None
    }
}

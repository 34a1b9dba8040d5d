//! One purchase through the public API, step by step, as a buyer makes it. Works on data that earlier walks have left:
//! it takes seats that are free, in a concert where this buyer may still have some.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use local_servers::http::{self, Response};
use serde_json::{Value, json};

use crate::report::say;

const EMAIL: &str = "buyer@frontrow.test";
const PASSWORD: &str = "frontrow-demo-1";
const SEATS: usize = 2;

/// Seats that one buyer may have in one schedule.
const SEATS_PER_BUYER: usize = 4;

/// How long a call, and the whole of waiting for our turn, may take.
const CALL_BOUND: Duration = Duration::from_secs(15);
const TURN_BOUND: Duration = Duration::from_secs(120);

pub(crate) async fn walk(address: SocketAddr) -> Result<()> {
    let mut buyer = Buyer::log_in(address, EMAIL, PASSWORD).await?;
    let taken = buyer.tidy_up().await?;
    let concerts = buyer.get("/v1/concerts?limit=20").await?.expect(200, |found| {
        format!("{} concerts are on sale", list(found, "concerts").len())
    })?;

    let entered = match buyer.enter_one_of(&concerts, &taken).await? {
        Some(entered) => Some(entered),
        // Many walks on kept data: this buyer has all the seats that one buyer may have.
        None => {
            buyer = Buyer::sign_up(address).await?;
            buyer.enter_one_of(&concerts, &BTreeMap::new()).await?
        }
    };
    let (concert_id, schedule_id) = entered.context("no concert lets a new buyer in")?;

    let schedules = buyer.get(&format!("/v1/concerts/{concert_id}/schedules")).await?;
    schedules.expect(200, |found| {
        format!(
            "let in: {} dates with the seats left",
            list(found, "schedules").len()
        )
    })?;
    let map = buyer
        .get(&format!("/v1/schedules/{schedule_id}/seats"))
        .await?
        .expect(200, |map| {
            format!(
                "{} of {} seats are free",
                free_seats(map).len(),
                list(map, "seats").len()
            )
        })?;

    let reservation = buyer.hold(&schedule_id, &map).await?;
    let reservation_id = text(&reservation, "reservationId")?;
    buyer.pay(&reservation_id, &reservation).await?;

    buyer
        .get(&format!("/v1/reservations/{reservation_id}"))
        .await?
        .expect(200, |reservation| {
            format!(
                "the reservation is {}: the seats are the buyer's",
                word(reservation, "status")
            )
        })?;
    buyer.see_the_visit_completed().await
}

struct Buyer {
    address: SocketAddr,
    access_token: Option<String>,
    queue_token: Option<String>,
}

impl Buyer {
    async fn log_in(address: SocketAddr, email: &str, password: &str) -> Result<Buyer> {
        let mut buyer = Buyer {
            address,
            access_token: None,
            queue_token: None,
        };
        let login = buyer
            .post("/v1/auth/login", json!({"email": email, "password": password}))
            .await?
            .expect(200, |_| format!("{email} is logged in"))?;
        buyer.access_token = Some(text(&login, "accessToken")?);
        Ok(buyer)
    }

    async fn sign_up(address: SocketAddr) -> Result<Buyer> {
        let email = format!("buyer-{}@frontrow.test", unique()?);
        let buyer = Buyer {
            address,
            access_token: None,
            queue_token: None,
        };
        let account = json!({"email": email, "password": PASSWORD, "name": "A new buyer"});
        buyer.post("/v1/auth/signup", account).await?.expect(201, |_| {
            format!("{EMAIL} has seats at every date already: a new buyer, without points")
        })?;
        Buyer::log_in(address, &email, PASSWORD).await
    }

    /// Gives back what an interrupted walk still holds, and counts the seats this buyer has by schedule.
    async fn tidy_up(&self) -> Result<BTreeMap<String, usize>> {
        let mut taken = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/reservations?limit=100{cursor}")).await?;
            let page = page.body_if(200)?;
            for reservation in list(&page, "reservations") {
                match word(reservation, "status") {
                    "PENDING" => {
                        let id = text(reservation, "reservationId")?;
                        self.delete(&format!("/v1/reservations/{id}"))
                            .await?
                            .show("a hold that an interrupted walk left is given back");
                    }
                    "CONFIRMED" | "PAYING" => {
                        let seats = list(reservation, "seats").len();
                        *taken
                            .entry(word(reservation, "scheduleId").to_owned())
                            .or_default() += seats;
                    }
                    _ => {}
                }
            }
            match page["nextCursor"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(taken),
            }
        }
    }

    /// Stands in line for the first concert with a date at which this buyer may still have seats, and that lets the
    /// buyer in. Answers that concert and date; `None` when there is none.
    async fn enter_one_of(
        &mut self,
        concerts: &Value,
        taken: &BTreeMap<String, usize>,
    ) -> Result<Option<(String, String)>> {
        for concert in list(concerts, "concerts") {
            let id = text(concert, "concertId")?;
            let shown = self.get(&format!("/v1/concerts/{id}")).await?;
            let concert = shown.body_if(200)?;
            let schedule = list(&concert, "schedules").iter().find(|schedule| {
                taken
                    .get(word(schedule, "scheduleId"))
                    .copied()
                    .unwrap_or_default()
                    + SEATS
                    <= SEATS_PER_BUYER
            });
            let Some(schedule) = schedule else { continue };
            shown.show(&format!(
                "\"{}\", on {}",
                word(&concert, "title"),
                word(schedule, "startsAt")
            ));
            if self.stand_in_line(&id).await? {
                return Ok(Some((id, text(schedule, "scheduleId")?)));
            }
        }
        Ok(None)
    }

    /// True when our turn has come, false when an earlier visit of this buyer is in the way.
    async fn stand_in_line(&mut self, concert_id: &str) -> Result<bool> {
        let joined = self
            .post(&format!("/v1/concerts/{concert_id}/queue-tokens"), json!({}))
            .await?;
        // 200 is the place that this buyer had already.
        let status = if joined.status() == 200 { 200 } else { 201 };
        let joined = joined.expect(status, |place| {
            format!(
                "in line with number {}, {}, {} ahead",
                place["number"],
                word(place, "status"),
                place["ahead"]
            )
        })?;
        self.queue_token = Some(text(&joined, "queueToken")?);

        let end = Instant::now() + TURN_BOUND;
        let mut polls = 0;
        loop {
            let place = self.get("/v1/queue").await?;
            polls += 1;
            let body = place.body_if(200)?;
            match (word(&body, "status"), word(&body, "phase")) {
                ("PROCESSING", "PAGE" | "") => {
                    place.show(&format!(
                        "our turn at poll {polls}: PROCESSING until {}",
                        word(&body, "expiresAt")
                    ));
                    return Ok(true);
                }
                ("WAITING", _) => {
                    ensure!(
                        Instant::now() < end,
                        "still WAITING after {} s",
                        TURN_BOUND.as_secs()
                    );
                    let pause = body["pollAfterMs"].as_u64().unwrap_or(500).clamp(50, 5_000);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                (status, phase) => {
                    place.show(&format!(
                        "{status} {phase}: an earlier visit is not over yet; another concert, then"
                    ));
                    return Ok(false);
                }
            }
        }
    }

    /// Takes free seats next to each other; when somebody was quicker, others.
    async fn hold(&self, schedule_id: &str, map: &Value) -> Result<Value> {
        for seats in free_seats(map).chunks_exact(SEATS).take(20) {
            let ids: Vec<&str> = seats.iter().map(|seat| word(seat, "seatId")).collect();
            let hold = self
                .post(
                    "/v1/reservations",
                    json!({"scheduleId": schedule_id, "seatIds": ids}),
                )
                .await?;
            if hold.status() == 409 {
                hold.show("somebody was quicker: others, then");
                continue;
            }
            return hold.expect(201, |hold| {
                format!(
                    "{SEATS} seats are held until {}: {} {}",
                    word(hold, "expiresAt"),
                    hold["total"],
                    word(hold, "currency")
                )
            });
        }
        bail!("no {SEATS} seats are free")
    }

    /// A part in points, as far as there are any, the rest by card.
    async fn pay(&self, reservation_id: &str, reservation: &Value) -> Result<()> {
        let wallet = self.get("/v1/wallet").await?.expect(200, |wallet| {
            format!("{} points are in the wallet", wallet["balance"])
        })?;
        let total = reservation["total"].as_u64().context("`total` is no number")?;
        let points = wallet["balance"].as_u64().unwrap_or_default().min(total / 10);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_micros();
        let mut card = json!({"paymentKey": format!("test_ok_{now}")});
        if let Some(order) = reservation["orderId"].as_str() {
            card["orderId"] = order.into();
        }
        let body = json!({"reservationId": reservation_id, "points": points, "card": card});
        let token = text(reservation, "paymentToken")?;
        let headers = [("Payment-Token", token.as_str())];
        self.call(Method::POST, "/v1/payments", &headers, Some(body))
            .await?
            .expect(201, |payment| {
                format!(
                    "{points} points and {} by card: {}",
                    total - points,
                    word(payment, "status")
                )
            })?;
        Ok(())
    }

    /// The line hears of the payment within a second.
    async fn see_the_visit_completed(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let place = self.get("/v1/queue").await?;
            let status = word(&place.body_if(200)?, "status").to_owned();
            if status == "COMPLETED" {
                place.expect(200, |_| "COMPLETED: the visit is over".to_owned())?;
                return Ok(());
            }
            ensure!(Instant::now() < end, "the queue token still reads {status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn get(&self, path: &str) -> Result<Step> {
        self.call(Method::GET, path, &[], None).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Step> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    async fn delete(&self, path: &str) -> Result<Step> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// One call with the tokens there are; it is shown when its answer is judged.
    async fn call(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Step> {
        let bearer = self.access_token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = more.to_vec();
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        headers.extend(self.queue_token.as_deref().map(|token| ("Queue-Token", token)));
        let call = format!("{method} {path}");
        let body = body.map(|body| body.to_string());
        let begun = Instant::now();
        let response = http::request(self.address, method, path, &headers, body, CALL_BOUND).await;
        let took = begun.elapsed();
        let response = response.with_context(|| call.clone())?;
        Ok(Step { call, response, took })
    }
}

/// A call that was answered.
struct Step {
    call: String,
    response: Response,
    took: Duration,
}

impl Step {
    fn status(&self) -> u16 {
        self.response.status.as_u16()
    }

    /// Shows the step with what its answer means; any other status is the end of the walk.
    fn expect(&self, status: u16, meaning: impl FnOnce(&Value) -> String) -> Result<Value> {
        let body = self.body_if(status)?;
        self.show(&meaning(&body));
        Ok(body)
    }

    fn body_if(&self, status: u16) -> Result<Value> {
        if self.status() != status {
            self.show("this is not what was expected");
            bail!(
                "{} was answered with {}: {}",
                self.call,
                self.status(),
                String::from_utf8_lossy(&self.response.body)
            );
        }
        serde_json::from_slice(&self.response.body).with_context(|| format!("{} answers no JSON", self.call))
    }

    fn show(&self, meaning: &str) {
        say(&format!(
            "   {:<74} {} {:>5} ms   {meaning}",
            self.call,
            self.status(),
            self.took.as_millis()
        ));
    }
}

fn unique() -> Result<u128> {
    Ok(SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_micros())
}

fn free_seats(map: &Value) -> Vec<&Value> {
    list(map, "seats")
        .iter()
        .filter(|seat| word(seat, "status") == "AVAILABLE")
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A text that may be absent.
fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A text that must be there.
fn text(value: &Value, name: &str) -> Result<String> {
    let text = value[name]
        .as_str()
        .with_context(|| format!("the answer has no `{name}`: {value}"))?;
    Ok(text.to_owned())
}

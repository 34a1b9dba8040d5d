//! Those who use the system: buyers and an organiser, each with a session.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::{Events, eventually, unique_name};
use vocabulary::demo;

use crate::answer::Answer;
use crate::sale::Sale;
use crate::world::World;

/// Somebody who buys.
#[derive(Debug, Clone)]
pub struct Buyer<'a> {
    /// Where they buy.
    pub world: &'a World,
    /// Their address.
    pub email: String,
    /// Proves who they are.
    pub access_token: String,
    /// Their place in the line they joined last.
    pub queue_token: String,
}

impl<'a> Buyer<'a> {
    /// The password of every buyer who signed up here.
    pub const PASSWORD: &'static str = "correct horse battery";

    /// Makes an account and logs in.
    pub async fn sign_up(world: &'a World) -> Self {
        let email = format!("{}@example.test", unique_name("buyer"));
        let account = json!({ "email": email, "password": Self::PASSWORD, "name": "Kim Minji" });
        Answer::to(world.post("/v1/auth/signup", &account))
            .await
            .expect(201);
        Self::log_in(world, &email, Self::PASSWORD).await
    }

    /// Logs the seeded buyer in.
    pub async fn log_in_demo(world: &'a World) -> Self {
        Self::log_in(world, demo::BUYER_EMAIL, demo::PASSWORD).await
    }

    /// Logs in.
    pub async fn log_in(world: &'a World, email: &str, password: &str) -> Self {
        let credentials = json!({ "email": email, "password": password });
        let session = Answer::to(world.post("/v1/auth/login", &credentials))
            .await
            .expect(200);
        Self {
            world,
            email: email.to_owned(),
            access_token: text(&session, "accessToken"),
            queue_token: String::new(),
        }
    }

    /// A request with the access token, and the queue token where there is one.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.world.request(method, path).bearer_auth(&self.access_token);
        if self.queue_token.is_empty() {
            request
        } else {
            request.header("Queue-Token", &self.queue_token)
        }
    }

    /// A GET with both tokens.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// A POST with both tokens.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// Joins a concert's line and keeps the token.
    pub async fn join(&mut self, concert_id: &str) -> Answer {
        let request = self
            .world
            .request(Method::POST, &format!("/v1/concerts/{concert_id}/queue-tokens"));
        let answer = Answer::to(request.bearer_auth(&self.access_token)).await;
        self.queue_token = answer.text("queueToken").to_owned();
        answer
    }

    /// How the queue token stands; asking claims the turn when it has come.
    pub async fn poll(&self) -> Value {
        self.get("/v1/queue").await.expect(200)
    }

    /// How the queue token stands, pushed.
    pub async fn watch(&self) -> Events {
        let request = self.request(Method::GET, "/v1/queue/events");
        Events::of(request.send().await.unwrap())
    }

    /// Polls until the token stands as named.
    pub async fn poll_until(&self, status: &str) -> Value {
        eventually(&format!("a token that is {status}"), async || {
            Some(self.poll().await).filter(|state| state["status"] == status)
        })
        .await
    }

    /// Joins and waits until let in.
    pub async fn enter(&mut self, concert_id: &str) {
        let joined = self.join(concert_id).await;
        assert!(matches!(joined.status, 200 | 201), "{}", joined.body);
        self.poll_until("PROCESSING").await;
    }

    /// Leaves the line or the page.
    pub async fn leave(&self) -> Answer {
        Answer::to(self.request(Method::DELETE, "/v1/queue")).await
    }

    /// The seats of a date, with their statuses.
    pub async fn seats(&self, schedule_id: &str) -> Answer {
        self.get(&format!("/v1/schedules/{schedule_id}/seats")).await
    }

    /// Ids of the seats of a date that are on sale.
    pub async fn available(&self, schedule_id: &str) -> Vec<String> {
        let seats = self.seats(schedule_id).await.expect(200);
        let seats = seats["seats"].as_array().unwrap().iter();
        seats
            .filter(|seat| seat["status"] == "AVAILABLE")
            .map(|seat| text(seat, "seatId"))
            .collect()
    }

    /// The status of one seat.
    pub async fn seat_status(&self, schedule_id: &str, seat_id: &str) -> String {
        let seats = self.seats(schedule_id).await.expect(200);
        let seat = seats["seats"]
            .as_array()
            .unwrap()
            .iter()
            .find(|seat| seat["seatId"] == seat_id)
            .unwrap();
        text(seat, "status")
    }

    /// Asks for a hold.
    pub async fn hold(&self, schedule_id: &str, seat_ids: &[String]) -> Answer {
        self.post(
            "/v1/reservations",
            &json!({ "scheduleId": schedule_id, "seatIds": seat_ids }),
        )
        .await
    }

    /// Enters a sale and holds the first seats that are free.
    pub async fn enter_and_hold(&mut self, sale: &Sale, seats: usize) -> Value {
        self.enter(&sale.concert_id).await;
        let free = self.available(&sale.schedule_id).await;
        self.hold(&sale.schedule_id, &free[..seats]).await.expect(201)
    }

    /// Holds the first seat that is free.
    pub async fn hold_one(&self, sale: &Sale) -> Value {
        let seats = self.available(&sale.schedule_id).await;
        self.hold(&sale.schedule_id, &seats[..1]).await.expect(201)
    }

    /// One of this buyer's reservations.
    pub async fn reservation(&self, reservation: &Value) -> Value {
        self.get(&format!(
            "/v1/reservations/{}",
            text(reservation, "reservationId")
        ))
        .await
        .expect(200)
    }

    /// Pays a hold with its payment token.
    pub async fn pay(&self, reservation: &Value, points: i64, payment_key: Option<&str>) -> Answer {
        let request = self.world.request(Method::POST, "/v1/payments");
        let request = request.header("Payment-Token", text(reservation, "paymentToken"));
        Answer::to(request.json(&payment(reservation, points, payment_key))).await
    }

    /// Cancels a paid reservation.
    pub async fn cancel(&self, reservation: &Value) -> Answer {
        let path = cancellation_path(reservation);
        Answer::to(self.request(Method::POST, &path)).await
    }

    /// Asks until a canceled reservation's money is back; answers its cancellation.
    pub async fn until_refunded(&self, reservation: &Value) -> Value {
        let path = cancellation_path(reservation);
        eventually("the money to be back", async || {
            let answer = self.get(&path).await;
            // The refund of a canceled date begins some time after it.
            (answer.status == 200 && answer.body["status"] == "COMPLETED").then_some(answer.body)
        })
        .await
    }

    /// Buys points by card.
    pub async fn charge(&self, amount: i64, payment_key: &str) -> Answer {
        let body = json!({ "amount": amount, "card": { "paymentKey": payment_key } });
        self.post("/v1/wallet/charges", &body).await
    }

    /// Points: to spend, and set aside.
    pub async fn wallet(&self) -> (i64, i64) {
        let wallet = self.get("/v1/wallet").await.expect(200);
        (
            wallet["balance"].as_i64().unwrap(),
            wallet["pending"].as_i64().unwrap(),
        )
    }
}

/// Where the cancellation of a reservation is.
pub fn cancellation_path(reservation: &Value) -> String {
    format!(
        "/v1/reservations/{}/cancellation",
        text(reservation, "reservationId")
    )
}

/// The body of a payment.
pub fn payment(reservation: &Value, points: i64, payment_key: Option<&str>) -> Value {
    let mut body = json!({ "reservationId": reservation["reservationId"], "points": points });
    if let Some(key) = payment_key {
        body["card"] = json!({ "paymentKey": key });
    }
    body
}

/// Somebody who sells.
#[derive(Debug, Clone)]
pub struct Organiser<'a> {
    world: &'a World,
    access_token: String,
}

impl<'a> Organiser<'a> {
    pub(crate) async fn log_in(world: &'a World) -> Self {
        let buyer = Buyer::log_in(world, demo::ORGANISER_EMAIL, demo::PASSWORD).await;
        Self {
            world,
            access_token: buyer.access_token,
        }
    }

    /// A POST with the organiser's token.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.world.post(path, body).bearer_auth(&self.access_token)).await
    }

    /// A PUT with the organiser's token.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::to(
            self.world
                .request(Method::PUT, path)
                .json(body)
                .bearer_auth(&self.access_token),
        )
        .await
    }

    /// A GET with the organiser's token.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.world.get(path).bearer_auth(&self.access_token)).await
    }
}

/// A required text member.
#[track_caller]
pub fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {value}"))
        .to_owned()
}

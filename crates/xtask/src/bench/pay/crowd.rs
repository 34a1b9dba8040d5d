//! Buyers with points, and holds for them to pay: made through the public API, as a site would.
//!
//! Signing up is slow on purpose, and one user holds seats of one concert once. So there are a few hundred buyers, and a
//! concert more whenever everybody has a hold in all there are. Neighbouring holds belong to different buyers: payments that
//! run at once do not wait for one another's wallet.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bench::client::Connection;
use crate::bench::load::{self, Job};
use crate::bench::users::{SIGNING_UP_AT_ONCE, log_in, sign_up};
use crate::report::Report;

const ORGANISER: &str = "organiser@frontrow.test";
const DEMO_PASSWORD: &str = "frontrow-demo-1";
const PRICE: i64 = 1_000;
/// Enough for ten thousand holds each; the most that can be bought at once.
const POINTS: i64 = PRICE * 10_000;
/// Preparing is no measurement: this many do it at once.
const AT_ONCE: usize = 128;
const SIGN_UPS_A_STEP: usize = 64;
const TURN_BOUND: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Crowd {
    address: SocketAddr,
    buyers: Vec<Arc<Buyer>>,
    organiser: String,
    venue_id: String,
    concerts: usize,
    holds: VecDeque<Hold>,
}

#[derive(Debug)]
struct Buyer {
    bearer: String,
}

/// Seats that wait to be paid.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hold {
    pub(super) reservation_id: String,
    pub(super) payment_token: String,
    pub(super) order_id: String,
    pub(super) total: i64,
}

impl Crowd {
    pub(super) async fn gather(address: SocketAddr, buyers: usize, report: &Report) -> Result<Crowd> {
        report.step(&format!("{buyers} buyers sign up, log in and buy points"));
        let mut there = Vec::new();
        while there.len() < buyers {
            let more = (there.len()..buyers).take(SIGN_UPS_A_STEP).map(SignUp).collect();
            there.extend(load::all(address, SIGNING_UP_AT_ONCE, more).await?);
            report.step(&format!("{} are there", there.len()));
        }
        let buyers = there;
        let mut connection = Connection::to(address);
        let organiser = log_in(&mut connection, ORGANISER, DEMO_PASSWORD).await?;
        let venue = json!({ "name": "Harbour Hall", "plan": plan(buyers.len()) });
        let path = "/v1/admin/venues";
        Ok(Crowd {
            address,
            venue_id: create(&mut connection, &organiser, path, &venue, "venueId").await?,
            buyers,
            organiser,
            concerts: 0,
            holds: VecDeque::new(),
        })
    }

    /// At least this many holds that nobody has paid yet, the oldest first.
    pub(super) async fn holds(&mut self, count: usize, report: &Report) -> Result<&mut VecDeque<Hold>> {
        let begun = Instant::now();
        let mut told = begun;
        let missing = count.saturating_sub(self.holds.len());
        if missing > 0 {
            report.step(&format!("{missing} holds are made"));
        }
        while self.holds.len() < count {
            self.one_more_concert().await?;
            if told.elapsed() > Duration::from_secs(10) {
                told = Instant::now();
                let missing = count.saturating_sub(self.holds.len());
                report.step(&format!(
                    "{missing} are missing after {:.0} s",
                    begun.elapsed().as_secs_f64()
                ));
            }
        }
        Ok(&mut self.holds)
    }

    /// Takes back what was not paid after all.
    pub(super) fn take_back(&mut self, holds: impl DoubleEndedIterator<Item = Hold>) {
        holds.rev().for_each(|hold| self.holds.push_front(hold));
    }

    /// Everybody holds a seat in it.
    async fn one_more_concert(&mut self) -> Result<()> {
        let mut connection = Connection::to(self.address);
        self.concerts += 1;
        let concert = json!({
            "title": format!("Night Ferry {}", self.concerts),
            "venueId": self.venue_id,
            "currency": "KRW",
            "prices": { "R": PRICE },
            "waitingRoom": { "capacity": 100_000, "admitPerSecond": 100_000 },
        });
        let path = "/v1/admin/concerts";
        let concert_id = create(&mut connection, &self.organiser, path, &concert, "concertId").await?;
        let date = json!({ "startsAt": "2099-06-01T19:00:00Z" });
        let path = format!("/v1/admin/concerts/{concert_id}/schedules");
        let schedule_id = create(&mut connection, &self.organiser, &path, &date, "scheduleId").await?;
        let path = format!("/v1/schedules/{schedule_id}/layout");
        let layout: Layout = connection
            .patiently(Method::GET, &path, &[], "")
            .await?
            .read(&[200])?;
        ensure!(layout.seats.len() >= self.buyers.len(), "the venue lacks seats");
        let jobs = self.buyers.iter().zip(layout.seats).map(|(buyer, seat)| Take {
            buyer: Arc::clone(buyer),
            concert_id: concert_id.clone(),
            schedule_id: schedule_id.clone(),
            seat_id: seat.seat_id,
        });
        let holds = load::all(self.address, AT_ONCE, jobs.collect()).await?;
        self.holds.extend(holds);
        Ok(())
    }
}

/// An account, a session of it, and points.
struct SignUp(usize);

impl Job for SignUp {
    type Done = Arc<Buyer>;

    async fn run(self, connection: &mut Connection) -> Result<Arc<Buyer>> {
        let bearer = sign_up(connection, &format!("buyer-{}@example.test", self.0)).await?;
        let card = json!({ "paymentKey": format!("test_ok_points_{}", self.0) });
        let charge = json!({ "amount": POINTS, "card": card }).to_string();
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "points")];
        let answer = connection
            .patiently(Method::POST, "/v1/wallet/charges", &headers, &charge)
            .await?;
        answer.read::<Value>(&[201]).context("buy points")?;
        Ok(Arc::new(Buyer { bearer }))
    }
}

/// A place in a concert's line, the turn, and one seat.
struct Take {
    buyer: Arc<Buyer>,
    concert_id: String,
    schedule_id: String,
    seat_id: String,
}

impl Job for Take {
    type Done = Hold;

    async fn run(self, connection: &mut Connection) -> Result<Hold> {
        let bearer = ("Authorization", self.buyer.bearer.as_str());
        let path = format!("/v1/concerts/{}/queue-tokens", self.concert_id);
        let place: Place = connection
            .patiently(Method::POST, &path, &[bearer], "")
            .await?
            .read(&[200, 201])
            .context("join")?;
        let token = place.queue_token.context("there is no queue token")?;
        let tokens = [bearer, ("Queue-Token", token.as_str())];
        let end = Instant::now() + TURN_BOUND;
        loop {
            let answer = connection
                .patiently(Method::GET, "/v1/queue", &tokens, "")
                .await?;
            let place: Place = answer.read(&[200]).context("poll")?;
            match place.status.as_str() {
                "PROCESSING" => break,
                "WAITING" => ensure!(Instant::now() < end, "the turn does not come"),
                other => anyhow::bail!("the queue token is {other}"),
            }
            tokio::time::sleep(Duration::from_millis(place.poll_after_ms.clamp(20, 250))).await;
        }
        let wish = json!({ "scheduleId": self.schedule_id, "seatIds": [self.seat_id] }).to_string();
        let [bearer, token] = tokens;
        let headers = [bearer, token, ("Idempotency-Key", self.schedule_id.as_str())];
        let answer = connection
            .patiently(Method::POST, "/v1/reservations", &headers, &wish)
            .await?;
        answer.read(&[201]).context("hold")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    queue_token: Option<String>,
    status: String,
    #[serde(default)]
    poll_after_ms: u64,
}

#[derive(Deserialize)]
struct Layout {
    seats: Vec<Seat>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seat {
    seat_id: String,
}

/// Makes something as an organiser; answers its id.
async fn create(
    connection: &mut Connection,
    bearer: &str,
    path: &str,
    body: &Value,
    id: &str,
) -> Result<String> {
    let headers = [("Authorization", bearer)];
    let answer = connection
        .patiently(Method::POST, path, &headers, &body.to_string())
        .await?;
    let made: Value = answer.read(&[201]).with_context(|| path.to_owned())?;
    let id = made[id]
        .as_str()
        .with_context(|| format!("{path} answers no {id}"))?;
    Ok(id.to_owned())
}

/// One row of seats, as an editor exports it.
fn plan(seats: usize) -> Value {
    let seat = |number: usize| {
        json!({
            "seat_guid": format!("A-{number}"), "seat_number": number.to_string(),
            "position": { "x": number * 20, "y": 0 }, "category": "R", "radius": 8,
        })
    };
    let seats: Vec<Value> = (1..=seats).map(seat).collect();
    json!({
        "name": "Harbour Hall",
        "categories": [{ "name": "R", "color": "#3366cc" }],
        "zones": [{
            "name": "Floor", "position": { "x": 0, "y": 0 },
            "rows": [{
                "row_number": "A", "row_number_position": "start", "position": { "x": 0, "y": 0 }, "seats": seats,
            }],
            "areas": [],
        }],
        "size": { "width": 8_000, "height": 600 },
    })
}

//! Who may call what: every route of the document and everybody who may come to it.

use std::collections::BTreeSet;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, payment_key, plan_of, text};
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::Method;
use serde_json::{Value, json};
use test_support::unique_name;
use uuid::Uuid;
use vocabulary::demo;

/// What somebody gets: the status, and the code of a problem.
type Outcome = (u16, &'static str);

const OK: Outcome = (200, "");
const CREATED: Outcome = (201, "");
const NO_CONTENT: Outcome = (204, "");
const WHO: Outcome = (401, "unauthenticated");
const NOT_FOUND: Outcome = (404, "not-found");
const FORBIDDEN: Outcome = (403, "forbidden");
const FOREIGN: Outcome = (403, "queue-token-foreign");
const NO_PLACE: Outcome = (401, "queue-token-missing");

/// Whose queue token is sent, if any.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    None,
    Own,
    Owners,
}

struct Row {
    route: &'static str,
    place: Place,
    /// Sent with `{..}` replaced, or nothing.
    body: fn(&Stage) -> Value,
    /// Of nobody, the owning buyer, another buyer, the owning organiser, another organiser.
    outcomes: [Outcome; 5],
}

const NOBODY: usize = 0;
const OWNER: usize = 1;

/// Who owns comes last, so that what the others may not do is still there to be done.
const ORDER: [usize; 5] = [NOBODY, 2, 4, 3, OWNER];

fn nothing(_: &Stage) -> Value {
    Value::Null
}

fn row(route: &'static str, outcomes: [Outcome; 5]) -> Row {
    Row {
        route,
        place: Place::None,
        body: nothing,
        outcomes,
    }
}

impl Row {
    fn place(self, place: Place) -> Self {
        Self { place, ..self }
    }

    fn body(self, body: fn(&Stage) -> Value) -> Self {
        Self { body, ..self }
    }
}

const fn all(outcome: Outcome) -> [Outcome; 5] {
    [outcome; 5]
}

/// With an access token, whosever.
const fn users(outcome: Outcome) -> [Outcome; 5] {
    [WHO, outcome, outcome, outcome, outcome]
}

/// The buyer who owns it.
const fn buyers(owner: Outcome, others: Outcome) -> [Outcome; 5] {
    [WHO, owner, others, others, others]
}

/// The organiser who owns it.
const fn organisers(owner: Outcome, other: Outcome) -> [Outcome; 5] {
    [WHO, FORBIDDEN, FORBIDDEN, owner, other]
}

fn table() -> Vec<Row> {
    let refresh = |_: &Stage| json!({ "refreshToken": "nobody's" });
    vec![
        row("GET /healthz", all(OK)),
        row("GET /readyz", all(OK)),
        row("GET /.well-known/jwks.json", all(OK)),
        row("POST /v1/auth/signup", all(CREATED)).body(|_| {
            json!({ "email": format!("{}@example.test", unique_name("new")),
                    "password": Buyer::PASSWORD, "name": "Lee" })
        }),
        row("POST /v1/auth/login", all(OK))
            .body(|stage| json!({ "email": stage.owner_email, "password": Buyer::PASSWORD })),
        // Whoever has the refresh token has the session.
        row("POST /v1/auth/refresh", all((401, "invalid-refresh-token"))).body(refresh),
        row("POST /v1/auth/logout", all(NO_CONTENT)).body(refresh),
        row("GET /v1/concerts", all(OK)),
        row("GET /v1/concerts/{concertId}", all(OK)),
        row("GET /v1/concerts/{concertId}/queue", all(OK)),
        // This room never had a lobby.
        row("GET /v1/concerts/{concertId}/queue/leaves", all(NOT_FOUND)),
        row(
            "GET /v1/queue/proof",
            [NO_PLACE, NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND],
        )
        .place(Place::Own),
        row("GET /v1/schedules/{scheduleId}/layout", all(OK)),
        row("POST /v1/concerts/{concertId}/queue-tokens", users(OK)),
        // The queue token is all it takes to ask for its own state, and to leave.
        row("GET /v1/queue", [NO_PLACE, OK, OK, OK, OK]).place(Place::Own),
        row("GET /v1/queue/events", [NO_PLACE, OK, OK, OK, OK]).place(Place::Own),
        row("GET /v1/concerts/{concertId}/schedules", buyers(OK, FOREIGN)).place(Place::Owners),
        row("GET /v1/schedules/{scheduleId}/seats", buyers(OK, FOREIGN)).place(Place::Owners),
        row(
            "POST /v1/reservations",
            buyers((409, "seat-unavailable"), FOREIGN),
        )
        .place(Place::Owners)
        .body(|stage| json!({ "scheduleId": stage.schedule_id, "seatIds": [stage.taken_seat_id] })),
        row("GET /v1/reservations", users(OK)),
        row("GET /v1/reservations/{reservationId}", buyers(OK, NOT_FOUND)),
        row(
            "DELETE /v1/reservations/{reservationId}",
            buyers(NO_CONTENT, NOT_FOUND),
        ),
        row(
            "POST /v1/payments",
            [
                (401, "payment-token-invalid"),
                (409, "already-paid"),
                (401, "payment-token-invalid"),
                (401, "payment-token-invalid"),
                (401, "payment-token-invalid"),
            ],
        )
        .body(|stage| json!({ "reservationId": stage.paid_reservation_id, "points": 0 })),
        row("GET /v1/payments/{paymentId}", buyers(OK, NOT_FOUND)),
        row("GET /v1/wallet", users(OK)),
        row("GET /v1/wallet/entries", users(OK)),
        row("POST /v1/wallet/charges", users(CREATED))
            .body(|_| json!({ "amount": 1_000, "card": { "paymentKey": payment_key("ok") } })),
        row("GET /v1/wallet/charges/{chargeId}", buyers(OK, NOT_FOUND)),
        row(
            "POST /v1/reservations/{paidReservationId}/cancellation",
            buyers(CREATED, NOT_FOUND),
        ),
        row(
            "GET /v1/reservations/{paidReservationId}/cancellation",
            buyers(OK, NOT_FOUND),
        ),
        // Whoever comes is believed in nothing.
        row("POST /v1/webhooks/toss", all(OK)).body(|_| json!({ "eventType": "SELLER_CHANGED" })),
        row(
            "DELETE /v1/queue",
            [NO_PLACE, NO_CONTENT, NO_CONTENT, NO_CONTENT, NO_CONTENT],
        )
        .place(Place::Own),
        row("POST /v1/admin/venues", organisers(CREATED, CREATED))
            .body(|_| json!({ "name": "Hall", "plan": plan_of((1, 1)) })),
        row(
            "POST /v1/admin/concerts",
            organisers(CREATED, (422, "invalid-field")),
        )
        .body(|stage| {
            json!({ "title": "Theirs", "venueId": stage.venue_id, "currency": "KRW",
                    "prices": { "VIP": 1, "R": 1 }, "waitingRoom": { "capacity": 1, "admitPerSecond": 1 } })
        }),
        row(
            "POST /v1/admin/concerts/{concertId}/schedules",
            organisers(CREATED, NOT_FOUND),
        )
        .body(|_| json!({ "startsAt": "2099-01-01T10:00:00Z" })),
        row(
            "PUT /v1/admin/concerts/{concertId}/waiting-room",
            organisers(OK, NOT_FOUND),
        )
        .body(|_| json!({ "capacity": 20, "admitPerSecond": 1000 })),
        row(
            "GET /v1/admin/concerts/{concertId}/stats",
            organisers(OK, NOT_FOUND),
        ),
        row(
            "POST /v1/admin/concerts/{concertId}/schedules/{scheduleId}/closing",
            organisers(OK, NOT_FOUND),
        ),
        row(
            "POST /v1/admin/concerts/{concertId}/schedules/{scheduleId}/cancellation",
            organisers((202, ""), NOT_FOUND),
        ),
        row(
            "GET /v1/admin/concerts/{concertId}/schedules/{scheduleId}/cancellation",
            organisers(OK, NOT_FOUND),
        ),
        row("GET /v1/admin/audit-log", organisers(OK, OK)),
    ]
}

/// Somebody who may come to a route.
#[derive(Default)]
struct Caller {
    access_token: Option<String>,
    queue_token: Option<String>,
    payment_token: Option<String>,
}

/// A sale with its people and what they own.
struct Stage {
    callers: [Caller; 5],
    owner_email: String,
    venue_id: String,
    concert_id: String,
    schedule_id: String,
    taken_seat_id: String,
    reservation_id: String,
    paid_reservation_id: String,
    payment_id: String,
    charge_id: String,
}

impl Stage {
    async fn set(world: &World) -> Self {
        let free = SaleOptions {
            prices: (0, 0),
            ..SaleOptions::default()
        };
        let (sale, kept, bought) = (
            Sale::open(world, free.clone()).await,
            Sale::open(world, free.clone()).await,
            Sale::open(world, free).await,
        );
        let (mut owner, mut other) = (world.buyer().await, world.buyer().await);

        let paid = owner.enter_and_hold(&bought, 1).await;
        let payment = owner.pay(&paid, 0, None).await.expect(201);
        let charge = owner.charge(1_000, &payment_key("ok")).await.expect(201);
        let held = owner.enter_and_hold(&kept, 1).await;
        owner.enter(&sale.concert_id).await;

        // The others have places and payment tokens too: their own.
        other.enter(&sale.concert_id).await;
        let taken_seat_id = other.available(&sale.schedule_id).await.remove(0);
        let theirs = other
            .hold(&sale.schedule_id, std::slice::from_ref(&taken_seat_id))
            .await
            .expect(201);
        let mut organiser = Buyer::log_in(world, demo::ORGANISER_EMAIL, demo::PASSWORD).await;
        organiser.join(&sale.concert_id).await;
        let mut second = world.organiser_of_their_own().await;
        second.join(&sale.concert_id).await;

        let caller = |buyer: &Buyer<'_>, payment_token: &Value| Caller {
            access_token: Some(buyer.access_token.clone()),
            queue_token: Some(buyer.queue_token.clone()),
            payment_token: payment_token["paymentToken"].as_str().map(str::to_owned),
        };
        Self {
            callers: [
                Caller::default(),
                caller(&owner, &paid),
                caller(&other, &theirs),
                caller(&organiser, &theirs),
                caller(&second, &theirs),
            ],
            owner_email: owner.email.clone(),
            venue_id: sale.venue_id,
            concert_id: sale.concert_id,
            schedule_id: sale.schedule_id,
            taken_seat_id,
            reservation_id: text(&held, "reservationId"),
            paid_reservation_id: text(&paid, "reservationId"),
            payment_id: text(&payment, "paymentId"),
            charge_id: text(&charge, "chargeId"),
        }
    }

    /// The same, with ids of nothing.
    fn of_nothing(&self, owner: &Caller, caller: &Caller) -> Self {
        let id = || Uuid::now_v7().to_string();
        let copy = |caller: &Caller| Caller {
            access_token: caller.access_token.clone(),
            queue_token: caller.queue_token.clone(),
            payment_token: caller.payment_token.clone(),
        };
        Self {
            callers: [
                Caller::default(),
                copy(owner),
                copy(caller),
                Caller::default(),
                Caller::default(),
            ],
            owner_email: self.owner_email.clone(),
            venue_id: id(),
            concert_id: id(),
            schedule_id: id(),
            taken_seat_id: id(),
            reservation_id: id(),
            paid_reservation_id: id(),
            payment_id: id(),
            charge_id: id(),
        }
    }

    async fn ask(&self, world: &World, row: &Row, who: usize) -> Answer {
        let (method, path) = row.route.split_once(' ').unwrap();
        let path = path
            .replace("{concertId}", &self.concert_id)
            .replace("{scheduleId}", &self.schedule_id)
            .replace("{reservationId}", &self.reservation_id)
            .replace("{paidReservationId}", &self.paid_reservation_id)
            .replace("{chargeId}", &self.charge_id)
            .replace("{paymentId}", &self.payment_id);
        let caller = &self.callers[who];
        let mut request = world.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
        if let Some(token) = &caller.access_token {
            request = request.bearer_auth(token);
        }
        let place = match row.place {
            Place::None => None,
            Place::Own => caller.queue_token.as_ref(),
            Place::Owners if who == NOBODY => None,
            Place::Owners => self.callers[OWNER].queue_token.as_ref(),
        };
        if let Some(token) = place {
            request = request.header("Queue-Token", token);
        }
        if row.route == "POST /v1/payments"
            && let Some(token) = &caller.payment_token
        {
            request = request.header("Payment-Token", token);
        }
        let body = (row.body)(self);
        if !body.is_null() {
            request = request.json(&body);
        }
        Answer::to(request).await
    }
}

#[tokio::test]
async fn promise_17_every_route_answers_everybody_as_the_table_says() {
    let world = World::shared().await;
    let document = Answer::to(world.get("/openapi.json")).await.expect(200);
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let rows = table();
    let documented_as = |row: &Row| row.route.replace("{paidReservationId}", "{reservationId}");
    let listed: BTreeSet<String> = rows.iter().map(documented_as).collect();
    assert_eq!(
        listed, documented,
        "each route has its row, and each row its route"
    );

    let stage = Stage::set(world).await;
    let mut wrong = Vec::new();
    for row in &rows {
        for who in ORDER {
            let answer = stage.ask(world, row, who).await;
            let got = (answer.status, answer.text("code"));
            if got != row.outcomes[who] {
                let name = ["nobody", "owner", "other buyer", "organiser", "other organiser"][who];
                wrong.push(format!(
                    "{} by {name}: {got:?}, not {:?}",
                    row.route, row.outcomes[who]
                ));
            }
            // A refusal for its owner's sake is the one for what does not exist.
            if matches!(row.outcomes[who], NOT_FOUND | (422, _)) {
                let absent = stage.of_nothing(&stage.callers[OWNER], &stage.callers[who]);
                let mut absent = absent.ask(world, row, 2).await;
                let mut foreign = answer;
                for body in [&mut absent.body, &mut foreign.body] {
                    body.as_object_mut().unwrap().remove("traceId").unwrap();
                }
                assert_eq!(
                    (foreign.status, &foreign.body),
                    (absent.status, &absent.body),
                    "{}",
                    row.route
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn promise_17_lists_hold_only_what_is_ones_own() {
    let world = World::shared().await;
    let free = SaleOptions {
        prices: (0, 0),
        ..SaleOptions::default()
    };
    let sale = Sale::open(world, free).await;
    let (mut owner, other) = (world.buyer().await, world.buyer().await);
    owner.enter_and_hold(&sale, 1).await;
    let reservations = async |buyer: &Buyer<'_>| {
        let list = buyer.get("/v1/reservations").await.expect(200);
        list["reservations"].as_array().unwrap().len()
    };
    assert_eq!((reservations(&owner).await, reservations(&other).await), (1, 0));
}

/// An Ed25519 key of nobody's (RFC 8410, section 10.3) and its public half.
const KEY_DER: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20, 0xd4,
    0xee, 0x72, 0xdb, 0xf9, 0x13, 0x58, 0x4a, 0xd5, 0xb6, 0xd8, 0xf1, 0xf7, 0x69, 0xf8, 0xad, 0x3a, 0xfe,
    0x7c, 0x28, 0xcb, 0xf1, 0xd4, 0xfb, 0xe0, 0x97, 0xa8, 0x8f, 0x44, 0x75, 0x58, 0x42,
];
const PUBLIC_X: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";

#[tokio::test]
async fn no_key_is_taken_from_where_a_token_points() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let good: Vec<&str> = buyer.access_token.split('.').collect();
    let decode =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (header, claims) = (decode(good[0]), good[1]);
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys.json", trap.local_addr().unwrap());

    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": PUBLIC_X, "kid": header["kid"] });
    for pointer in [
        json!({ "jku": url }),
        json!({ "x5u": url }),
        json!({ "jwk": jwk }),
    ] {
        for kid in [header["kid"].clone(), json!("attacker"), json!(url)] {
            let mut header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid });
            let members = header.as_object_mut().unwrap();
            members.extend(pointer.as_object().unwrap().clone());
            let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
            let key = EncodingKey::from_ed_der(KEY_DER);
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA).unwrap();
            let wallet = world
                .get("/v1/wallet")
                .bearer_auth(format!("{signed}.{signature}"));
            Answer::to(wallet).await.expect_problem(401, "unauthenticated");
        }
    }
    let connected = trap.accept().map_err(|error| error.kind());
    assert_eq!(connected.unwrap_err(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_guesser_is_refused_whatever_address_it_claims_and_nobody_else_is() {
    let world = World::shared().await;
    let (victim, bystander) = (world.buyer().await, world.buyer().await);
    let guess = async |claimed: &str| {
        let credentials = json!({ "email": victim.email, "password": "not the password" });
        let login = world.post("/v1/auth/login", &credentials);
        Answer::to(login.header("X-Forwarded-For", claimed)).await
    };
    let mut tries = 0;
    let refused = loop {
        let answer = guess(&format!("198.51.100.{tries}")).await;
        if answer.status != 401 {
            break answer;
        }
        tries += 1;
        assert!(tries < 50, "never refused");
    };
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    refused.expect_problem(429, "too-many-requests");
    Buyer::log_in(world, &bystander.email, Buyer::PASSWORD).await;
    // Sessions that there are go on.
    victim.get("/v1/wallet").await.expect(200);
}

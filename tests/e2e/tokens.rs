//! Tokens that are wrong, each in its own way: on every route that takes one, whatever the clocks say, and never a 500.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, text};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

/// How far a clock may be off.
const MINUTE: i32 = 60;
const ACCESS_TOKEN_SECONDS: i32 = 900;
/// Services that decide deadlines by their database's time.
const CLOCKS: [&str; 5] = ["auth", "queue", "concert", "booking", "payment"];
/// Routes for those who are on their page.
const VISITS: [&str; 3] = [
    "/v1/concerts/{concertId}/schedules",
    "/v1/schedules/{scheduleId}/seats",
    "/v1/reservations",
];
const PAYMENTS: &str = "/v1/payments";

/// A route that takes a token of some kind.
struct Route {
    method: Method,
    template: String,
    /// It asks for an access token.
    bearer: bool,
    /// It takes a queue token.
    queue_token: bool,
}

impl Route {
    /// Every route of the gateway's own document that takes a token.
    async fn all(world: &World) -> Vec<Self> {
        let document = Answer::to(world.get("/openapi.json")).await.expect(200);
        let mut routes = Vec::new();
        for (template, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let ways = operation["security"].as_array().into_iter().flatten();
                let ways: Vec<_> = ways.filter_map(Value::as_object).collect();
                if ways.is_empty() {
                    continue;
                }
                routes.push(Self {
                    method: method.to_uppercase().parse().unwrap(),
                    template: template.clone(),
                    bearer: ways.iter().all(|way| way.contains_key("bearer")),
                    queue_token: ways.iter().any(|way| way.contains_key("queueToken")),
                });
            }
        }
        routes
    }

    fn request(&self, stage: &Stage<'_>) -> RequestBuilder {
        let part = |part: &str| match part {
            "{concertId}" => stage.sale.concert_id.clone(),
            "{scheduleId}" => stage.sale.schedule_id.clone(),
            "{reservationId}" => text(&stage.held, "reservationId"),
            id if id.starts_with('{') => Uuid::now_v7().to_string(),
            name => name.to_owned(),
        };
        let path = self.template.split('/').map(part).collect::<Vec<_>>().join("/");
        let request = stage.world.request(self.method.clone(), &path);
        match &*self.template {
            "/v1/reservations" if self.method == Method::POST => {
                request.json(&json!({ "scheduleId": stage.sale.schedule_id, "seatIds": [stage.seat] }))
            }
            PAYMENTS => request.json(&json!({ "reservationId": stage.held["reservationId"], "points": 0 })),
            _ if self.method == Method::GET => request,
            _ => request.json(&json!({})),
        }
    }

    /// What one who sends both tokens is answered.
    async fn ask(&self, stage: &Stage<'_>, access_token: &str, queue_token: Option<&str>) -> Answer {
        let mut request = self.request(stage).bearer_auth(access_token);
        if let Some(token) = queue_token {
            request = request.header("Queue-Token", token);
        }
        Answer::to(request).await
    }
}

/// A sale, and people who stand in every way.
struct Stage<'a> {
    world: &'a World,
    sale: Sale,
    seat: String,
    /// On their page.
    inside: Buyer<'a>,
    /// Has left it with a hold.
    holder: Buyer<'a>,
    held: Value,
    waiting: Buyer<'a>,
    gone: Buyer<'a>,
    /// On the page of another concert.
    elsewhere: Buyer<'a>,
    signing: SigningKey,
}

impl<'a> Stage<'a> {
    async fn set(world: &'a World) -> Self {
        let room_for = |capacity| SaleOptions {
            capacity,
            ..SaleOptions::default()
        };
        let (sale, other) = (
            Sale::open(world, room_for(1)).await,
            Sale::open(world, room_for(1)).await,
        );
        let people: Vec<_> = futures::future::join_all((0..5).map(|_| world.buyer())).await;
        let [mut holder, mut inside, mut waiting, mut gone, mut elsewhere] = people.try_into().unwrap();
        let held = holder.enter_and_hold(&sale, 1).await;
        gone.enter(&sale.concert_id).await;
        assert_eq!(gone.leave().await.status, 204);
        inside.enter(&sale.concert_id).await;
        waiting.join(&sale.concert_id).await.expect(201);
        elsewhere.enter(&other.concert_id).await;
        Self {
            world,
            seat: inside.available(&sale.schedule_id).await.remove(0),
            sale,
            inside,
            holder,
            held,
            waiting,
            gone,
            elsewhere,
            signing: SigningKey::of(world).await,
        }
    }

    /// Queue tokens that are none, with what they are told.
    fn bad_tokens(&self) -> Vec<(&'static str, Option<String>, &'static str)> {
        const MALFORMED: &str = "queue-token-malformed";
        const UNSIGNED: &str = "queue-token-unsigned";
        const INVALID: &str = "queue-token-invalid";
        let mine = self.inside.queue_token.clone();
        let parts: Vec<_> = mine.split('.').collect();
        let (header, claims, signature) = (parts[0], parts[1], parts[2]);
        let theirs = self.waiting.queue_token.split('.').nth(1).unwrap();
        let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "kid": self.signing.kid }).to_string());
        let signed = |algorithm, use_: &str| self.signing.sign(algorithm, &self.claims(use_));
        let another_key = SigningKey {
            kid: self.signing.kid.clone(),
            secret: vec![7; 32],
        };
        let another_id = SigningKey {
            kid: "k99".to_owned(),
            secret: self.signing.secret.clone(),
        };
        vec![
            ("no header", None, "queue-token-missing"),
            ("nothing", Some(String::new()), "queue-token-missing"),
            (
                "cut in the signature",
                Some(mine[..mine.len() - 2].to_owned()),
                MALFORMED,
            ),
            (
                "cut after the claims",
                Some(format!("{header}.{claims}")),
                MALFORMED,
            ),
            (
                "cut in the claims",
                Some(format!("{header}.{}", &claims[..9])),
                MALFORMED,
            ),
            ("the header alone", Some(header.to_owned()), MALFORMED),
            ("words", Some("let me in".to_owned()), MALFORMED),
            ("no base64", Some("!!!.???.***".to_owned()), MALFORMED),
            (
                "no JSON",
                Some(format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode("{"))),
                MALFORMED,
            ),
            (
                "claims that are no JSON",
                Some(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{"))),
                MALFORMED,
            ),
            (
                "more than a token",
                Some(format!("{mine}.{signature}")),
                MALFORMED,
            ),
            (
                "huge",
                Some(format!("{header}.{}.{signature}", "A".repeat(16_384))),
                MALFORMED,
            ),
            ("no algorithm", Some(format!("{none}.{claims}.")), UNSIGNED),
            ("no algorithm, cut", Some(format!("{none}.{claims}")), UNSIGNED),
            (
                "no algorithm and a signature",
                Some(format!("{none}.{claims}.{signature}")),
                UNSIGNED,
            ),
            (
                "another algorithm by our key",
                Some(signed(Algorithm::HS512, "queue")),
                UNSIGNED,
            ),
            (
                "an access token",
                Some(self.inside.access_token.clone()),
                UNSIGNED,
            ),
            (
                "another key",
                Some(another_key.sign(Algorithm::HS256, &self.claims("queue"))),
                INVALID,
            ),
            (
                "an unknown key",
                Some(another_id.sign(Algorithm::HS256, &self.claims("queue"))),
                INVALID,
            ),
            (
                "another user's claims",
                Some(format!("{header}.{theirs}.{signature}")),
                INVALID,
            ),
            (
                "our key for another use",
                Some(signed(Algorithm::HS256, "payment")),
                INVALID,
            ),
            ("a payment token", Some(text(&self.held, "paymentToken")), INVALID),
        ]
    }

    fn claims(&self, use_: &str) -> Value {
        json!({ "use": use_, "c": self.sale.concert_id, "sub": Uuid::now_v7(), "n": 1 })
    }

    /// Whose token, sent by whom, is refused how; and where.
    async fn places(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (inside, elsewhere) = (&self.inside, &self.elsewhere);
        let payer = (&self.holder, PAYMENTS);
        let visitors = |who| VISITS.map(|route| (who, route));
        let rows: [(_, Vec<(&Buyer<'_>, &str)>, _); 5] = [
            (
                &self.waiting,
                visitors(&self.waiting).into(),
                (403, "not-admitted"),
            ),
            (
                &self.gone,
                visitors(&self.gone).into(),
                (410, "queue-token-expired"),
            ),
            (&self.holder, visitors(&self.holder).into(), (410, "page-left")),
            (
                elsewhere,
                visitors(elsewhere).into(),
                (403, "queue-token-other-concert"),
            ),
            (
                inside,
                [&visitors(elsewhere)[..], &[payer]].concat(),
                (403, "queue-token-foreign"),
            ),
        ];
        let routes = Route::all(self.world).await;
        for (of, asked, expected) in rows {
            for (by, template) in asked {
                let takes = |route: &&Route| route.template == template && route.queue_token;
                let route = routes.iter().find(takes).unwrap();
                let answer = route.ask(self, &by.access_token, Some(&of.queue_token)).await;
                if (answer.status, answer.text("code")) != expected {
                    wrong.push(format!(
                        "{template}: {} {}, not {expected:?}",
                        answer.status, answer.body
                    ));
                }
            }
        }
        // The holder's own place at another concert does not pay for this one.
        let mut holder = self.holder.clone();
        let other = Sale::open(self.world, SaleOptions::default()).await;
        holder.join(&other.concert_id).await.expect(201);
        let pay = routes.iter().find(|route| route.template == PAYMENTS).unwrap();
        let answer = Answer::to(pay.request(self).header("Queue-Token", &holder.queue_token)).await;
        if answer.text("code") != "queue-token-other-concert" {
            wrong.push(format!("paying from elsewhere: {}", answer.body));
        }
        wrong
    }
}

/// What queue tokens are signed with here.
struct SigningKey {
    kid: String,
    secret: Vec<u8>,
}

impl SigningKey {
    async fn of(world: &World) -> Self {
        let keys = world.services.env("queue", "QUEUE_TOKEN_KEYS").await;
        let (kid, secret) = keys.split_once(':').unwrap();
        Self {
            kid: kid.to_owned(),
            secret: URL_SAFE_NO_PAD.decode(secret).unwrap(),
        }
    }

    fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let mut header = Header::new(algorithm);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&self.secret)).unwrap()
    }
}

/// Steps every service's clock.
async fn step_clocks(world: &World, seconds: i32) {
    for service in CLOCKS {
        world.step_clock(service, seconds).await;
    }
}

#[tokio::test]
async fn promise_14_each_wrong_queue_token_has_its_own_code_on_every_route_and_under_every_clock() {
    let world = World::with_env(&[]).await;
    // As they are, a minute behind, and a minute ahead.
    for step in [0, -MINUTE, 2 * MINUTE] {
        step_clocks(&world, step).await;
        let stage = Stage::set(&world).await;
        let routes = Route::all(&world).await;
        let routes: Vec<_> = routes.into_iter().filter(|route| route.queue_token).collect();
        assert!(routes.len() >= 7, "{} routes take a queue token", routes.len());

        let mut wrong = Vec::new();
        for (name, token, code) in stage.bad_tokens() {
            for route in &routes {
                let code = match (code, &*route.template) {
                    // Nothing to pay with: neither the one token nor the other.
                    ("queue-token-missing", PAYMENTS) if token.is_none() => "payment-token-invalid",
                    _ => code,
                };
                let answer = route
                    .ask(&stage, &stage.inside.access_token, token.as_deref())
                    .await;
                if (answer.status, answer.text("code")) != (401, code) {
                    let Route { method, template, .. } = route;
                    wrong.push(format!(
                        "{name}: {method} {template}: {} {}, not {code}",
                        answer.status, answer.body
                    ));
                }
            }
        }
        wrong.extend(stage.places().await);
        assert!(
            wrong.is_empty(),
            "clocks moved by {step} s:\n{}",
            wrong.join("\n")
        );

        // The control: what is right is let in.
        stage.inside.seats(&stage.sale.schedule_id).await.expect(200);
        assert_eq!(stage.waiting.poll().await["status"], "WAITING");
        assert_eq!(stage.gone.poll().await["status"], "EXPIRED");
    }
}

/// Only somebody with our key could sign them, so what they are told matters less than that it is no fault.
#[tokio::test]
async fn a_number_that_nobody_was_given_is_no_fault_of_ours() {
    let world = World::shared().await;
    let stage = Stage::set(world).await;
    let routes = Route::all(world).await;
    let takes = |route: &&Route| route.queue_token && !route.template.ends_with("/events");
    for number in [0, 1_000, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let concert = &stage.sale.concert_id;
        let claims = json!({ "use": "queue", "c": concert, "sub": Uuid::now_v7(), "n": number });
        let token = stage.signing.sign(Algorithm::HS256, &claims);
        for route in routes.iter().filter(takes) {
            let answer = route.ask(&stage, &stage.inside.access_token, Some(&token)).await;
            let Route { method, template, .. } = route;
            assert!(
                answer.status != 500,
                "{number} {method} {template}: {}",
                answer.body
            );
        }
    }
}

#[tokio::test]
async fn an_access_token_that_is_out_of_date_is_said_so_on_every_route_and_a_minute_makes_no_difference() {
    let world = World::with_env(&[]).await;
    let wallet = async |token: &str| Answer::to(world.get("/v1/wallet").bearer_auth(token)).await;
    // Forward, as auth counts attempts by its clock: from where a token is out of date by now, over where it is as old as
    // a clock may be off, to a clock that is a minute behind, and one that is a minute ahead.
    let mut clock = 0;
    let mut signed_by_a_clock_off_by = async |seconds: i32| {
        world.step_clock("auth", seconds - clock).await;
        clock = seconds;
        world.buyer().await.access_token
    };
    let old = signed_by_a_clock_off_by(-(ACCESS_TOKEN_SECONDS + 2 * MINUTE)).await;
    for seconds in [-(ACCESS_TOKEN_SECONDS + MINUTE / 2), -MINUTE, MINUTE] {
        let token = signed_by_a_clock_off_by(seconds).await;
        wallet(&token).await.expect(200);
    }

    let stage = Stage::set(&world).await;
    let parts: Vec<_> = old.split('.').collect();
    let fresh: Vec<_> = stage.inside.access_token.split('.').collect();
    let forged = [parts[0], fresh[1], parts[2]].join(".");
    let mut wrong = Vec::new();
    for route in Route::all(&world).await.iter().filter(|route| route.bearer) {
        for (token, code) in [(&old, "access-token-expired"), (&forged, "unauthenticated")] {
            let answer = route.ask(&stage, token, Some(&stage.inside.queue_token)).await;
            if (answer.status, answer.text("code")) != (401, code) {
                let Route { method, template, .. } = route;
                wrong.push(format!(
                    "{method} {template}: {} {}, not {code}",
                    answer.status, answer.body
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Where it is not needed it must be right all the same.
    let paying = stage.world.post(PAYMENTS, &json!({}));
    let paying = paying
        .bearer_auth(&old)
        .header("Payment-Token", text(&stage.held, "paymentToken"));
    Answer::to(paying)
        .await
        .expect_problem(401, "access-token-expired");
}

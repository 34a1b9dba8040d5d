//! Secrets sent to every endpoint, in right and wrong places, reach no log, no span and no problem.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, payment, text};
use local_servers::topology::SERVICES;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use test_support::{eventually, unique_name};
use uuid::Uuid;
use vocabulary::demo;

use crate::telemetry::{Observed, PROVIDER_SECRET_KEY};

const PASSWORD: &str = "canary-Passw0rd-7f3e91c5";
const WRONG_PASSWORD: &str = "canary-Mistyped-90ab31d7";
const EVENT_STREAM: &str = "text/event-stream";

/// What nobody but its owner may see.
#[derive(Debug)]
struct Secret {
    what: &'static str,
    value: String,
}

impl Secret {
    fn new(what: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        assert!(!value.is_empty(), "no {what}");
        Self { what, value }
    }

    /// The part by which it is known wherever it turns up: of a signed token the signature, without which it is worth
    /// nothing.
    fn needle(&self) -> &str {
        let signature = self.value.splitn(3, '.').nth(2);
        signature.unwrap_or(&self.value)
    }
}

/// The secrets that stand in a text.
fn found_in(haystack: &str, secrets: &[Secret]) -> Vec<&'static str> {
    let found = secrets.iter().filter(|secret| haystack.contains(secret.needle()));
    found.map(|secret| secret.what).collect()
}

/// A buyer who paid by card, after a decline, with everything that was secret on the way.
struct Visit {
    secrets: Vec<Secret>,
    email: String,
    sale: Sale,
    reservation_id: String,
    payment_id: String,
    charge_id: String,
    seat_id: String,
}

impl Visit {
    async fn begin(world: &World) -> Self {
        let sale = Sale::open(world, SaleOptions::default()).await;
        let email = format!("{}@example.test", unique_name("canary"));
        let account = json!({ "email": email, "password": PASSWORD, "name": "Kim Minji" });
        Answer::to(world.post("/v1/auth/signup", &account))
            .await
            .expect(201);
        let mistyped = json!({ "email": email, "password": WRONG_PASSWORD });
        Answer::to(world.post("/v1/auth/login", &mistyped))
            .await
            .expect(401);
        let credentials = json!({ "email": email, "password": PASSWORD });
        let session = Answer::to(world.post("/v1/auth/login", &credentials))
            .await
            .expect(200);
        let first = text(&session, "refreshToken");
        let refresh = json!({ "refreshToken": first });
        let session = Answer::to(world.post("/v1/auth/refresh", &refresh))
            .await
            .expect(200);
        let mut buyer = Buyer::log_in(world, &email, PASSWORD).await;
        buyer.enter(&sale.concert_id).await;
        let seats = buyer.available(&sale.schedule_id).await;
        let held = buyer.hold(&sale.schedule_id, &seats[..1]).await.expect(201);
        let declined = unique_name("test_declined_canary");
        buyer.pay(&held, 0, Some(&declined)).await.expect(500);
        let key = unique_name("test_ok_canary");
        let paid = buyer.pay(&held, 0, Some(&key)).await.expect(201);
        let charge_key = unique_name("test_ok_canary_charge");
        let charged = buyer.charge(1_000, &charge_key).await.expect(201);

        let organiser = Buyer::log_in(world, demo::ORGANISER_EMAIL, demo::PASSWORD).await;
        let basic = STANDARD.encode(format!("{PROVIDER_SECRET_KEY}:"));
        let secrets = vec![
            Secret::new("an access token", buyer.access_token.clone()),
            Secret::new("an organiser's access token", organiser.access_token),
            Secret::new("a queue token", buyer.queue_token.clone()),
            Secret::new("a payment token", text(&held, "paymentToken")),
            Secret::new("a password", PASSWORD),
            Secret::new("a mistyped password", WRONG_PASSWORD),
            Secret::new("a refresh token", text(&session, "refreshToken")),
            Secret::new("a used refresh token", first),
            Secret::new("a payment key", key),
            Secret::new("a declined payment key", declined),
            Secret::new("the payment key of a charge", charge_key),
            Secret::new("the provider's secret key", PROVIDER_SECRET_KEY),
            Secret::new(
                "the provider's secret key in a header",
                basic.trim_end_matches('='),
            ),
        ];
        Self {
            secrets,
            email,
            reservation_id: text(&held, "reservationId"),
            payment_id: text(&paid, "paymentId"),
            charge_id: text(&charged, "chargeId"),
            seat_id: seats[0].clone(),
            sale,
        }
    }

    fn secret(&self, what: &str) -> &str {
        let secret = self.secrets.iter().find(|secret| secret.what == what);
        &secret.unwrap_or_else(|| panic!("{what}")).value
    }

    /// Some secret; by counting up, each in its turn.
    fn any(&self, turn: &mut usize) -> &str {
        *turn += 1;
        &self.secrets[*turn % self.secrets.len()].value
    }

    /// What belongs into a field or a path's place of this name.
    fn right(&self, name: &str) -> Option<Value> {
        Some(match name {
            "email" => json!(self.email),
            "password" => json!(PASSWORD),
            "refreshToken" => json!(self.secret("a refresh token")),
            "paymentKey" => json!(unique_name(self.secret("a payment key"))),
            "concertId" => json!(self.sale.concert_id),
            "scheduleId" => json!(self.sale.schedule_id),
            "venueId" => json!(self.sale.venue_id),
            "reservationId" => json!(self.reservation_id),
            "paymentId" => json!(self.payment_id),
            "chargeId" => json!(self.charge_id),
            "orderId" => json!(unique_name("order")),
            "amount" => json!(1_000),
            "eventType" => json!("PAYMENT_STATUS_CHANGED"),
            "seatIds" => json!([self.seat_id]),
            _ => return None,
        })
    }

    /// The headers that carry secrets, each with its own or with another's.
    fn headers(&self, path: &str, swapped: bool) -> HeaderMap {
        let access = match path.starts_with("/v1/admin/") {
            true => "an organiser's access token",
            false => "an access token",
        };
        let mut tokens = [access, "a queue token", "a payment token"].map(|what| self.secret(what));
        if swapped {
            tokens.rotate_left(1);
        }
        let [access, queue, payment] = tokens;
        let pairs = [
            ("authorization", format!("Bearer {access}")),
            ("queue-token", queue.to_owned()),
            ("payment-token", payment.to_owned()),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::try_from(value).unwrap()))
            .collect()
    }
}

/// How wrong a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it should be.
    Right,
    /// Right but for tokens, which stand in each other's headers.
    SwappedTokens,
    /// A secret in the path, in the query, and in every text field of the body.
    SecretsEverywhere,
    /// A secret in every text field of the body, on the right path.
    SecretsInFields,
    /// A secret in every field, of a type that is not the field's.
    WrongTypes,
    /// A body that breaks off within a secret.
    BrokenBody,
    /// A secret as a body that is no JSON.
    PlainBody,
    /// Nobody asks.
    NoTokens,
}

const WAYS: [Way; 8] = [
    Way::SwappedTokens,
    Way::SecretsEverywhere,
    Way::SecretsInFields,
    Way::WrongTypes,
    Way::BrokenBody,
    Way::PlainBody,
    Way::NoTokens,
    // Last, for it may log out and leave the line.
    Way::Right,
];

/// One operation of the API's document.
struct Operation<'a> {
    document: &'a Value,
    method: Method,
    path: &'a str,
    described: &'a Value,
}

impl Operation<'_> {
    fn all(document: &Value) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, described) in item.as_object().unwrap() {
                let method = method.to_uppercase().parse();
                if let (
                    Ok(method @ (Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE)),
                    true,
                ) = (method, described.is_object())
                {
                    operations.push(Operation {
                        document,
                        method,
                        path,
                        described,
                    });
                }
            }
        }
        operations
    }

    fn request(&self, world: &World, visit: &Visit, way: Way, turn: &mut usize) -> RequestBuilder {
        let everywhere = way == Way::SecretsEverywhere;
        let path = self.path.split('/').map(|part| {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            match name {
                None => part.to_owned(),
                Some(_) if everywhere => visit.any(turn).to_owned(),
                Some(name) => match visit.right(name) {
                    Some(Value::String(id)) => id,
                    _ => visit.any(turn).to_owned(),
                },
            }
        });
        let path = path.collect::<Vec<_>>().join("/");
        let mut request = world.request(self.method.clone(), &path);
        if everywhere {
            let named = self.described["parameters"].as_array().into_iter().flatten();
            let named = named.filter(|parameter| parameter["in"] == "query");
            let named = named.filter_map(|parameter| parameter["name"].as_str());
            let query: Vec<_> = named
                .chain(["token", "password", "access_token", "paymentKey"])
                .map(|name| (name.to_owned(), visit.any(turn).to_owned()))
                .collect();
            request = request.query(&query);
        }
        if way != Way::NoTokens {
            request = request.headers(visit.headers(self.path, way == Way::SwappedTokens));
        }
        let schema = &self.described["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            return request;
        }
        match way {
            Way::BrokenBody => {
                let secret = visit.any(turn);
                request
                    .header(CONTENT_TYPE, "application/json")
                    .body(format!(r#"{{"password":"{secret}"#))
            }
            Way::PlainBody => request
                .header(CONTENT_TYPE, "text/plain")
                .body(visit.any(turn).to_owned()),
            _ => request.json(&self.filled("", schema, visit, way, turn)),
        }
    }

    /// A value for a field of this name and schema.
    fn filled(&self, name: &str, schema: &Value, visit: &Visit, way: Way, turn: &mut usize) -> Value {
        let schema = self.resolved(schema);
        let is_wrong = matches!(
            way,
            Way::SecretsEverywhere | Way::SecretsInFields | Way::WrongTypes
        );
        if let Some(right) = visit.right(name).filter(|_| !is_wrong) {
            return right;
        }
        let types = &schema["type"];
        let is = |wanted: &str| {
            types == wanted
                || types
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one == wanted))
        };
        if let Some(fields) = schema["properties"].as_object() {
            let fields = fields.iter().map(|(name, field)| {
                let value = self.filled(name, field, visit, way, turn);
                (name.clone(), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        } else if way == Way::WrongTypes {
            match is("string") {
                true => json!({ "password": visit.any(turn) }),
                false => json!(visit.any(turn)),
            }
        } else if is("array") {
            json!([self.filled("", &schema["items"], visit, way, turn)])
        } else if is("integer") || is("number") {
            json!(1)
        } else if is("boolean") {
            json!(true)
        } else if is("object") {
            json!({ "VIP": 1 })
        } else {
            json!(visit.any(turn))
        }
    }

    /// The schema itself, where another is referred to.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let schema = self.document.pointer(reference.trim_start_matches('#'));
            return self.resolved(schema.unwrap());
        }
        let choices = ["oneOf", "anyOf", "allOf"]
            .iter()
            .find_map(|word| schema[*word].as_array());
        match choices.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
            Some(choice) => self.resolved(choice),
            None => schema,
        }
    }
}

#[tokio::test]
async fn no_secret_sent_to_any_endpoint_reaches_a_log_a_span_or_a_problem() {
    let observed = Observed::shared().await;
    let world = &observed.world;
    let document = Answer::to(world.get("/openapi.json")).await.expect(200);
    let operations = Operation::all(&document);
    let visit = Visit::begin(world).await;

    let mut turn = 0;
    for way in WAYS {
        for operation in &operations {
            let asked = format!("{} {} {way:?}", operation.method, operation.path);
            let request = operation.request(world, &visit, way, &mut turn);
            let answer = request
                .send()
                .await
                .unwrap_or_else(|error| panic!("{asked}: {error}"));
            let is_stream = answer
                .headers()
                .get(CONTENT_TYPE)
                .is_some_and(|media_type| media_type == EVENT_STREAM);
            if answer.status().is_success() || is_stream {
                // Who asks for a token is answered one.
                continue;
            }
            let headers = format!("{:?}", answer.headers());
            let told = headers + &answer.text().await.unwrap();
            assert_eq!(found_in(&told, &visit.secrets), [""; 0], "{asked}: {told}");
        }
    }

    observed.assert_all_told(world).await;
    for service in &SERVICES {
        let log = world.services.logs(service.name).await;
        let leaks = log
            .lines()
            .map(|line| (found_in(line, &visit.secrets), line))
            .find(|(found, _)| !found.is_empty());
        assert_eq!(leaks, None, "{} logs it", service.name);
    }
    for span in observed.collector.spans() {
        let leaks = found_in(&span.everything, &visit.secrets);
        assert_eq!(leaks, [""; 0], "{} exports {span:?}", span.service);
    }

    // What was searched is what these requests left behind: every route is in the log, to the last detail.
    let log = world.services.logs("gateway").await;
    assert!(log.contains(r#""level":"DEBUG""#));
    let logged: BTreeSet<_> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == "access")
        .map(|line| (text(&line, "http.request.method"), text(&line, "http.route")))
        .collect();
    for operation in &operations {
        let asked = (operation.method.to_string(), operation.path.to_owned());
        assert!(logged.contains(&asked), "{asked:?} was not asked");
    }
    let spans = observed.collector.spans();
    for service in ["gateway", "auth", "queue", "concert", "booking", "payment"] {
        assert!(spans.iter().any(|span| span.service == service), "{service}");
    }

    // And the search finds what is there.
    for secret in &visit.secrets {
        let planted = format!(
            "{log}{{\"level\":\"INFO\",\"message\":\"paid with {}\"}}\n",
            secret.value
        );
        assert!(found_in(&planted, &visit.secrets).contains(&secret.what));
    }
}

impl Observed {
    /// Waits until each service has exported a span that began after everything before.
    async fn assert_all_told(&self, world: &World) {
        let trace_id = Uuid::now_v7().simple().to_string();
        let traced = |request: RequestBuilder| {
            request.header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        };
        let sale = Sale::open(world, SaleOptions::default()).await;
        let mut buyer = world.buyer().await;
        buyer.enter(&sale.concert_id).await;
        let seats = buyer.available(&sale.schedule_id).await;
        let credentials = json!({ "email": buyer.email, "password": Buyer::PASSWORD });
        let hold = json!({ "scheduleId": sale.schedule_id, "seatIds": &seats[..1] });
        Answer::to(traced(world.post("/v1/auth/login", &credentials)))
            .await
            .expect(200);
        let concert = format!("/v1/concerts/{}/schedules", sale.concert_id);
        Answer::to(traced(buyer.request(Method::GET, &concert)))
            .await
            .expect(200);
        let held = Answer::to(traced(
            buyer.request(Method::POST, "/v1/reservations").json(&hold),
        ))
        .await
        .expect(201);
        let pay = world
            .post("/v1/payments", &payment(&held, 0, Some(&unique_name("test_ok"))))
            .header("Payment-Token", text(&held, "paymentToken"));
        Answer::to(traced(pay)).await.expect(201);
        for service in ["gateway", "auth", "queue", "concert", "booking", "payment"] {
            eventually(&format!("the spans of {service}"), async || {
                let trace = self.collector.trace(&trace_id);
                trace.iter().any(|span| span.service == service).then_some(())
            })
            .await;
        }
    }
}

//! What requests carry: bodies, queries, path ids and headers, right and wrong.

use contracts::auth::{SignUpRequest, SignUpResponse};
use contracts::booking::{ListReservationsRequest, ListReservationsResponse};
use contracts::concert::{
    CreateVenueRequest, CreateVenueResponse, SearchConcertsRequest, SearchConcertsResponse,
};
use futures::stream;
use reqwest::{Body, Method};
use rstest::rstest;
use serde_json::{Value, json};
use service_kit::problem::Problem;
use tonic::Status;
use vocabulary::ProblemCode;

use crate::gateway::{Answer, Gateway};

const MEBIBYTE: usize = 1024 * 1024;

#[rstest]
#[case::missing(json!({ "password": "long enough 1", "name": "Kim" }), &[("email", "is required")])]
#[case::wrong_type(json!({ "email": 7, "password": "long enough 1", "name": "Kim" }), &[("email", "must be a string")])]
#[case::null(json!({ "email": null, "password": "long enough 1", "name": "Kim" }), &[("email", "must be a string")])]
#[case::not_an_object(json!(["a@b.example", "long enough 1", "Kim"]), &[("body", "must be an object")])]
#[case::a_text(json!("x"), &[("body", "must be an object")])]
#[tokio::test]
async fn a_wrong_field_is_named_with_its_rule(#[case] body: Value, #[case] errors: &[(&str, &str)]) {
    let gateway = Gateway::start().await;
    let answer = gateway.post("/v1/auth/signup", &body).await;
    assert_eq!(named(&answer.expect_problem(422, "invalid-field")), errors);
}

#[rstest]
#[case("/v1/auth/login", json!({ "email": "a@b.example", "password": "x", "concertId": "A7" }), "concertId", "must be a UUID")]
#[case("/v1/reservations", json!({ "scheduleId": "A7", "seatIds": [] }), "scheduleId", "must be a UUID")]
#[case(
    "/v1/reservations",
    json!({ "scheduleId": "01900000-0000-7000-8000-000000000001", "seatIds": ["01900000-0000-7000-8000-000000000001", "A7"] }),
    "seatIds[1]",
    "must be a UUID"
)]
#[case(
    "/v1/reservations",
    json!({ "scheduleId": "01900000-0000-7000-8000-000000000001", "seatIds": "A7" }),
    "seatIds",
    "must be an array"
)]
#[case("/v1/payments", json!({ "reservationId": "01900000-0000-7000-8000-000000000001", "points": 1.5 }), "points", "must be a whole number")]
#[case("/v1/payments", json!({ "reservationId": "01900000-0000-7000-8000-000000000001", "points": 0, "card": {} }), "card.paymentKey", "is required")]
#[case("/v1/payments", json!({ "reservationId": "01900000-0000-7000-8000-000000000001", "points": 0, "card": ["key"] }), "card", "must be an object")]
#[case("/v1/admin/concerts", concert(json!({ "waitingRoom": [10, 1] })), "waitingRoom", "must be an object")]
#[case(
    "/v1/payments",
    json!({ "reservationId": "01900000-0000-7000-8000-000000000001", "points": 0, "card": { "paymentKey": "k", "orderId": "" } }),
    "card.orderId",
    "must not be empty"
)]
#[case("/v1/admin/venues", json!({ "name": "Hall" }), "plan", "is required")]
#[case("/v1/admin/concerts", concert(json!({ "currency": 410 })), "currency", "must be a string")]
#[case("/v1/admin/concerts", concert(json!({ "prices": { "VIP": "5" } })), "prices.VIP", "must be a whole number")]
#[case("/v1/admin/concerts", concert(json!({ "waitingRoom": { "capacity": 1 } })), "waitingRoom.admitPerSecond", "is required")]
#[case("/v1/admin/concerts", concert(json!({ "waitingRoom": { "capacity": -1, "admitPerSecond": 1 } })), "waitingRoom.capacity", "must be a whole number from 0 to 4294967295")]
#[case(
    "/v1/admin/concerts",
    concert(json!({ "waitingRoom": { "capacity": 1, "admitPerSecond": 1, "opensAt": "tomorrow" } })),
    "waitingRoom.opensAt",
    "must be a time as in RFC 3339, like 2027-01-31T19:30:00+09:00"
)]
#[case("/v1/admin/concerts", concert(json!({ "waitingRoom": { "capacity": 1, "admitPerSecond": 1, "mode": "CLOSED" } })), "waitingRoom.mode", "must be one of OPEN, PAUSED, DRAINING")]
#[case("/v1/admin/concerts", concert(json!({ "waitingRoom": { "capacity": 1, "admitPerSecond": 1, "mode": { "PAUSED": null } } })), "waitingRoom.mode", "must be a string")]
#[case("/v1/admin/concerts", concert(json!({ "refundPolicy": {} })), "refundPolicy", "must be an array")]
#[case("/v1/admin/concerts", concert(json!({ "refundPolicy": [[24, 50]] })), "refundPolicy[0]", "must be an object")]
#[case(
    "/v1/admin/concerts",
    concert(json!({ "refundPolicy": [{ "hoursBeforeStart": 24, "percent": 50 }, { "hoursBeforeStart": 0 }] })),
    "refundPolicy[1].percent",
    "is required"
)]
#[case(
    "/v1/admin/concerts",
    concert(json!({ "refundPolicy": [{ "hoursBeforeStart": -1, "percent": 50 }] })),
    "refundPolicy[0].hoursBeforeStart",
    "must be a whole number from 0 to 4294967295"
)]
#[case("/v1/wallet/charges", json!({ "card": { "paymentKey": "k" } }), "amount", "is required")]
#[case("/v1/wallet/charges", json!({ "amount": 1_000 }), "card", "is required")]
#[case("/v1/wallet/charges", json!({ "amount": "1000", "card": { "paymentKey": "k" } }), "amount", "must be a whole number")]
#[case("/v1/wallet/charges", json!({ "amount": 1_000, "card": ["k"] }), "card", "must be an object")]
#[case("/v1/wallet/charges", json!({ "amount": 1_000, "card": { "paymentKey": "k", "orderId": "" } }), "card.orderId", "must not be empty")]
#[tokio::test]
async fn a_wrong_field_is_named_wherever_it_stands(
    #[case] path: &str,
    #[case] body: Value,
    #[case] field: &str,
    #[case] rule: &str,
) {
    let gateway = Gateway::start().await;
    let request = gateway.request(Method::POST, path).json(&body);
    let answer = gateway.organiser().sends(request).await;
    assert_eq!(
        named(&answer.expect_problem(422, "invalid-field")),
        [(field, rule)]
    );
}

fn concert(changed: Value) -> Value {
    let mut concert = json!({
        "title": "가을 음악회", "venueId": "01900000-0000-7000-8000-000000000001", "currency": "KRW",
        "prices": { "VIP": 1 }, "waitingRoom": { "capacity": 1, "admitPerSecond": 1 },
    });
    for (field, value) in changed.as_object().unwrap() {
        concert[field] = value.clone();
    }
    concert
}

fn named(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| (error["field"].as_str().unwrap(), error["rule"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_refused_field_never_repeats_its_value() {
    let gateway = Gateway::start().await;
    for secret in [
        json!({ "canary": "hunter2, expected a fool at line 3" }),
        json!(["hunter2"]),
    ] {
        let body = json!({ "email": "a@b.example", "password": secret, "name": "Kim" });
        let answer = gateway.post("/v1/auth/signup", &body).await;
        let text = answer.expect_problem(422, "invalid-field").to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[rstest]
#[case("{")]
#[case("")]
#[case("{\"email\": \"a\" \"b\"}")]
#[case("{\"email\": \"a@b.example\", \"password\": \"long enough 1\", \"name\": \"Kim\"} trailing")]
#[tokio::test]
async fn a_body_that_is_no_json_is_malformed(#[case] body: &'static str) {
    let gateway = Gateway::start().await;
    let request = gateway
        .request(Method::POST, "/v1/auth/signup")
        .header("Content-Type", "application/json")
        .body(body);
    let problem = Answer::to(request).await.expect_problem(400, "malformed-request");
    assert!(
        problem["detail"].as_str().unwrap().contains("line 1, column"),
        "{problem}"
    );
}

#[rstest]
#[case(None)]
#[case(Some("text/plain"))]
#[case(Some("application/x-www-form-urlencoded"))]
#[case(Some("multipart/form-data"))]
#[tokio::test]
async fn a_body_that_is_not_said_to_be_json_is_not_read(#[case] media_type: Option<&str>) {
    let gateway = Gateway::start().await;
    let mut request = gateway.request(Method::POST, "/v1/auth/signup").body("{}");
    if let Some(media_type) = media_type {
        request = request.header("Content-Type", media_type);
    }
    Answer::to(request)
        .await
        .expect_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn unknown_fields_and_media_type_parameters_are_passed_over() {
    let gateway = Gateway::start().await;
    gateway
        .upstreams
        .on("auth.v1.AuthService/SignUp", |request: SignUpRequest| {
            let user = contracts::auth::User {
                user_id: "01900000-0000-7000-8000-00000000b001".to_owned(),
                email: request.email,
                name: request.name,
                roles: vec!["BUYER".to_owned()],
                created_at: Some(contracts::timestamp(time::OffsetDateTime::UNIX_EPOCH)),
            };
            Ok(SignUpResponse { user: Some(user) })
        });
    let body = r#"{"email": "a@b.example", "password": "long enough 1", "name": "Kim", "colour": "blue"}"#;
    let request = gateway
        .request(Method::POST, "/v1/auth/signup")
        .header("Content-Type", "Application/JSON; charset=utf-8")
        .body(body);
    let user = Answer::to(request).await.expect(201);
    assert_eq!(
        user,
        json!({
            "userId": "01900000-0000-7000-8000-00000000b001", "email": "a@b.example", "name": "Kim",
            "roles": ["BUYER"], "createdAt": "1970-01-01T00:00:00Z",
        })
    );
}

#[rstest]
#[case::announced(false)]
#[case::chunked(true)]
#[tokio::test]
async fn a_body_over_a_mebibyte_is_too_large(#[case] chunked: bool) {
    let gateway = Gateway::start().await;
    let request = |size: usize| {
        let body = large(
            json!({ "email": "a@b.example", "password": "long enough 1" }),
            size,
        );
        gateway
            .request(Method::POST, "/v1/auth/signup")
            .header("Content-Type", "application/json")
            .body(if chunked {
                in_chunks(body)
            } else {
                Body::from(body)
            })
    };
    Answer::to(request(MEBIBYTE + 1))
        .await
        .expect_problem(413, "body-too-large");
    Answer::to(request(4 * MEBIBYTE))
        .await
        .expect_problem(413, "body-too-large");
    // One that just fits is passed on.
    let taken = Problem::of(ProblemCode::EmailTaken);
    gateway
        .upstreams
        .refuse("auth.v1.AuthService/SignUp", Status::from(taken));
    Answer::to(request(MEBIBYTE))
        .await
        .expect_problem(409, "email-taken");
}

#[rstest]
#[case::announced(false)]
#[case::chunked(true)]
#[tokio::test]
async fn a_plan_may_have_sixteen_mebibytes(#[case] chunked: bool) {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(
        "concert.v1.ConcertService/CreateVenue",
        |request: CreateVenueRequest| {
            assert!(request.plan_json.starts_with(b"{ \"zones\":"));
            Ok(CreateVenueResponse {
                venue_id: "01900000-0000-7000-8000-000000000001".to_owned(),
                seats: 7,
            })
        },
    );
    let organiser = gateway.organiser();
    for (size, status) in [(16 * MEBIBYTE, 201), (16 * MEBIBYTE + 1, 413)] {
        let frame = r#"{"name": "Hall", "plan": { "zones": "" } }"#;
        let body = frame.replace("\"\"", &format!("\"{}\"", "x".repeat(size - frame.len())));
        assert_eq!(body.len(), size);
        let request = gateway
            .request(Method::POST, "/v1/admin/venues")
            .header("Content-Type", "application/json")
            .body(if chunked {
                in_chunks(body)
            } else {
                Body::from(body)
            });
        organiser.sends(request).await.expect(status);
    }
}

/// `body` with a name that makes it `size` bytes long.
fn large(mut body: Value, size: usize) -> String {
    body["name"] = json!("");
    let short = body.to_string().len();
    body["name"] = json!("x".repeat(size - short));
    body.to_string()
}

fn in_chunks(body: String) -> Body {
    let chunks: Vec<_> = body
        .into_bytes()
        .chunks(64 * 1024)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect();
    Body::wrap_stream(stream::iter(chunks))
}

#[rstest]
#[case("limit=0", "limit", "must be from 1 to 100")]
#[case("limit=101", "limit", "must be from 1 to 100")]
#[case("limit=many", "limit", "must be a whole number in range")]
#[case("limit=-1", "limit", "must be a whole number in range")]
#[case("limit=", "limit", "must be a whole number in range")]
#[case("limit=1&limit=2", "limit", "must stand there once")]
#[tokio::test]
async fn a_wrong_query_is_named_with_its_rule(#[case] query: &str, #[case] field: &str, #[case] rule: &str) {
    let gateway = Gateway::start().await;
    let answer = gateway.get(&format!("/v1/concerts?{query}")).await;
    assert_eq!(
        named(&answer.expect_problem(422, "invalid-field")),
        [(field, rule)]
    );
}

#[tokio::test]
async fn a_query_may_be_korean_and_have_unknown_fields() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(
        "concert.v1.ConcertService/SearchConcerts",
        |request: SearchConcertsRequest| {
            assert_eq!((request.query.as_str(), request.limit), ("가을 밤", 3));
            Ok(SearchConcertsResponse {
                concerts: vec![],
                next_cursor: "next".to_owned(),
            })
        },
    );
    let answer = gateway
        .get("/v1/concerts?query=가을+밤&limit=3&colour=blue")
        .await;
    assert_eq!(
        answer.expect(200),
        json!({ "concerts": [], "nextCursor": "next" })
    );
}

#[tokio::test]
async fn the_last_page_has_no_cursor() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(
        "booking.v1.BookingService/ListReservations",
        |request: ListReservationsRequest| {
            assert_eq!((request.cursor.as_str(), request.limit), ("from here", 0));
            Ok(ListReservationsResponse::default())
        },
    );
    let request = gateway.request(Method::GET, "/v1/reservations?cursor=from%20here");
    let answer = gateway.visitor().sends(request).await;
    assert_eq!(answer.expect(200), json!({ "reservations": [] }));
}

#[rstest]
#[case("/v1/concerts/A7")]
#[case("/v1/concerts/A7/queue")]
#[case("/v1/concerts/%FF")]
#[case("/v1/schedules/0/layout")]
#[case("/v1/reservations/01900000-0000-7000-8000-00000000000")]
#[case("/v1/payments/none")]
#[tokio::test]
async fn a_path_id_that_is_none_names_nothing(#[case] path: &str) {
    let gateway = Gateway::start().await;
    let answer = gateway.visitor().sends(gateway.request(Method::GET, path)).await;
    answer.expect_problem(404, "not-found");
}

#[rstest]
#[case("")]
#[case("two words")]
#[case("키")]
#[case(&"x".repeat(256))]
#[tokio::test]
async fn a_wrong_idempotency_key_is_malformed(#[case] key: &str) {
    let gateway = Gateway::start().await;
    let request = gateway
        .request(Method::POST, "/v1/reservations")
        .header("Idempotency-Key", key.as_bytes())
        .json(&json!({}));
    let problem = gateway
        .visitor()
        .sends(request)
        .await
        .expect_problem(400, "malformed-request");
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
}

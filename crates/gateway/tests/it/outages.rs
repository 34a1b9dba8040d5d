//! Services that are away, and what is ready.

use std::time::{Duration, Instant};

use contracts::payment::{GetWalletRequest, GetWalletResponse, Wallet};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use test_support::eventually;
use tonic::Status;
use vocabulary::ConcertId;

use crate::gateway::{Answer, Gateway};
use crate::upstreams::Upstreams;

/// Nobody listens there: ports below 1024 are not given to those who ask for any.
const NOBODY: &str = "http://127.0.0.1:9";

#[rstest]
#[case("AUTH_URL", Method::POST, "/v1/auth/login", json!({ "email": "a@b.example", "password": "x" }))]
#[case("QUEUE_URL", Method::DELETE, "/v1/queue", json!({}))]
#[case("CONCERT_URL", Method::GET, "/v1/concerts", json!({}))]
#[case("BOOKING_URL", Method::GET, "/v1/reservations", json!({}))]
#[case("PAYMENT_URL", Method::GET, "/v1/wallet", json!({}))]
#[tokio::test]
async fn a_service_that_is_away_is_a_503_at_once(
    #[case] service: &str,
    #[case] method: Method,
    #[case] path: &str,
    #[case] body: serde_json::Value,
) {
    let gateway = if service == "AUTH_URL" {
        Gateway::start_unready(Upstreams::default(), &[(service, NOBODY)]).await
    } else {
        Gateway::start_with(&[(service, NOBODY)]).await
    };
    let mut request = gateway.request(method, path).json(&body);
    if service != "AUTH_URL" {
        let visitor = gateway.visitor();
        request = request
            .bearer_auth(visitor.access_token)
            .header("Queue-Token", visitor.queue_token);
    }
    let started = Instant::now();
    Answer::to(request).await.expect_problem(503, "unavailable");
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );

    let name = service.trim_end_matches("_URL").to_lowercase();
    let ready = gateway.get("/readyz").await.expect(503);
    assert_eq!(ready["ready"], false);
    let waiting_for = ready["waitingFor"].as_array().unwrap();
    assert!(waiting_for.contains(&json!(name)), "{ready}");
    gateway.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn ready_means_that_every_service_serves() {
    let gateway = Gateway::start().await;
    let ready = eventually("readiness", async || {
        let answer = gateway.get("/readyz").await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(ready, json!({ "ready": true, "waitingFor": [] }));
}

#[tokio::test]
async fn without_auth_known_keys_go_on_working_and_unknown_ones_cannot_be_judged() {
    let gateway = Gateway::start().await;
    gateway
        .upstreams
        .on("payment.v1.PaymentService/GetWallet", |_: GetWalletRequest| {
            Ok(GetWalletResponse {
                wallet: Some(Wallet::default()),
            })
        });
    gateway
        .upstreams
        .refuse("auth.v1.AuthService/GetSigningKeys", Status::unavailable("away"));
    let visitor = gateway.visitor();
    visitor
        .sends(gateway.request(Method::GET, "/v1/wallet"))
        .await
        .expect(200);
    gateway.get("/.well-known/jwks.json").await.expect(200);

    let newer = crate::gateway::Signer::new("key-2").access_token(visitor.user_id, &[]);
    let request = gateway.request(Method::GET, "/v1/wallet").bearer_auth(newer);
    Answer::to(request).await.expect_problem(503, "unavailable");
}

#[tokio::test]
async fn before_the_first_keys_nobody_is_refused_as_unknown() {
    let gateway = Gateway::start_unready(Upstreams::default(), &[("AUTH_URL", NOBODY)]).await;
    let request = gateway.request(Method::GET, "/v1/wallet");
    gateway
        .visitor()
        .sends(request)
        .await
        .expect_problem(503, "unavailable");
    gateway
        .get("/.well-known/jwks.json")
        .await
        .expect_problem(503, "unavailable");
    let ready = gateway.get("/readyz").await.expect(503);
    assert!(
        ready["waitingFor"]
            .as_array()
            .unwrap()
            .contains(&json!("signing-keys")),
        "{ready}"
    );
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up() {
    let gateway = Gateway::start_with(&[("HTTP_REQUEST_TIMEOUT_MS", "200")]).await;
    gateway.upstreams.on(
        "concert.v1.ConcertService/SearchConcerts",
        |_: contracts::concert::SearchConcertsRequest| {
            std::thread::sleep(Duration::from_millis(600));
            Ok(contracts::concert::SearchConcertsResponse::default())
        },
    );
    gateway
        .get("/v1/concerts")
        .await
        .expect_problem(504, "deadline-exceeded");
}

#[tokio::test]
async fn polls_go_on_when_queue_is_away_only_as_long_as_the_state_is_young() {
    let gateway = Gateway::start_with(&[("QUEUE_URL", NOBODY)]).await;
    let person = gateway.visitor();
    let request = gateway
        .request(Method::GET, "/v1/queue")
        .header("Queue-Token", &person.queue_token);
    Answer::to(request).await.expect_problem(503, "unavailable");
    let path = format!("/v1/concerts/{}/queue", ConcertId::new());
    gateway.get(&path).await.expect_problem(503, "unavailable");
}

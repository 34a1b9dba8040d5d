//! What every route has in common.

use contracts::concert::{SearchConcertsRequest, SearchConcertsResponse};
use reqwest::Method;
use rstest::rstest;

use crate::gateway::{Answer, Gateway};

async fn gateway_with_concerts() -> Gateway {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(
        "concert.v1.ConcertService/SearchConcerts",
        |_: SearchConcertsRequest| Ok(SearchConcertsResponse::default()),
    );
    gateway
}

#[rstest]
#[case("/")]
#[case("/v1")]
#[case("/v1/concert")]
#[case("/v1/concerts/")]
#[case("/metrics")]
#[tokio::test]
async fn an_unknown_route_is_a_problem(#[case] path: &str) {
    let gateway = Gateway::start().await;
    gateway.get(path).await.expect_problem(404, "route-not-found");
}

#[rstest]
#[case(Method::DELETE, "/v1/concerts", "GET,HEAD")]
#[case(Method::GET, "/v1/auth/login", "POST")]
#[case(Method::POST, "/v1/queue", "DELETE,GET,HEAD")]
#[case(Method::PATCH, "/v1/reservations", "GET,HEAD,POST")]
#[tokio::test]
async fn a_method_that_a_route_lacks_is_a_problem_that_names_those_it_has(
    #[case] method: Method,
    #[case] path: &str,
    #[case] allowed: &str,
) {
    let gateway = Gateway::start().await;
    let answer = Answer::to(gateway.request(method, path)).await;
    let mut methods: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
    methods.sort_unstable();
    assert_eq!(methods.join(","), allowed);
    answer.expect_problem(405, "method-not-allowed");
}

#[tokio::test]
async fn every_answer_is_hardened_and_has_a_request_id() {
    let gateway = gateway_with_concerts().await;
    for path in ["/v1/concerts", "/v1/nothing", "/v1/wallet"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

#[rstest]
#[case("my-own-7", true)]
#[case("two words", false)]
#[case(&"x".repeat(65), false)]
#[tokio::test]
async fn a_request_id_of_the_caller_is_kept_when_it_is_plain(#[case] id: &str, #[case] kept: bool) {
    let gateway = gateway_with_concerts().await;
    let request = gateway
        .request(Method::GET, "/v1/concerts")
        .header("X-Request-Id", id);
    assert_eq!(Answer::to(request).await.header("x-request-id") == id, kept);
}

#[tokio::test]
async fn a_problem_names_the_trace_that_the_caller_began() {
    let gateway = Gateway::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = gateway
        .request(Method::GET, "/v1/wallet")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let problem = Answer::to(request).await.expect_problem(401, "unauthenticated");
    assert_eq!(problem["traceId"], trace);
}

#[tokio::test]
async fn other_origins_are_let_in_only_where_they_are_configured() {
    let preflight = async |gateway: &Gateway, origin: &str| {
        let request = gateway
            .request(Method::OPTIONS, "/v1/reservations")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,queue-token");
        let answer = Answer::to(request).await;
        answer.header("access-control-allow-origin").to_owned()
    };
    let closed = Gateway::start().await;
    assert_eq!(preflight(&closed, "https://a.example").await, "");
    let open = Gateway::start_with(&[("CORS_ALLOWED_ORIGINS", "https://a.example")]).await;
    assert_eq!(preflight(&open, "https://a.example").await, "https://a.example");
    assert_eq!(preflight(&open, "https://b.example").await, "");
}

#[tokio::test]
async fn requests_are_measured_by_route_and_never_by_path() {
    let gateway = Gateway::start().await;
    gateway
        .get("/v1/concerts/made-up-by-the-caller")
        .await
        .expect(404);
    gateway.get("/made-up-by-the-caller").await.expect(404);
    let metrics = service_kit::telemetry::render_metrics();
    for route in ["/v1/concerts/{concertId}", "unmatched"] {
        let labels = format!(r#"route="{route}",method="GET",status="404""#);
        assert!(metrics.contains(&labels), "{labels}");
    }
    assert!(!metrics.contains("made-up"));
}

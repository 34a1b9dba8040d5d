//! Refusals of the services, as the public sees them.

use contracts::concert::{GetConcertRequest, GetConcertResponse};
use rstest::rstest;
use serde_json::json;
use service_kit::problem::{FieldError, Problem};
use tonic::Status;
use vocabulary::{ConcertId, ProblemCode};

use crate::gateway::{Answer, Gateway};

const GET_CONCERT: &str = "concert.v1.ConcertService/GetConcert";

async fn answer_to(problem: Problem) -> Answer {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(GET_CONCERT, move |_: GetConcertRequest| {
        Err::<GetConcertResponse, _>(problem.clone())
    });
    gateway.get(&format!("/v1/concerts/{}", ConcertId::new())).await
}

#[tokio::test]
async fn every_code_has_its_status() {
    let gateway = Gateway::start().await;
    let statuses = [
        (400, "malformed-request"),
        (
            401,
            "unauthenticated access-token-expired invalid-credentials invalid-refresh-token queue-token-missing \
             queue-token-malformed queue-token-unsigned queue-token-invalid payment-token-invalid",
        ),
        (402, "insufficient-points"),
        (
            403,
            "forbidden queue-token-foreign queue-token-other-concert not-admitted",
        ),
        (404, "route-not-found not-found"),
        (405, "method-not-allowed"),
        (
            409,
            "email-taken seat-unavailable reservation-not-releasable reservation-not-cancelable order-used \
             payment-in-progress already-paid idempotency-key-in-progress room-closed draw-pending",
        ),
        (
            410,
            "queue-token-expired page-left sale-closed payment-window-closed cancellation-window-closed schedule-canceled",
        ),
        (413, "body-too-large"),
        (415, "unsupported-media-type"),
        (
            422,
            "invalid-field seat-cap-exceeded card-required idempotency-key-reused",
        ),
        (429, "too-many-requests"),
        (500, "payment-failed internal"),
        (503, "unavailable"),
        (504, "deadline-exceeded"),
    ];
    let mut seen = 0;
    for (status, codes) in statuses {
        for name in codes.split_whitespace() {
            let code: ProblemCode = name.parse().unwrap();
            gateway
                .upstreams
                .refuse(GET_CONCERT, Status::from(Problem::of(code)));
            let answer = gateway.get(&format!("/v1/concerts/{}", ConcertId::new())).await;
            let body = answer.expect_problem(status, name);
            assert_eq!(body["title"], code.title());
            seen += 1;
        }
    }
    assert_eq!(seen, ProblemCode::ALL.len());
}

#[tokio::test]
async fn members_and_fields_of_a_refusal_reach_the_public() {
    let error = |field: &str, rule: &str| FieldError {
        field: field.to_owned(),
        rule: rule.to_owned(),
    };
    let problem = Problem::fields(vec![
        error("scheduleId", "is required"),
        error("seatIds[2]", "must be different from the others"),
    ])
    .with("seatIds", vec!["a", "b"])
    .with("orderId", "order-2");
    let body = answer_to(problem).await.expect_problem(422, "invalid-field");
    assert_eq!(
        body["errors"],
        json!([
            { "field": "scheduleId", "rule": "is required" },
            { "field": "seatIds[2]", "rule": "must be different from the others" },
        ])
    );
    assert_eq!(
        (&body["seatIds"], &body["orderId"]),
        (&json!(["a", "b"]), &json!("order-2"))
    );
}

#[tokio::test]
async fn retry_after_is_what_the_service_says() {
    let problem =
        Problem::of(ProblemCode::TooManyRequests).retry_after(std::time::Duration::from_millis(6_100));
    let answer = answer_to(problem).await;
    assert_eq!(answer.header("retry-after"), "7");
    answer.expect_problem(429, "too-many-requests");
}

#[rstest]
#[case(Status::internal("relation \"users\" does not exist"), 500, "internal")]
#[case(Status::unknown("panicked at src/secret.rs"), 500, "internal")]
#[case(Status::unavailable("tcp connect error: 10.0.0.7"), 503, "unavailable")]
#[case(Status::resource_exhausted("h2 streams"), 503, "unavailable")]
#[case(Status::deadline_exceeded("timer"), 504, "deadline-exceeded")]
#[tokio::test]
async fn what_a_library_says_of_itself_is_not_for_the_public(
    #[case] status: Status,
    #[case] http_status: u16,
    #[case] code: &str,
) {
    let gateway = Gateway::start().await;
    let internal = status.message().to_owned();
    gateway.upstreams.refuse(GET_CONCERT, status);
    let answer = gateway.get(&format!("/v1/concerts/{}", ConcertId::new())).await;
    let body = answer.expect_problem(http_status, code);
    assert!(!body.to_string().contains(&internal), "{body}");
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_a_fault_of_ours() {
    let gateway = Gateway::start().await;
    gateway.upstreams.on(GET_CONCERT, |_: GetConcertRequest| {
        Ok(GetConcertResponse { concert: None })
    });
    let answer = gateway.get(&format!("/v1/concerts/{}", ConcertId::new())).await;
    answer.expect_problem(500, "internal");
}

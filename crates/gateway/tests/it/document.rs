//! The OpenAPI document and its page.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;
use vocabulary::ProblemCode;

use crate::gateway::{Answer, Gateway};

fn document() -> Value {
    serde_json::to_value(::gateway::openapi::document()).unwrap()
}

/// Every operation as method, path and description.
fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            operations.push((method, path.clone(), operation));
        }
    }
    operations
}

#[test]
fn the_document_has_every_route_of_the_contract() {
    let document = document();
    let documented: BTreeSet<_> = operations(&document)
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let contract = [
        "POST /v1/auth/signup",
        "POST /v1/auth/login",
        "POST /v1/auth/refresh",
        "POST /v1/auth/logout",
        "GET /.well-known/jwks.json",
        "GET /v1/concerts",
        "GET /v1/concerts/{concertId}",
        "POST /v1/concerts/{concertId}/queue-tokens",
        "GET /v1/queue",
        "GET /v1/queue/events",
        "DELETE /v1/queue",
        "GET /v1/concerts/{concertId}/queue",
        "GET /v1/concerts/{concertId}/queue/leaves",
        "GET /v1/queue/proof",
        "GET /v1/concerts/{concertId}/schedules",
        "GET /v1/schedules/{scheduleId}/layout",
        "GET /v1/schedules/{scheduleId}/seats",
        "POST /v1/reservations",
        "GET /v1/reservations",
        "GET /v1/reservations/{reservationId}",
        "DELETE /v1/reservations/{reservationId}",
        "POST /v1/payments",
        "GET /v1/payments/{paymentId}",
        "GET /v1/wallet",
        "GET /v1/wallet/entries",
        "POST /v1/wallet/charges",
        "GET /v1/wallet/charges/{chargeId}",
        "POST /v1/reservations/{reservationId}/cancellation",
        "GET /v1/reservations/{reservationId}/cancellation",
        "POST /v1/webhooks/toss",
        "POST /v1/admin/venues",
        "POST /v1/admin/concerts",
        "POST /v1/admin/concerts/{concertId}/schedules",
        "POST /v1/admin/concerts/{concertId}/schedules/{scheduleId}/closing",
        "POST /v1/admin/concerts/{concertId}/schedules/{scheduleId}/cancellation",
        "GET /v1/admin/concerts/{concertId}/schedules/{scheduleId}/cancellation",
        "PUT /v1/admin/concerts/{concertId}/waiting-room",
        "GET /v1/admin/audit-log",
        "GET /v1/admin/concerts/{concertId}/stats",
        "GET /healthz",
        "GET /readyz",
    ];
    assert_eq!(documented, contract.map(str::to_owned).into());
}

#[tokio::test]
async fn every_documented_route_is_there() {
    let gateway = Gateway::start().await;
    for (method, path, _) in operations(&document()) {
        let mut path = path.clone();
        while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
            path.replace_range(start..=end, &Uuid::now_v7().to_string());
        }
        let answer = Answer::to(gateway.request(method.clone(), &path)).await;
        let code = answer.body["code"].as_str().unwrap_or_default();
        assert!(
            !["route-not-found", "method-not-allowed"].contains(&code),
            "{method} {path}: {code}"
        );
    }
}

#[test]
fn every_reference_resolves() {
    fn check(part: &Value, whole: &Value, seen: &mut usize) {
        match part {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(whole.pointer(pointer).is_some(), "{reference}");
                    *seen += 1;
                }
                members.values().for_each(|member| check(member, whole, seen));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, whole, seen)),
            _ => {}
        }
    }
    let (document, mut seen) = (document(), 0);
    check(&document, &document, &mut seen);
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_operation_is_described_whole() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{at}: its id is taken"
        );
        assert!(operation["summary"].is_string(), "{at}: no summary");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{at}: {status} has no description");
            for code in response["x-problem-codes"].as_array().into_iter().flatten() {
                code.as_str().unwrap().parse::<ProblemCode>().unwrap();
            }
        }
        for scheme in operation["security"].as_array().into_iter().flatten() {
            for name in scheme.as_object().unwrap().keys() {
                assert!(
                    document["components"]["securitySchemes"][name].is_object(),
                    "{at}: {name}"
                );
            }
        }
        if path.starts_with("/v1/") {
            for status in ["500", "503", "504"] {
                assert!(operation["responses"][status].is_object(), "{at}: no {status}");
            }
        }
        let reads_a_body = operation.get("requestBody").is_some();
        for status in ["400", "413", "415", "422"] {
            let stated = operation["responses"].get(status).is_some();
            assert!(stated || !reads_a_body, "{at}: no {status}");
        }
        let has_path_id = path.contains('{');
        assert!(
            operation["responses"].get("404").is_some() || !has_path_id,
            "{at}: no 404"
        );
        let is_secured = operation.get("security").is_some();
        assert!(
            operation["responses"].get("401").is_some() || !is_secured,
            "{at}: no 401"
        );
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_served_from_here_alone() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/openapi.json").await.expect(200), document());

    let page = gateway.get("/docs/").await;
    // The browser is told to load nothing from elsewhere, whatever a script would want.
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    let sources = policy
        .split(';')
        .flat_map(|directive| directive.split_whitespace().skip(1));
    for source in sources {
        let is_ours = ["'self'", "'none'", "'unsafe-inline'", "data:"].contains(&source);
        assert!(is_ours, "{source} in {policy}");
    }
    let html = page.expect(200).as_str().unwrap().to_owned();
    let parts: Vec<_> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(
        parts.iter().any(|part| part.ends_with("swagger-ui-bundle.js")),
        "{html}"
    );
    for part in parts {
        assert!(!part.contains("//"), "{part}");
        let answer = gateway
            .get(&format!("/docs/{}", part.trim_start_matches("./")))
            .await;
        let content = answer.expect(200);
        let style = part
            .ends_with(".css")
            .then(|| content.as_str().unwrap().to_owned());
        assert!(
            style.is_none_or(|style| !style.contains("@import") && !style.contains("url(http")),
            "{part}"
        );
    }
    let settings = gateway.get("/docs/swagger-initializer.js").await.expect(200);
    let settings = settings.as_str().unwrap();
    assert!(
        settings.contains("\"validatorUrl\": \"none\"") && settings.contains("/openapi.json"),
        "{settings}"
    );
}

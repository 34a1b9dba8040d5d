//! Which address auth is told that a login comes from.

use std::sync::{Arc, Mutex};

use contracts::auth::{LogInRequest, LogInResponse, Tokens, User};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::gateway::{Answer, Gateway};

#[rstest]
#[case::a_client_that_claims_to_be_another("none", "127.0.0.1")]
#[case::a_proxy_elsewhere("10.0.0.0/8", "127.0.0.1")]
#[case::a_trusted_proxy("127.0.0.0/8", "192.0.2.1")]
#[tokio::test]
async fn only_a_trusted_proxy_says_where_a_login_comes_from(#[case] trusted: &str, #[case] told: &str) {
    let gateway = Gateway::start_with(&[("TRUSTED_PROXIES", trusted)]).await;
    let seen = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&seen);
    gateway
        .upstreams
        .on("auth.v1.AuthService/LogIn", move |request: LogInRequest| {
            *note.lock().unwrap() = request.client_address;
            Ok(LogInResponse {
                tokens: Some(Tokens::default()),
                user: Some(User::default()),
                ticket: None,
            })
        });
    let credentials = json!({ "email": "a@b.example", "password": "x" });
    let login = gateway
        .request(Method::POST, "/v1/auth/login")
        .header("X-Forwarded-For", "203.0.113.9, 192.0.2.1")
        .header("Forwarded", "for=203.0.113.10")
        .json(&credentials);
    Answer::to(login).await.expect(200);
    assert_eq!(*seen.lock().unwrap(), told);
}

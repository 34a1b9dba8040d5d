//! People with accounts, as a site would sign them up.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Connection;

const PASSWORD: &str = "correct horse battery";
/// Passwords wait for a core each.
pub(crate) const SIGNING_UP_AT_ONCE: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    access_token: String,
}

/// A new account and a session of it; answers what stands in `Authorization`.
pub(crate) async fn sign_up(connection: &mut Connection, email: &str) -> Result<String> {
    let account = json!({ "email": email, "password": PASSWORD, "name": "Kim Minji" });
    let answer = connection
        .post("/v1/auth/signup", &[], account.to_string())
        .await?;
    answer.read::<Value>(&[201]).context("sign up")?;
    log_in(connection, email, PASSWORD).await
}

/// Answers what stands in `Authorization`.
pub(crate) async fn log_in(connection: &mut Connection, email: &str, password: &str) -> Result<String> {
    let credentials = json!({ "email": email, "password": password });
    let answer = connection
        .patiently(
            hyper::Method::POST,
            "/v1/auth/login",
            &[],
            &credentials.to_string(),
        )
        .await?;
    let session: Session = answer.read(&[200]).context("log in")?;
    Ok(format!("Bearer {}", session.access_token))
}

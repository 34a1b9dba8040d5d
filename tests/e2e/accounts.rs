//! Accounts and sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use end_to_end::{Answer, Buyer, Sale, SaleOptions, World, text};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

#[tokio::test]
async fn a_login_answers_tokens_that_the_published_keys_verify() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let jwks = Answer::to(world.get("/.well-known/jwks.json")).await.expect(200);
    let jwks: JwkSet = serde_json::from_value(jwks).unwrap();
    let kid = jsonwebtoken::decode_header(&buyer.access_token)
        .unwrap()
        .kid
        .unwrap();
    let key = DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Value>(&buyer.access_token, &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["roles"], json!(["BUYER"]));
}

#[tokio::test]
async fn a_login_that_names_a_concert_joins_its_line() {
    let world = World::shared().await;
    let sale = Sale::open(world, SaleOptions::default()).await;
    let buyer = world.buyer().await;
    let login = json!({ "email": buyer.email, "password": Buyer::PASSWORD, "concertId": sale.concert_id });
    let session = Answer::to(world.post("/v1/auth/login", &login)).await.expect(200);
    assert!(session["expiresInSeconds"].as_u64().unwrap() > 0);
    let state = Answer::to(
        world
            .get("/v1/queue")
            .header("Queue-Token", text(&session["queueToken"], "queueToken")),
    )
    .await
    .expect(200);
    assert_eq!(state["number"], session["queueToken"]["number"]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let mut answers = Vec::new();
    for (email, password) in [
        (buyer.email.as_str(), "not the password"),
        ("nobody@example.test", Buyer::PASSWORD),
    ] {
        let answer =
            Answer::to(world.post("/v1/auth/login", &json!({ "email": email, "password": password }))).await;
        let mut body = answer.expect_problem(401, "invalid-credentials");
        body.as_object_mut().unwrap().remove("traceId");
        answers.push(body);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn an_email_address_has_one_account() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let again = json!({ "email": buyer.email.to_uppercase(), "password": Buyer::PASSWORD, "name": "Lee" });
    Answer::to(world.post("/v1/auth/signup", &again))
        .await
        .expect_problem(409, "email-taken");
}

#[tokio::test]
async fn a_refresh_token_is_traded_once_and_ends_with_the_logout() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let login = json!({ "email": buyer.email, "password": Buyer::PASSWORD });
    let first = Answer::to(world.post("/v1/auth/login", &login)).await.expect(200);
    let refresh = async |token: &Value| {
        Answer::to(world.post("/v1/auth/refresh", &json!({ "refreshToken": token }))).await
    };
    let second = refresh(&first["refreshToken"]).await.expect(200);
    assert_ne!(first["refreshToken"], second["refreshToken"]);
    let me = world.get("/v1/wallet").bearer_auth(text(&second, "accessToken"));
    Answer::to(me).await.expect(200);

    let logout = json!({ "refreshToken": second["refreshToken"] });
    Answer::to(world.post("/v1/auth/logout", &logout))
        .await
        .expect(204);
    refresh(&second["refreshToken"])
        .await
        .expect_problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn a_trade_whose_answer_was_lost_is_retried_and_an_old_token_ends_its_session() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    let login = json!({ "email": buyer.email, "password": Buyer::PASSWORD });
    let first = Answer::to(world.post("/v1/auth/login", &login)).await.expect(200);
    let refresh = async |tokens: &Value| {
        let token = json!({ "refreshToken": tokens["refreshToken"] });
        Answer::to(world.post("/v1/auth/refresh", &token)).await
    };
    let lost = refresh(&first).await.expect(200);
    let second = refresh(&first).await.expect(200);
    assert_ne!(lost["refreshToken"], second["refreshToken"]);
    let third = refresh(&second).await.expect(200);
    // Whoever comes with the first one now is a thief, or was robbed.
    refresh(&first).await.expect_problem(401, "invalid-refresh-token");
    refresh(&third).await.expect_problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn an_access_token_that_is_missing_or_forged_is_refused() {
    let world = World::shared().await;
    let buyer = world.buyer().await;
    Answer::to(world.get("/v1/wallet"))
        .await
        .expect_problem(401, "unauthenticated");
    let mut parts: Vec<_> = buyer.access_token.split('.').map(str::to_owned).collect();
    let claims = URL_SAFE_NO_PAD.decode(&parts[1]).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["roles"] = json!(["ORGANISER"]);
    parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
    let forged = world.get("/v1/wallet").bearer_auth(parts.join("."));
    Answer::to(forged).await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn promise_9_a_sign_up_asked_for_again_with_its_key_answers_the_same() {
    let world = World::shared().await;
    let account =
        |password: &str| json!({ "email": "once@example.test", "password": password, "name": "Kim" });
    let sign_up = async |password: &str, key: &str| {
        let request = world.post("/v1/auth/signup", &account(password));
        Answer::to(request.header("Idempotency-Key", key)).await
    };
    let first = sign_up("correct horse battery", "sign-up-once").await.expect(201);
    let again = sign_up("correct horse battery", "sign-up-once").await.expect(201);
    assert_eq!(again, first);
    sign_up("another horse battery", "sign-up-once")
        .await
        .expect_problem(422, "idempotency-key-reused");
    sign_up("correct horse battery", "sign-up-twice")
        .await
        .expect_problem(409, "email-taken");
}

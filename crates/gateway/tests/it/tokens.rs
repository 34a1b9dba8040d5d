//! Who may call: access tokens, roles and queue tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::payment::{GetWalletRequest, GetWalletResponse, Wallet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use queue_token::{Claims, Keyring, QueueTokens};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use vocabulary::{ConcertId, QueueNumber, Role, UserId};

use crate::gateway::{Answer, Gateway, Person, Signer, claims, queue_token};

const GET_SIGNING_KEYS: &str = "auth.v1.AuthService/GetSigningKeys";

/// A gateway whose wallets can be read.
async fn gateway_with_wallets() -> Gateway {
    let gateway = Gateway::start().await;
    gateway
        .upstreams
        .on("payment.v1.PaymentService/GetWallet", |_: GetWalletRequest| {
            Ok(GetWalletResponse {
                wallet: Some(Wallet {
                    balance: 5,
                    pending: 0,
                }),
            })
        });
    gateway
}

async fn wallet(gateway: &Gateway, token: &str) -> Answer {
    Answer::to(gateway.request(Method::GET, "/v1/wallet").bearer_auth(token)).await
}

#[tokio::test]
async fn a_token_that_auth_signed_is_let_in_and_names_its_user() {
    let gateway = gateway_with_wallets().await;
    let buyer = gateway.visitor();
    let user_id = buyer.user_id.to_string();
    gateway.upstreams.on(
        "payment.v1.PaymentService/GetWallet",
        move |request: GetWalletRequest| {
            assert_eq!(request.user_id, user_id);
            Ok(GetWalletResponse {
                wallet: Some(Wallet {
                    balance: 5,
                    pending: 2,
                }),
            })
        },
    );
    let answer = wallet(&gateway, &buyer.access_token).await;
    assert_eq!(answer.expect(200), json!({ "balance": 5, "pending": 2 }));
}

#[rstest]
#[case::other_audience(json!({ "aud": "somebody-else" }))]
#[case::other_issuer(json!({ "iss": "somebody-else" }))]
#[case::no_expiry(json!({ "exp": null }))]
#[case::no_audience(json!({ "aud": null }))]
#[case::no_issuer(json!({ "iss": null }))]
#[case::no_user(json!({ "sub": null }))]
#[case::wrong_user(json!({ "sub": "root" }))]
#[case::wrong_roles(json!({ "roles": "ORGANISER" }))]
#[tokio::test]
async fn a_token_with_wrong_claims_is_refused(#[case] wrong: Value) {
    let gateway = gateway_with_wallets().await;
    let mut claims = claims(UserId::new(), &[Role::Buyer]);
    wallet(&gateway, &gateway.signer.sign(&claims)).await.expect(200);
    for (name, value) in wrong.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    let answer = wallet(&gateway, &gateway.signer.sign(&claims)).await;
    answer.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_token_that_chooses_its_own_algorithm_is_refused() {
    let gateway = gateway_with_wallets().await;
    let claims = claims(UserId::new(), &[Role::Buyer]);

    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"key-1"}"#);
    let claims_eddsa = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"key-1"}"#);

    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("key-1".to_owned());
    let x = gateway.signer.public_x();
    let by_public_key = EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(&x).unwrap());
    let by_public_text = EncodingKey::from_secret(x.as_bytes());

    for token in [
        format!("{unsigned}.{payload}."),
        format!("{claims_eddsa}.{payload}."),
        jsonwebtoken::encode(&header, &claims, &by_public_key).unwrap(),
        jsonwebtoken::encode(&header, &claims, &by_public_text).unwrap(),
    ] {
        wallet(&gateway, &token)
            .await
            .expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_token_of_another_key_under_a_known_id_is_refused() {
    let gateway = gateway_with_wallets().await;
    let token = Signer::new("key-1").access_token(UserId::new(), &[Role::Buyer]);
    wallet(&gateway, &token)
        .await
        .expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn unknown_keys_are_asked_for_at_most_once_in_a_while() {
    let gateway = gateway_with_wallets().await;
    let before = gateway.upstreams.calls(GET_SIGNING_KEYS);
    for made_up in 0..20 {
        let token = Signer::new(&format!("made-up-{made_up}")).access_token(UserId::new(), &[Role::Buyer]);
        wallet(&gateway, &token)
            .await
            .expect_problem(401, "unauthenticated");
    }
    assert_eq!(gateway.upstreams.calls(GET_SIGNING_KEYS) - before, 1);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_its_first_token_comes() {
    let gateway = gateway_with_wallets().await;
    let rotated = Signer::new("key-2");
    gateway.upstreams.publish_keys(rotated.key_set());
    wallet(&gateway, &rotated.access_token(UserId::new(), &[Role::Buyer]))
        .await
        .expect(200);
    let published = gateway.get("/.well-known/jwks.json").await;
    assert_eq!(published.header("content-type"), "application/json");
    assert_eq!(published.expect(200)["keys"][0]["kid"], "key-2");
}

#[rstest]
#[case(None)]
#[case(Some(""))]
#[case(Some("Bearer"))]
#[case(Some("Bearer "))]
#[case(Some("Bearer not.a.token"))]
#[case(Some("Basic dXNlcjpwYXNz"))]
#[tokio::test]
async fn no_access_token_is_no_access(#[case] authorization: Option<&str>) {
    let gateway = Gateway::start().await;
    let mut request = gateway.request(Method::GET, "/v1/wallet");
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    let answer = Answer::to(request).await;
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"frontrow\"");
    answer.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_buyer_is_no_organiser() {
    let gateway = Gateway::start().await;
    let concert = format!("/v1/admin/concerts/{}", ConcertId::new());
    for (method, path) in [
        (Method::POST, "/v1/admin/venues".to_owned()),
        (Method::POST, "/v1/admin/concerts".to_owned()),
        (Method::POST, format!("{concert}/schedules")),
        (Method::PUT, format!("{concert}/waiting-room")),
        (Method::GET, format!("{concert}/stats")),
    ] {
        // Whoever may not call at all learns nothing of what the body should be.
        let request = || gateway.request(method.clone(), &path).json(&json!({}));
        gateway
            .visitor()
            .sends(request())
            .await
            .expect_problem(403, "forbidden");
        Answer::to(request()).await.expect_problem(401, "unauthenticated");
    }
}

/// Routes that need an access token and the same user's queue token.
fn visits() -> [(Method, String); 3] {
    [
        (
            Method::GET,
            format!("/v1/concerts/{}/schedules", ConcertId::new()),
        ),
        (Method::GET, format!("/v1/schedules/{}/seats", ConcertId::new())),
        (Method::POST, "/v1/reservations".to_owned()),
    ]
}

#[tokio::test]
async fn promise_14_a_visit_needs_both_tokens_of_one_user() {
    let gateway = Gateway::start().await;
    let (mine, other) = (gateway.visitor(), gateway.visitor());
    for (method, path) in visits() {
        let request = || gateway.request(method.clone(), &path).json(&json!({}));
        let bearer = || request().bearer_auth(&mine.access_token);
        Answer::to(bearer().header("Queue-Token", &other.queue_token))
            .await
            .expect_problem(403, "queue-token-foreign");
        Answer::to(request().header("Queue-Token", &mine.queue_token))
            .await
            .expect_problem(401, "unauthenticated");
    }
}

/// The parts of a token, one of them replaced.
fn patched(token: &str, index: usize, part: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[index] = part;
    parts.join(".")
}

#[rstest]
#[case::none(|_: &Person| None, "queue-token-missing")]
#[case::empty(|_: &Person| Some(String::new()), "queue-token-missing")]
#[case::no_token(|_: &Person| Some("a.b.c".to_owned()), "queue-token-malformed")]
#[case::cut(
    |mine: &Person| Some(mine.queue_token[..mine.queue_token.len() - 2].to_owned()),
    "queue-token-malformed"
)]
#[case::huge(|mine: &Person| Some(mine.queue_token.repeat(40)), "queue-token-malformed")]
#[case::no_text(|_: &Person| Some("t\u{f8}ken".to_owned()), "queue-token-malformed")]
#[case::algorithm_none(
    |mine: &Person| {
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k1"}"#);
        Some(patched(&mine.queue_token, 0, &unsigned))
    },
    "queue-token-unsigned"
)]
#[case::an_access_token(|mine: &Person| Some(mine.access_token.clone()), "queue-token-unsigned")]
#[case::another_key(
    |mine: &Person| {
        let place = Claims { concert_id: mine.concert_id, user_id: mine.user_id, number: QueueNumber(1) };
        Some(QueueTokens::new(Keyring::random()).sign(&place).unwrap())
    },
    "queue-token-invalid"
)]
#[case::another_place(
    |mine: &Person| {
        let other = queue_token(mine.user_id, mine.concert_id, 1);
        Some(patched(&mine.queue_token, 1, other.split('.').nth(1).unwrap()))
    },
    "queue-token-invalid"
)]
#[tokio::test]
async fn promise_14_what_is_wrong_with_a_queue_token_is_said_by_name_and_asks_nobody(
    #[case] token: fn(&Person) -> Option<String>,
    #[case] code: &str,
) {
    let gateway = Gateway::start().await;
    let mine = gateway.visitor();
    let places = [
        (Method::GET, "/v1/queue".to_owned()),
        (Method::DELETE, "/v1/queue".to_owned()),
        (Method::GET, "/v1/queue/proof".to_owned()),
    ];
    for (method, path) in visits().into_iter().chain(places) {
        let mut request = gateway.request(method, &path).json(&json!({}));
        request = request.bearer_auth(&mine.access_token);
        if let Some(token) = token(&mine) {
            request = request.header("Queue-Token", token);
        }
        let answer = Answer::to(request).await;
        assert_eq!(
            answer.header("www-authenticate"),
            "Queue-Token realm=\"frontrow\""
        );
        answer.expect_problem(401, code);
    }
    for call in ["GetToken", "Leave", "GetProof"] {
        assert_eq!(
            gateway.upstreams.calls(&format!("queue.v1.QueueService/{call}")),
            0
        );
    }
}

fn unix_now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

#[tokio::test]
async fn a_clock_that_is_a_minute_off_refuses_nobody_and_what_is_older_is_said_to_be_out_of_date() {
    let gateway = gateway_with_wallets().await;
    let signed = |issued: i64, ends: i64| {
        let mut claims = claims(UserId::new(), &[Role::Buyer]);
        claims["iat"] = (unix_now() + issued).into();
        claims["exp"] = (unix_now() + ends).into();
        gateway.signer.sign(&claims)
    };
    for (issued, ends) in [(0, 900), (60, 960), (-960, -55)] {
        wallet(&gateway, &signed(issued, ends)).await.expect(200);
    }
    for token in [signed(-1_000, -65), signed(-10_000, -9_000)] {
        let answer = wallet(&gateway, &token).await;
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"frontrow\", error=\"invalid_token\""
        );
        answer.expect_problem(401, "access-token-expired");
        // Nobody learns anything of a token that we did not sign.
        let forged = format!("{}A", &token[..token.len() - 3]);
        wallet(&gateway, &forged)
            .await
            .expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn an_empty_key_set_is_none_yet() {
    let gateway = Gateway::start().await;
    let published = gateway.get("/.well-known/jwks.json").await.expect(200);
    gateway.upstreams.publish_keys(json!({ "keys": [] }).to_string());
    // A token of an unknown key has the keys fetched again.
    let token = Signer::new("key-2").access_token(UserId::new(), &[Role::Buyer]);
    wallet(&gateway, &token).await.expect_problem(503, "unavailable");
    assert_eq!(gateway.get("/.well-known/jwks.json").await.expect(200), published);
}

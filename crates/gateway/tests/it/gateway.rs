//! A gateway in this process, people with tokens, and answers with short ways to say what was expected.

use std::sync::{Arc, OnceLock};

use ::gateway::config::Config;
use ::gateway::startup::Application;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use queue_token::{Claims, Keyring, QueueTokens};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use service_kit::config::load_from;
use service_kit::telemetry::{self, TelemetryConfig};
use test_support::{environment, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};
use vocabulary::access_token::{AUDIENCE, ISSUER};
use vocabulary::{ConcertId, QueueNumber, Role, UserId};

use crate::upstreams::Upstreams;

const QUEUE_TOKEN_KEYS: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A gateway that runs until the test ends.
pub(crate) struct Gateway {
    pub url: String,
    pub upstreams: Upstreams,
    pub signer: Signer,
    http: reqwest::Client,
    _stop: DropGuard,
}

impl Gateway {
    /// A gateway before scripted services.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A gateway with some keys of its configuration set, like a URL that nobody listens on.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let gateway = Self::start_unready(Upstreams::default(), settings).await;
        eventually("the signing keys", async || {
            let waiting = gateway.get("/readyz").await.body["waitingFor"].to_string();
            (!waiting.contains("signing-keys")).then_some(())
        })
        .await;
        gateway
    }

    /// A gateway that may not have the signing keys yet.
    pub(crate) async fn start_unready(upstreams: Upstreams, settings: &[(&str, &str)]) -> Self {
        init_telemetry();
        let signer = Signer::new("key-1");
        upstreams.publish_keys(signer.key_set());
        let url = upstreams.serve().await;
        let urls = [
            "AUTH_URL",
            "QUEUE_URL",
            "CONCERT_URL",
            "BOOKING_URL",
            "PAYMENT_URL",
        ];
        let mut values = environment(urls.map(|name| (name, url.as_str())));
        values.extend(environment([
            ("HTTP_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("QUEUE_TOKEN_KEYS", QUEUE_TOKEN_KEYS),
        ]));
        values.extend(environment(settings.iter().copied()));
        let config = load_from(values, Config::read).unwrap();

        let application = Application::build(config).await.unwrap();
        let url = format!("http://{}", application.http_addr());
        let stop = CancellationToken::new();
        tokio::spawn(application.run_until_stopped(stop.clone().cancelled_owned()));
        Self {
            url,
            upstreams,
            signer,
            http: reqwest::Client::new(),
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// Somebody with a session and a place in the line of some concert.
    pub(crate) fn visitor(&self) -> Person {
        self.person(&[Role::Buyer])
    }

    /// Somebody who imports venues.
    pub(crate) fn organiser(&self) -> Person {
        self.person(&[Role::Buyer, Role::Organiser])
    }

    fn person(&self, roles: &[Role]) -> Person {
        let (user_id, concert_id) = (UserId::new(), ConcertId::new());
        Person {
            user_id,
            concert_id,
            access_token: self.signer.access_token(user_id, roles),
            queue_token: queue_token(user_id, concert_id, 42),
        }
    }
}

/// A queue token that the gateway takes for ours.
pub(crate) fn queue_token(user_id: UserId, concert_id: ConcertId, number: u64) -> String {
    let keys: Keyring = QUEUE_TOKEN_KEYS.parse().unwrap();
    let claims = Claims {
        concert_id,
        user_id,
        number: QueueNumber(number),
    };
    QueueTokens::new(keys).sign(&claims).unwrap()
}

/// Somebody with tokens.
pub(crate) struct Person {
    pub user_id: UserId,
    pub concert_id: ConcertId,
    pub access_token: String,
    /// Number 42 in the line of `concert_id`.
    pub queue_token: String,
}

impl Person {
    /// The request with both tokens.
    pub(crate) async fn sends(&self, request: RequestBuilder) -> Answer {
        let request = request
            .bearer_auth(&self.access_token)
            .header("Queue-Token", &self.queue_token);
        Answer::to(request).await
    }
}

/// Signs access tokens, as auth does.
pub(crate) struct Signer {
    kid: String,
    key: EncodingKey,
    public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self {
            kid: kid.to_owned(),
            key: EncodingKey::from_ed_der(document.as_ref()),
            public: pair.public_key().as_ref().to_owned(),
        }
    }

    /// The key set of this one key.
    pub(crate) fn key_set(&self) -> String {
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": self.public_x(),
        });
        json!({ "keys": [key] }).to_string()
    }

    /// The public key as it is published.
    pub(crate) fn public_x(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.public)
    }

    pub(crate) fn access_token(&self, user_id: UserId, roles: &[Role]) -> String {
        self.sign(&claims(user_id, roles))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// What a good access token says.
pub(crate) fn claims(user_id: UserId, roles: &[Role]) -> Value {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": user_id, "roles": roles, "iat": now, "exp": now + 600 })
}

/// One HTTP answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            headers,
            body,
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Value {
        let stated = (self.status, self.body["code"].as_str());
        assert_eq!(stated, (status, Some(code)), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["traceId"].as_str().unwrap().len(), 32);
        assert_eq!(
            self.header("retry-after").is_empty(),
            !matches!(status, 429 | 503)
        );
        assert_eq!(self.header("www-authenticate").is_empty(), status != 401);
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Trace ids stand in problems only where traces are made.
fn init_telemetry() {
    static TELEMETRY: OnceLock<Arc<telemetry::Telemetry>> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let values = environment([("RUST_LOG", "off")]);
        let config = load_from(values, TelemetryConfig::read).unwrap();
        Arc::new(telemetry::init("gateway", &config).unwrap())
    });
}

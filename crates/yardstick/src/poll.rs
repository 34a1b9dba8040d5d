//! Servers of `GET /v1/queue` that do less than the gateway, or the same by Redis.

use std::future::pending;
use std::path::PathBuf;

use anyhow::Context as _;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use gateway::baseline;
use gateway::config::HttpConfig;
use gateway::startup::serve;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use queue_token::{Keyring, QueueTokens};
use redis::aio::ConnectionManager;
use serde::Serialize;
use service_kit::config::{self, Environment};
use service_kit::host::listen;
use service_kit::redis::RedisConfig;
use service_kit::telemetry::{self, TelemetryConfig};
use vocabulary::UserId;

/// As long as the answer to one who waits.
const ANSWER: &str =
    r#"{"status":"WAITING","number":123456,"position":123400,"ahead":123399,"pollAfterMs":28123}"#;
/// Who waits, by number.
const WAITING: &str = "yardstick:waiting";
const ADDED_AT_ONCE: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Constant {
    /// Nothing around the handler: no trace, no metric, no log line, no bounds, no headers.
    #[arg(long)]
    bare: bool,
}

impl Constant {
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let (http, telemetry) = config::load(settings)?;
        let _telemetry = telemetry::init("yardstick", &telemetry)?;
        let handler = get(|| async { ([(CONTENT_TYPE, "application/json")], ANSWER) });
        let (listener, _) = listen(http.addr).await?;
        let router = match self.bare {
            true => Router::new().route(baseline::POLLED, handler),
            false => baseline::router(handler, http),
        };
        Ok(serve(listener, router, pending()).await?)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rank {
    /// How many wait.
    #[arg(long)]
    people: usize,
    /// Queue tokens of some of them, one a line.
    #[arg(long)]
    tokens: PathBuf,
}

#[derive(Clone)]
struct Ranks {
    tokens: QueueTokens,
    redis: ConnectionManager,
}

/// The part of a poll's answer that a rank tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    status: &'static str,
    number: u64,
    position: u64,
    ahead: u64,
    poll_after_ms: u32,
}

impl Rank {
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let (http, telemetry, redis, keys) = config::load(|env| {
            let (http, telemetry) = settings(env);
            let keys: Keyring = env.parsed("QUEUE_TOKEN_KEYS", "", "", Keyring::random());
            (http, telemetry, RedisConfig::read(env), keys)
        })?;
        let _telemetry = telemetry::init("yardstick", &telemetry)?;
        let ranks = Ranks {
            tokens: QueueTokens::new(keys),
            redis: redis.connection()?,
        };
        self.gather(&ranks).await?;
        let handler: MethodRouter<Ranks> = get(standing);
        let (listener, _) = listen(http.addr).await?;
        let router = baseline::router(handler.with_state(ranks), http);
        Ok(serve(listener, router, pending()).await?)
    }

    /// The bearers of the tokens come last, as those do whom nobody calls soon.
    async fn gather(&self, ranks: &Ranks) -> anyhow::Result<()> {
        let tokens = std::fs::read_to_string(&self.tokens)
            .with_context(|| format!("cannot read {}", self.tokens.display()))?;
        let bearers: Vec<UserId> = tokens
            .lines()
            .map(|token| Ok(ranks.tokens.verify(token)?.user_id))
            .collect::<Result<_, queue_token::InvalidToken>>()?;
        let others = self.people.saturating_sub(bearers.len());
        let people: Vec<UserId> = std::iter::repeat_with(UserId::new)
            .take(others)
            .chain(bearers)
            .collect();
        let mut redis = ranks.redis.clone();
        redis::cmd("DEL").arg(WAITING).exec_async(&mut redis).await?;
        for (chunk, people) in people.chunks(ADDED_AT_ONCE).enumerate() {
            let mut add = redis::cmd("ZADD");
            add.arg(WAITING);
            for (index, user) in people.iter().enumerate() {
                add.arg(chunk * ADDED_AT_ONCE + index + 1)
                    .arg(user.as_uuid().as_bytes());
            }
            add.exec_async(&mut redis).await?;
        }
        Ok(())
    }
}

/// The poll as others answer it: the token is verified all the same, then Redis is asked.
async fn standing(State(ranks): State<Ranks>, headers: HeaderMap) -> Result<impl IntoResponse, StatusCode> {
    let token = headers.get("queue-token").and_then(|token| token.to_str().ok());
    let claims = token.and_then(|token| ranks.tokens.verify(token).ok());
    let claims = claims.ok_or(StatusCode::UNAUTHORIZED)?;
    let rank: Option<u64> = redis::cmd("ZRANK")
        .arg(WAITING)
        .arg(claims.user_id.as_uuid().as_bytes())
        .query_async(&mut ranks.redis.clone())
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let ahead = rank.ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Standing {
        status: "WAITING",
        number: claims.number.0,
        position: ahead + 1,
        ahead,
        poll_after_ms: 28_123,
    }))
}

fn settings(env: &mut Environment) -> (HttpConfig, TelemetryConfig) {
    (HttpConfig::read(env), TelemetryConfig::read(env))
}

//! Accounts and sessions.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use contracts::auth::{self, LogInRequest, LogOutRequest, RefreshRequest, SignUpRequest};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vocabulary::{ConcertId, ProblemCode as P};

use super::queue::Ticket;
use crate::client_address::ClientAddress;
use crate::extract::{Body, IdempotencyKey, Rules};
use crate::openapi::{BODY, problems};
use crate::problem::ApiProblem;
use crate::state::App;
use crate::wire::{self, BrokenContract};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(get_signing_keys))
}

#[derive(Deserialize, ToSchema)]
struct SignUp {
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[schema(format = Password, min_length = 10, max_length = 128)]
    password: String,
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

impl Rules for SignUp {}

/// A person with an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct User {
    #[schema(format = Uuid)]
    user_id: String,
    /// Lower case.
    email: String,
    name: String,
    /// `BUYER`, `ORGANISER`.
    roles: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl TryFrom<auth::User> for User {
    type Error = BrokenContract;

    fn try_from(user: auth::User) -> Result<Self, Self::Error> {
        Ok(Self {
            created_at: wire::time("User.created_at", user.created_at)?,
            user_id: user.user_id,
            email: user.email,
            name: user.name,
            roles: user.roles,
        })
    }
}

problems!(SignUpProblems: BODY, &[P::EmailTaken, P::IdempotencyKeyReused, P::TooManyRequests]);

/// Make an account.
#[utoipa::path(
    post, path = "/v1/auth/signup", tag = "auth", params(IdempotencyKey), request_body = SignUp,
    responses((status = 201, body = User, description = "The new user."), SignUpProblems)
)]
async fn sign_up(
    State(app): State<App>,
    ClientAddress(client): ClientAddress,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(request): Body<SignUp>,
) -> Result<impl IntoResponse, ApiProblem> {
    let request = SignUpRequest {
        email: request.email,
        password: request.password,
        name: request.name,
        client_address: client.to_string(),
        idempotency_key,
    };
    let answer = app.clients.auth.clone().sign_up(request).await?.into_inner();
    let user = User::try_from(wire::required("SignUpResponse.user", answer.user)?)?;
    Ok((StatusCode::CREATED, Json(user)))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LogIn {
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[schema(format = Password, max_length = 128)]
    password: String,
    /// The concert whose line to join.
    #[schema(value_type = Option<uuid::Uuid>)]
    concert_id: Option<ConcertId>,
}

impl Rules for LogIn {}

/// What a session hands to its user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Session {
    #[serde(flatten)]
    tokens: Tokens,
    /// The place in the line of the concert that was named; as joining it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    queue_token: Option<Ticket>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    /// For `Authorization: Bearer`; a JWT.
    access_token: String,
    /// Seconds until the access token ends.
    expires_in_seconds: u32,
    /// Good once: it is traded for new tokens.
    refresh_token: String,
}

impl From<auth::Tokens> for Tokens {
    fn from(tokens: auth::Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            expires_in_seconds: tokens.expires_in_seconds,
            refresh_token: tokens.refresh_token,
        }
    }
}

problems!(LogInProblems: BODY, &[P::InvalidCredentials, P::NotFound, P::RoomClosed, P::TooManyRequests]);

/// Begin a session, and join a concert's line where one is named.
#[utoipa::path(
    post, path = "/v1/auth/login", tag = "auth", request_body = LogIn,
    responses((status = 200, body = Session, description = "The session's tokens."), LogInProblems)
)]
async fn log_in(
    State(app): State<App>,
    ClientAddress(client): ClientAddress,
    Body(request): Body<LogIn>,
) -> Result<Json<Session>, ApiProblem> {
    if request.concert_id.is_some() {
        // Before the password is looked at, so whose join it is is not known; a limit by e-mail would keep its owner out.
        app.join_limits.by_address(client)?;
    }
    let concert_id = request.concert_id;
    let request = LogInRequest {
        email: request.email,
        password: request.password,
        concert_id: concert_id.map(|id| id.to_string()),
        client_address: client.to_string(),
    };
    let answer = app.clients.auth.clone().log_in(request).await?.into_inner();
    let queue_token = answer.ticket.map(Ticket::try_from).transpose()?;
    if let (Some(ticket), Some(concert_id)) = (&queue_token, concert_id) {
        ticket.note_in(&app.rooms, concert_id);
    }
    Ok(Json(Session {
        tokens: wire::required("LogInResponse.tokens", answer.tokens)?.into(),
        queue_token,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefreshToken {
    #[schema(min_length = 1)]
    refresh_token: String,
}

impl Rules for RefreshToken {}

problems!(RefreshProblems: BODY, &[P::InvalidRefreshToken, P::TooManyRequests]);

/// Trade a refresh token for new tokens. Each is good once; a second use ends its session.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "auth", request_body = RefreshToken,
    responses((status = 200, body = Tokens, description = "New tokens."), RefreshProblems)
)]
async fn refresh(
    State(app): State<App>,
    Body(RefreshToken { refresh_token }): Body<RefreshToken>,
) -> Result<Json<Tokens>, ApiProblem> {
    let request = RefreshRequest { refresh_token };
    let answer = app.clients.auth.clone().refresh(request).await?.into_inner();
    Ok(Json(
        wire::required("RefreshResponse.tokens", answer.tokens)?.into(),
    ))
}

problems!(LogOutProblems: BODY, &[P::InvalidRefreshToken]);

/// End the session of a refresh token.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "auth", request_body = RefreshToken,
    responses((status = 204, description = "The session is over."), LogOutProblems)
)]
async fn log_out(
    State(app): State<App>,
    Body(RefreshToken { refresh_token }): Body<RefreshToken>,
) -> Result<StatusCode, ApiProblem> {
    app.clients
        .auth
        .clone()
        .log_out(LogOutRequest { refresh_token })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A JSON Web Key Set (RFC 7517).
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what auth publishes")]
struct KeySet {
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

problems!(KeysProblems:);

/// The public keys that access tokens are verified by.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, body = KeySet, description = "The keys."), KeysProblems)
)]
async fn get_signing_keys(State(app): State<App>) -> Result<impl IntoResponse, ApiProblem> {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "public, max-age=60"),
    ];
    Ok((headers, app.access_tokens.published().await?))
}

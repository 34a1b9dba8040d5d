//! `frontrow.auth.v1.AuthService`.

use std::sync::Arc;

use contracts::auth::auth_service_server::AuthService;
use contracts::auth::{
    GetSigningKeysRequest, GetSigningKeysResponse, LogInRequest, LogInResponse, LogOutRequest,
    LogOutResponse, RefreshRequest, RefreshResponse, SignUpRequest, SignUpResponse,
};
use contracts::{auth, queue};
use secrecy::{ExposeSecret as _, SecretString};
use service_kit::problem::Problem;
use tonic::{Request, Response, Status};
use vocabulary::ProblemCode;

use crate::app::{AppError, Auth, Lines, LogIn, SignUp, Tokens};
use crate::domain::{Origin, User};
use crate::secrets::RefreshToken;

/// The use cases behind the contract.
#[derive(Debug)]
pub struct Service<L> {
    app: Arc<Auth<L>>,
}

impl<L> Service<L> {
    /// Serves these use cases.
    #[must_use]
    pub const fn new(app: Arc<Auth<L>>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl<L: Lines<Ticket = queue::Ticket>> AuthService for Service<L> {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        let SignUpRequest {
            email,
            password,
            name,
            client_address,
            idempotency_key,
        } = request.into_inner();
        let asked = SignUp {
            email,
            password: SecretString::from(password),
            name,
            origin: Origin::read(&client_address),
            idempotency_key,
        };
        let user = self.app.sign_up(asked).await.map_err(Problem::from)?;
        Ok(Response::new(SignUpResponse {
            user: Some(user_message(user)),
        }))
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<LogInResponse>, Status> {
        let LogInRequest {
            email,
            password,
            concert_id,
            client_address,
        } = request.into_inner();
        let asked = LogIn {
            email,
            password: SecretString::from(password),
            concert_id: contracts::optional_id("concertId", concert_id.as_deref().unwrap_or_default())?,
            origin: Origin::read(&client_address),
        };
        let logged_in = self.app.log_in(asked).await.map_err(Problem::from)?;
        Ok(Response::new(LogInResponse {
            tokens: Some(tokens_message(&logged_in.tokens)),
            user: Some(user_message(logged_in.user)),
            ticket: logged_in.ticket,
        }))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<RefreshResponse>, Status> {
        let token = refresh_token(request.into_inner().refresh_token)?
            .ok_or_else(|| Problem::from(AppError::InvalidRefreshToken))?;
        let tokens = self.app.refresh(token).await.map_err(Problem::from)?;
        Ok(Response::new(RefreshResponse {
            tokens: Some(tokens_message(&tokens)),
        }))
    }

    async fn log_out(&self, request: Request<LogOutRequest>) -> Result<Response<LogOutResponse>, Status> {
        // What cannot be a token of ours belongs to no session, like one that is unknown.
        if let Some(token) = refresh_token(request.into_inner().refresh_token)? {
            self.app.log_out(token).await.map_err(Problem::from)?;
        }
        Ok(Response::new(LogOutResponse {}))
    }

    async fn get_signing_keys(
        &self,
        _: Request<GetSigningKeysRequest>,
    ) -> Result<Response<GetSigningKeysResponse>, Status> {
        let keys = self.app.public_keys().await.map_err(Problem::from)?;
        let jwks_json = serde_json::to_string(&keys).map_err(|error| {
            tracing::error!(%error, "the public keys cannot be written");
            Problem::of(ProblemCode::Internal)
        })?;
        Ok(Response::new(GetSigningKeysResponse { jwks_json }))
    }
}

fn refresh_token(text: String) -> Result<Option<RefreshToken>, Problem> {
    if text.is_empty() {
        return Err(Problem::field("refreshToken", "is required"));
    }
    Ok(RefreshToken::read(text))
}

fn user_message(user: User) -> auth::User {
    auth::User {
        user_id: user.user_id.to_string(),
        email: user.email.as_str().to_owned(),
        name: user.name.as_str().to_owned(),
        roles: user.roles.iter().map(ToString::to_string).collect(),
        created_at: Some(contracts::timestamp(user.created_at)),
    }
}

fn tokens_message(tokens: &Tokens) -> auth::Tokens {
    auth::Tokens {
        access_token: tokens.access_token.expose_secret().to_owned(),
        expires_in_seconds: u32::try_from(tokens.expires_in.as_secs()).unwrap_or(u32::MAX),
        refresh_token: tokens.refresh_token.expose_secret().to_owned(),
    }
}

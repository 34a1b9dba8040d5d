//! The use cases, one file each. They see neither the transport nor SQL.

mod attempts;
mod demo;
mod log_in;
mod log_out;
mod refresh;
mod roles;
mod sessions;
mod sign_up;
mod signing_keys;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use secrecy::SecretString;
use service_kit::problem::{FieldError, Problem};
use time::OffsetDateTime;
use vocabulary::{ConcertId, Role, UserId};

pub use attempts::SWEEP_BATCH;
pub use demo::seed_demo;
pub use log_in::{LogIn, LoggedIn};
pub use roles::{RoleError, grant_role, revoke_role};
pub use sessions::FORGET_BATCH;
pub use sign_up::SignUp;
pub use signing_keys::{RELOAD_EVERY, rotate_signing_key};

use crate::domain::{AttemptLimits, SessionId};
use crate::secrets::{Claims, KeyError, PasswordError, Passwords, RefreshToken, SigningKey};
use crate::store::{Store, StoreError};

/// The lines that a login may join. The ticket is handed on unread.
pub trait Lines: Send + Sync + 'static {
    /// What the owner of the lines answers.
    type Ticket: Send;

    /// Takes a place in a concert's line; asking again gives the same place.
    fn join(
        &self,
        concert_id: ConcertId,
        user_id: UserId,
    ) -> impl Future<Output = Result<Self::Ticket, Problem>> + Send;
}

/// How long things last.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token.
    pub access_token: Duration,
    /// Of a session, from its login.
    pub session: Duration,
    /// In which a trade of a refresh token may be retried.
    pub refresh_grace: Duration,
}

/// What a session hands to its user.
#[derive(Debug)]
pub struct Tokens {
    /// A signed access token.
    pub access_token: SecretString,
    /// Until it ends.
    pub expires_in: Duration,
    /// Good for one trade.
    pub refresh_token: SecretString,
}

/// Why a use case was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Fields that break rules.
    #[error("a field is missing or wrong")]
    Fields(Vec<FieldError>),
    /// There is no such account, or its password is another.
    #[error("e-mail or password is wrong")]
    InvalidCredentials,
    /// The idempotency key made an account with another password or name.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many attempts; come again after this time.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// The refresh token is unknown, was used before, or its session is over.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// One refresh token was traded again and again.
    #[error("the refresh token was traded too often")]
    TooManyRetries,
    /// The session kept moving under our hands.
    #[error("too many trades of one session at once")]
    Contended,
    /// The line could not be joined; the owner of the lines says why.
    #[error("the line could not be joined")]
    Line(#[source] Problem),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password was not hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Nothing could be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system gives no random bytes.
    #[error("no token could be generated")]
    Random(#[from] aws_lc_rs::error::Unspecified),
}

/// Accounts and sessions.
#[derive(Debug)]
pub struct Auth<L> {
    store: Store,
    passwords: Passwords,
    lines: L,
    lifetimes: Lifetimes,
    limits: AttemptLimits,
    signing_key: ArcSwapOption<SigningKey>,
}

impl<L: Lines> Auth<L> {
    /// Over these stores and lines.
    #[must_use]
    pub fn new(
        store: Store,
        passwords: Passwords,
        lines: L,
        lifetimes: Lifetimes,
        limits: AttemptLimits,
    ) -> Self {
        Self {
            store,
            passwords,
            lines,
            lifetimes,
            limits,
            signing_key: ArcSwapOption::empty(),
        }
    }

    async fn tokens(
        &self,
        user_id: UserId,
        roles: &[Role],
        session_id: SessionId,
        now: OffsetDateTime,
        refresh_token: RefreshToken,
    ) -> Result<Tokens, AppError> {
        let expires_in = self.lifetimes.access_token;
        let claims = Claims::new(user_id, roles, session_id, now, expires_in);
        Ok(Tokens {
            access_token: SecretString::from(self.current_signing_key().await?.sign(&claims)?),
            expires_in,
            refresh_token: refresh_token.into_secret(),
        })
    }

    async fn current_signing_key(&self) -> Result<Arc<SigningKey>, AppError> {
        match self.signing_key.load_full() {
            Some(key) => Ok(key),
            None => self.load_signing_key().await,
        }
    }
}

/// Collects the rules that fields break, so that a caller learns of all at once.
#[derive(Debug, Default)]
struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn check<T>(&mut self, field: &str, value: Result<T, impl std::error::Error>) -> Option<T> {
        value
            .map_err(|error| {
                self.0.push(FieldError {
                    field: field.to_owned(),
                    rule: error.to_string(),
                });
            })
            .ok()
    }
}

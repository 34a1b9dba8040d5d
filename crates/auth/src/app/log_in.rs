//! Beginning a session.

use secrecy::{ExposeSecret as _, SecretString};
use service_kit::problem::FieldError;
use vocabulary::ConcertId;

use super::{AppError, Auth, Lines, Tokens};
use crate::domain::{Email, EndReason, NewPassword, Origin, SessionId, User};
use crate::secrets::RefreshToken;
use crate::store::Account;

/// A session that somebody asks for.
#[derive(Debug)]
pub struct LogIn {
    /// As it was typed.
    pub email: String,
    /// As it was typed.
    pub password: SecretString,
    /// Whose line to join.
    pub concert_id: Option<ConcertId>,
    /// Where it is asked from.
    pub origin: Origin,
}

/// A session that was begun.
#[derive(Debug)]
pub struct LoggedIn<T> {
    /// For its user.
    pub tokens: Tokens,
    /// Whose it is.
    pub user: User,
    /// The place in line, where one was asked for.
    pub ticket: Option<T>,
}

impl<L: Lines> Auth<L> {
    /// Begins a session, and joins the line of the concert that is named. A line that cannot be joined fails the login
    /// as a whole: its session is ended again.
    ///
    /// # Errors
    /// [`AppError::InvalidCredentials`] alike for a wrong password and for an address without an account, after the
    /// same work. [`AppError::TooManyAttempts`] alike too, and before that work.
    pub async fn log_in(&self, asked: LogIn) -> Result<LoggedIn<L::Ticket>, AppError> {
        let LogIn {
            email,
            password,
            concert_id,
            origin,
        } = asked;
        require(&email, &password)?;
        let attempt = self.attempt_log_in(&email, origin).await?;
        let user = self.authenticate(&email, password).await.inspect_err(|error| {
            if matches!(error, AppError::InvalidCredentials) {
                count("invalid-credentials");
            }
        })?;

        self.log_in_succeeded(attempt, &email, origin).await;

        let session_id = SessionId::new();
        let refresh_token = RefreshToken::generate()?;
        let now = self
            .store
            .begin_session(
                session_id,
                user.user_id,
                refresh_token.hash(),
                self.lifetimes.session,
            )
            .await?;
        let tokens = self
            .tokens(user.user_id, &user.roles, session_id, now, refresh_token)
            .await?;

        let ticket = match concert_id {
            None => None,
            Some(concert_id) => match self.lines.join(concert_id, user.user_id).await {
                Ok(ticket) => Some(ticket),
                Err(problem) => {
                    count("line-refused");
                    // Nobody has seen its tokens, so one that cannot be ended now harms nobody until it lapses.
                    if let Err(error) = self.store.end_session(session_id, EndReason::LoginFailed).await {
                        tracing::warn!(%session_id, %error, "the session of a failed login was left to lapse");
                    }
                    return Err(AppError::Line(problem));
                }
            },
        };
        count("ok");
        tracing::info!(user_id = %user.user_id, %session_id, "logged in");
        Ok(LoggedIn { tokens, user, ticket })
    }

    async fn authenticate(&self, email: &str, password: SecretString) -> Result<User, AppError> {
        // What is no address has no account; it is not told from one that is.
        let account = match Email::parse(email) {
            Ok(email) => self.store.account(&email).await?,
            Err(_) => None,
        };
        let (user, hash) = account
            .map(|Account { user, password_hash }| (user, password_hash))
            .unzip();
        let matches = self.passwords.verify(password, hash).await?;
        user.filter(|_| matches).ok_or(AppError::InvalidCredentials)
    }
}

// Whether the fields are there and bounded; more would tell apart what must look alike.
fn require(email: &str, password: &SecretString) -> Result<(), AppError> {
    let mut errors = Vec::new();
    for (field, text, max) in [
        ("email", email, Email::MAX_CHARS),
        ("password", password.expose_secret(), NewPassword::MAX_CHARS),
    ] {
        let rule = match text.chars().count() {
            0 => "is required".to_owned(),
            chars if chars > max => format!("must be at most {max} characters"),
            _ => continue,
        };
        errors.push(FieldError {
            field: field.to_owned(),
            rule,
        });
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(AppError::Fields(errors))
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("auth_log_ins_total", "outcome" => outcome).increment(1);
}

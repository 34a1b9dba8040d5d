//! Trading a refresh token for new tokens.

use super::{AppError, Auth, Lines, Tokens};
use crate::domain::{Event, Refused, Step, decide};
use crate::secrets::RefreshToken;

/// Looks at a session that others move at the same time; each of them gets on, so a few looks are enough.
const MAX_LOOKS: usize = 8;

impl<L: Lines> Auth<L> {
    /// New tokens of the same session, with the roles that its user has now.
    ///
    /// # Errors
    /// [`AppError::InvalidRefreshToken`]; where the token was used before, its session is ended.
    pub async fn refresh(&self, shown: RefreshToken) -> Result<Tokens, AppError> {
        let traded = self.trade(&shown).await;
        let outcome = match &traded {
            Ok(_) => "ok",
            Err(AppError::InvalidRefreshToken) => "invalid",
            Err(AppError::TooManyRetries) => "too-many-retries",
            Err(_) => "failed",
        };
        metrics::counter!("auth_refreshes_total", "outcome" => outcome).increment(1);
        traded
    }

    async fn trade(&self, shown: &RefreshToken) -> Result<Tokens, AppError> {
        let grace = self.lifetimes.refresh_grace;
        for _ in 0..MAX_LOOKS {
            let session = self
                .store
                .held_session(shown.hash(), grace)
                .await?
                .ok_or(AppError::InvalidRefreshToken)?;
            let (session_id, generation) = (session.session_id, session.token_generation);
            let next = RefreshToken::generate()?;
            let moved = match decide(session.state, Event::Trade { generation }) {
                Ok(Step::Advance) => {
                    self.store
                        .advance_session(session_id, generation, next.hash())
                        .await?
                }
                Ok(Step::Repeat) => {
                    self.store
                        .repeat_trade(session_id, generation, next.hash(), grace)
                        .await?
                }
                Ok(Step::End(reason)) => {
                    self.store.end_session(session_id, reason).await?;
                    tracing::warn!(
                        user_id = %session.user_id, %session_id,
                        "a refresh token was used twice: its session is ended"
                    );
                    return Err(AppError::InvalidRefreshToken);
                }
                Err(Refused::TooManyRetries) => return Err(AppError::TooManyRetries),
                Ok(Step::Stay) | Err(Refused::Ended | Refused::Lapsed) => {
                    return Err(AppError::InvalidRefreshToken);
                }
            };
            if moved {
                return self
                    .tokens(session.user_id, &session.roles, session_id, session.now, next)
                    .await;
            }
        }
        Err(AppError::Contended)
    }
}

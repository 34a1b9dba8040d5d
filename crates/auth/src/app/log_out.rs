//! Ending a session.

use super::{AppError, Auth, Lines};
use crate::domain::{Event, Step, decide};
use crate::secrets::RefreshToken;

impl<L: Lines> Auth<L> {
    /// Ends the session that a refresh token belongs to, whether or not the token was used. A token of no session has
    /// nothing to end (RFC 7009, section 2.2).
    ///
    /// # Errors
    /// The store is away.
    pub async fn log_out(&self, shown: RefreshToken) -> Result<(), AppError> {
        let session = self
            .store
            .held_session(shown.hash(), self.lifetimes.refresh_grace)
            .await?;
        if let Some(session) = session
            && let Ok(Step::End(reason)) = decide(session.state, Event::LogOut)
        {
            self.store.end_session(session.session_id, reason).await?;
            tracing::info!(user_id = %session.user_id, session_id = %session.session_id, "logged out");
        }
        Ok(())
    }
}

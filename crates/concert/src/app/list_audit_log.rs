//! What an organiser did.

use vocabulary::UserId;

use super::{App, AppError};
use crate::domain::audit::{AuditPage, AuditQuery};

impl App {
    /// The organiser's own acts, newest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audit_log(&self, organiser_id: UserId, query: AuditQuery) -> Result<AuditPage, AppError> {
        Ok(self.store.audit_log(organiser_id, query).await?)
    }
}

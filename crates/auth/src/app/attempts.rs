//! Whether somebody may try at all: asked before any work is done for them.

use super::{AppError, Auth, Lines};
use crate::domain::{AttemptKey, AttemptLimits, Origin};
use crate::store::{Attempted, Take};

/// Rows of attempts that one step deletes at most, of each kind.
pub const SWEEP_BATCH: u32 = 1_000;

/// A login that may be tried.
#[derive(Debug)]
pub(super) struct LogInAttempt {
    known: AttemptKey,
    taken: Vec<AttemptKey>,
}

impl<L: Lines> Auth<L> {
    /// Counts a login, whether there is such an account or not.
    pub(super) async fn attempt_log_in(&self, email: &str, origin: Origin) -> Result<LogInAttempt, AppError> {
        let known = AttemptKey::log_ins_to_from(email, origin);
        let taken = self
            .attempt("log-in", &log_in_takes(&self.limits, email, origin))
            .await?;
        Ok(LogInAttempt { known, taken })
    }

    /// Only failures count. A failure to say so costs the user a little of an allowance, not the login.
    pub(super) async fn log_in_succeeded(&self, attempt: LogInAttempt, email: &str, origin: Origin) {
        let takes = log_in_takes(&self.limits, email, origin);
        let taken: Vec<_> = takes
            .iter()
            .filter(|take| attempt.taken.contains(&take.key))
            .map(|take| (take.key, take.allowance.interval()))
            .collect();
        let noted = self
            .store
            .attempt_succeeded(&taken, attempt.known, self.limits.address_known)
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, "a login counts as a failed one");
        }
    }

    /// Counts a sign-up.
    pub(super) async fn attempt_sign_up(&self, origin: Origin) -> Result<(), AppError> {
        let take = Take {
            key: AttemptKey::sign_ups_from(origin),
            allowance: self.limits.sign_ups_per_address,
            unless_known: None,
        };
        self.attempt("sign-up", &[take]).await?;
        Ok(())
    }

    /// Forgets attempts that say nothing any more; answers how many.
    ///
    /// # Errors
    /// The store is away.
    pub async fn sweep_attempts(&self) -> Result<u64, AppError> {
        Ok(self.store.delete_lapsed_attempts(SWEEP_BATCH).await?)
    }

    async fn attempt(&self, what: &'static str, takes: &[Take]) -> Result<Vec<AttemptKey>, AppError> {
        match self.store.attempt(takes).await? {
            Attempted::Allowed(taken) => Ok(taken),
            Attempted::Refused(wait) => {
                metrics::counter!("auth_attempts_refused_total", "what" => what).increment(1);
                Err(AppError::TooManyAttempts(wait))
            }
        }
    }
}

fn log_in_takes(limits: &AttemptLimits, email: &str, origin: Origin) -> [Take; 3] {
    let here = AttemptKey::log_ins_to_from(email, origin);
    [
        Take {
            key: AttemptKey::log_ins_from(origin),
            allowance: limits.log_ins_per_address,
            unless_known: None,
        },
        Take {
            key: here,
            allowance: limits.log_ins_per_account_and_address,
            unless_known: None,
        },
        Take {
            key: AttemptKey::log_ins_to(email),
            allowance: limits.log_ins_per_account,
            unless_known: Some(here),
        },
    ]
}

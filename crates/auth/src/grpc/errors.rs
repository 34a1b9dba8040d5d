//! What a caller learns of a failure. Faults of ours are logged here, once.

use service_kit::problem::Problem;
use vocabulary::ProblemCode;

use crate::app::AppError;
use crate::secrets::PasswordError;
use crate::store::StoreError;

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Fields(fields) => Self::fields(fields),
            AppError::InvalidCredentials => Self::of(ProblemCode::InvalidCredentials),
            AppError::InvalidRefreshToken => Self::of(ProblemCode::InvalidRefreshToken),
            AppError::KeyReused => Self::of(ProblemCode::IdempotencyKeyReused),
            AppError::TooManyAttempts(wait) => Self::of(ProblemCode::TooManyRequests).retry_after(wait),
            AppError::TooManyRetries => Self::new(
                ProblemCode::TooManyRequests,
                "this refresh token was traded again and again",
            ),
            AppError::Line(problem) => problem,
            AppError::Store(StoreError::EmailTaken) => Self::of(ProblemCode::EmailTaken),
            AppError::Store(StoreError::Unavailable(source)) => {
                tracing::warn!(error = %source, "the database is away");
                Self::of(ProblemCode::Unavailable)
            }
            AppError::Contended | AppError::Password(PasswordError::Busy) => {
                Self::new(ProblemCode::Unavailable, "too many requests of this kind at once")
            }
            fault @ (AppError::Store(StoreError::Bug(_))
            | AppError::Password(PasswordError::Hash(_) | PasswordError::Died(_))
            | AppError::Key(_)
            | AppError::Random(_)) => {
                let error: &dyn std::error::Error = &fault;
                tracing::error!(error, "a fault of ours");
                Self::of(ProblemCode::Internal)
            }
        }
    }
}
